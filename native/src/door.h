#pragma once

#include <napi.h>

namespace umvu {
// Defines syscall, request, socketPair and dieBySignal on `exports`.
void init_door(Napi::Env env, Napi::Object exports);
}  // namespace umvu
