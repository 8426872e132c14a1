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
  uint8_t type = 1;       // RTN_UNICAST; others lead nowhere

  bool v6() const { return IP_IS_V6_VAL(destination); }
  bool operator==(const Route& other) const;
};

bool in_prefix(const ip_addr_t& address, const ip_addr_t& network, unsigned prefix);

// The routing table of a stack: what packets of others and of this host follow. Which routes come and go with
// addresses and interfaces, the caller knows (runtime/ioth/lwip).
class Routes {
 public:
  explicit Routes(Stack* stack) : stack_(stack) {}

  const std::vector<Route>& list() const { return routes_; }
  // The best route; null: unreachable.
  const Route* find(const ip_addr_t& destination, int interface = 0) const;
  void add(const Route& route) { routes_.push_back(route); }
  // 0, or -ESRCH when there is no such route.
  int remove(const Route& route);

 private:
  Stack* const stack_;
  std::vector<Route> routes_;
};

}  // namespace umvu::lwip
