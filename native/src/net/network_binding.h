#pragma once

#include <napi.h>

namespace umvu {
// Defines Network, openVde and openPlug on `exports` (their types: runtime/native.ts).
void init_network(Napi::Env env, Napi::Object exports);
}  // namespace umvu
