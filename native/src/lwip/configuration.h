// What JavaScript reads and sets of the configuration of a stack (runtime/native.ts, NativeLwipStack). Under the lock of
// the pump and inside the image; results are 0 or a negated errno.
#pragma once

#include <array>
#include <cstdint>
#include <span>
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

int set_link(Stack* stack, int index, std::string name, bool up, int mtu, std::span<const uint8_t> mac);
// `prefix` -1 removes it.
int set_address(Stack* stack, int index, std::span<const uint8_t> address, int prefix, bool tentative);
// `bytes`: struct PackedRoute (configuration.cc).
int set_route(Stack* stack, bool add, std::span<const uint8_t> bytes);
// Without `mac` the entry is removed.
int set_neighbour(Stack* stack, int index, std::span<const uint8_t> address, std::span<const uint8_t> mac);

}  // namespace umvu::lwip
