#pragma once

#include <napi.h>

namespace umvu {
void init_socket(Napi::Env env, Napi::Object exports);
}  // namespace umvu
