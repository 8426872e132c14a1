#pragma once

#include <napi.h>

namespace umvu {
// Defines look, openBeneath and readDirectory on `exports`: access to objects below a directory that the names of
// guests cannot lead out of.
void init_files(Napi::Env env, Napi::Object exports);
}  // namespace umvu
