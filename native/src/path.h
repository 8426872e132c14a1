#pragma once

#include <napi.h>

namespace umvu {
// Defines the class PathTable on `exports`: the claimed paths of a view, and the resolver of
// guests' paths.
void init_path(Napi::Env env, Napi::Object exports);
}  // namespace umvu
