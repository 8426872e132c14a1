#pragma once

#include <napi.h>

namespace umvu::net {
class Network;
class Pump;
}  // namespace umvu::net

namespace umvu {
// Defines Network, openVde and openPlug on `exports` (their types: runtime/native.ts). The
// result is the pump of the environment.
net::Pump* init_network(Napi::Env env, Napi::Object exports);
// The network behind a JavaScript object; null when it was closed.
net::Network* network_of(const Napi::Value& object);
}  // namespace umvu
