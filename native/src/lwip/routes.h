#pragma once

#include <vector>

#include "lwip/engine.h"

namespace umvu::lwip {

class Interface;
class Stack;

// An entry of the main routing table.
struct Route {
  ip_addr_t destination;  // of the family of the route
  uint8_t prefix = 0;
  bool has_gateway = false;
  ip_addr_t gateway;
  bool has_source = false;
  ip_addr_t source;
  int interface = 0;      // index; 0 for unreachable, blackhole, prohibit
  uint32_t metric = 0;
  uint8_t type = 1;       // RTN_UNICAST
  uint8_t scope = 0;
  uint8_t protocol = 3;   // RTPROT_BOOT
  uint32_t flags = 0;

  bool v6() const { return IP_IS_V6_VAL(destination); }
  bool same(const Route& other) const;
};

bool in_prefix(const ip_addr_t& address, const ip_addr_t& network, unsigned prefix);
// Sets the bits after `prefix` to zero.
ip_addr_t network_of(const ip_addr_t& address, unsigned prefix);

// The routing table of a stack.
class Routes {
 public:
  explicit Routes(Stack* stack) : stack_(stack) {}

  const std::vector<Route>& list() const { return routes_; }
  // The best route; null: unreachable.
  const Route* find(const ip_addr_t& destination, int interface = 0) const;
  // 0 or a negated errno.
  int add(const Route& route, bool replace, bool exclusive);
  int remove(const Route& pattern, bool any_gateway, bool any_interface);
  // An interface went down or away: Linux forgets its routes.
  void forget(int interface, bool v4, bool v6);
  // The routes that come with an address.
  void connect(Interface* interface, const ip_addr_t& address, unsigned prefix);
  void disconnect(Interface* interface, const ip_addr_t& address, unsigned prefix);

 private:
  Stack* const stack_;
  std::vector<Route> routes_;
};

}  // namespace umvu::lwip
