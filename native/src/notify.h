#pragma once

#include <napi.h>

namespace umvu {
// Defines class Listener on `exports`.
void init_notify(Napi::Env env, Napi::Object exports);
}  // namespace umvu
