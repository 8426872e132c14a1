#pragma once

#include <napi.h>

namespace umvu {
// Defines class Readiness on `exports`.
void init_readiness(Napi::Env env, Napi::Object exports);
}  // namespace umvu
