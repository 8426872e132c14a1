#pragma once

#include <napi.h>

namespace umvu::net {
class Pump;
}

namespace umvu {
// Defines LwipStack and lwip, the calls on sockets of such stacks, on `exports` (their types: runtime/native.ts).
void init_lwip(Napi::Env env, Napi::Object exports, net::Pump* pump);
}  // namespace umvu
