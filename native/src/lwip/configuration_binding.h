// The configuration of a stack as JavaScript reads and sets it (runtime/ioth/lwip/addon.ts, NativeLwipStack).
#pragma once

#include <napi.h>

#include "lwip/configuration.h"

namespace umvu::lwip {

Napi::Value show(Napi::Env env, const LinkState& link);
Napi::Value show(Napi::Env env, const AddressState& address);
Napi::Value show(Napi::Env env, const Neighbour& neighbour);
Napi::Value show(Napi::Env env, const Router& router);
Napi::Value show(Napi::Env env, const Connection& connection);

// setLink(index, name, up, mtu, mac)
int set_link(const Napi::CallbackInfo& info, Stack* stack);
// setAddress(index, address, prefix, tentative): prefix -1 removes it.
int set_address(const Napi::CallbackInfo& info, Stack* stack);
// setRoute(add, struct PackedRoute)
int set_route(const Napi::CallbackInfo& info, Stack* stack);
// setNeighbour(index, address, mac or null)
int set_neighbour(const Napi::CallbackInfo& info, Stack* stack);

}  // namespace umvu::lwip
