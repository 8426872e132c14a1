#pragma once

#include <napi.h>

namespace umvu {
// Defines class Rewriter on `exports`.
void init_rewrite(Napi::Env env, Napi::Object exports);
}  // namespace umvu
