// What JavaScript reads and sets of the configuration of a stack (runtime/native.ts, NativeLwipStack). Under the lock of
// the pump and inside the image; results are 0 or a negated errno.
#pragma once

#include <napi.h>

#include <array>
#include <string>
#include <vector>

#include "lwip/sock_list.h"
#include "lwip/neighbours.h"
#include "net/port.h"

namespace umvu::lwip {

class Stack;

// Lists: what is under the lock is gathered first and shown afterwards, because making objects may run finalizers, which
// take the lock.
struct LinkState {
  int index;
  std::string name;
  bool loopback, up, carrier;
  int mtu;
  std::array<uint8_t, 6> mac;
  net::PortCounters counters;
};
// An IPv6 address as lwIP sees it; lifetimes in seconds.
struct AddressState {
  int index;
  ip_addr_t ip;
  bool tentative, duplicated, deprecated;
  uint32_t valid, preferred;
};
struct Router {
  int index;
  ip_addr_t ip;
  uint32_t lifetime;  // seconds
};
std::vector<LinkState> list_links(const Stack& stack);
std::vector<AddressState> list_addresses(const Stack& stack);
std::vector<Router> list_routers();

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
