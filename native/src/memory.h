#pragma once

#include <napi.h>

namespace umvu {
// Defines readMemory, writeMemory and readString on `exports`.
void init_memory(Napi::Env env, Napi::Object exports);
}  // namespace umvu
