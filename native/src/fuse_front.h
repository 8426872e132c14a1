#pragma once

#include <napi.h>

namespace umvu {
// Defines class FuseFront on `exports`.
void init_fuse_front(Napi::Env env, Napi::Object exports);
}  // namespace umvu
