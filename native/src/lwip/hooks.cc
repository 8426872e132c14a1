// The routing decisions of lwIP (hooks.h).
#include "lwip/hooks.h"

#include "lwip/interface.h"
#include "lwip/sock.h"
#include "lwip/stack.h"

namespace umvu::lwip {
namespace {

// Where lwIP reads a gateway right after it was returned, before anything else is called.
struct Gateways {
  ip4_addr_t v4;
  ip6_addr_t v6;
};
Gateways& gateways() {
  static thread_local Gateways value;
  return value;
}

// Broadcasts and multicasts without a route go out of the first interface that can send them.
Interface* first_ethernet(Stack* stack) {
  for (const auto& interface : stack->interfaces()) {
    if (!interface->loopback() && interface->up()) return interface.get();
  }
  return nullptr;
}

Interface* holder(Stack* stack, const ip4_addr_t* source) {
  if (source == nullptr || ip4_addr_isany(source)) return nullptr;
  for (const auto& interface : stack->interfaces()) {
    for (const Address& address : interface->addresses()) {
      if (IP_IS_V4_VAL(address.ip) && ip4_addr_cmp(ip_2_ip4(&address.ip), source)) return interface.get();
    }
  }
  return nullptr;
}

bool cut_by_link(const netif* place, unsigned protocol) {
  return protocol == IP_PROTO_TCP && Interface::of(place)->offloads();
}

}  // namespace
}  // namespace umvu::lwip

using umvu::lwip::Interface;
using umvu::lwip::Route;
using umvu::lwip::Stack;

extern "C" {

struct netif* umvu_ip4_route(const ip4_addr_t* source, const ip4_addr_t* destination) {
  Stack* stack = Stack::current();
  ip_addr_t ip;
  ip_addr_copy_from_ip4(ip, *destination);
  if (stack->is_local(ip)) return stack->loopback().up() ? stack->loopback().base() : nullptr;
  const bool group = ip4_addr_ismulticast(destination) || destination->addr == IPADDR_BROADCAST;
  if (group) {
    if (Interface* own = umvu::lwip::holder(stack, source)) return own->place_for(*source);
  }
  if (const Route* route = stack->routes().find(ip); route != nullptr) {
    Interface* interface = stack->interface(route->interface);
    const bool local_source = source != nullptr && umvu::lwip::holder(stack, source) == interface;
    const ip4_addr_t* near = local_source         ? source
                             : route->has_source  ? ip_2_ip4(&route->source)
                             : route->has_gateway ? ip_2_ip4(&route->gateway)
                                                  : destination;
    return interface->place_for(*near);
  }
  if (!group) return nullptr;
  Interface* interface = umvu::lwip::first_ethernet(stack);
  return interface == nullptr ? nullptr : interface->base();
}

struct netif* ip4_route(const ip4_addr_t* destination) { return umvu_ip4_route(nullptr, destination); }

const ip4_addr_t* umvu_ip4_gateway(struct netif* place, const ip4_addr_t* destination) {
  Stack* stack = Stack::current();
  ip_addr_t ip;
  ip_addr_copy_from_ip4(ip, *destination);
  const Route* route = stack->routes().find(ip, Interface::of(place)->index());
  ip4_addr_t& hop = umvu::lwip::gateways().v4;
  hop = route != nullptr && route->has_gateway ? *ip_2_ip4(&route->gateway) : *destination;
  return &hop;
}

struct netif* umvu_ip6_route(const ip6_addr_t* source, const ip6_addr_t* destination) {
  Stack* stack = Stack::current();
  ip_addr_t ip;
  ip_addr_copy_from_ip6(ip, *destination);
  if (stack->is_local(ip)) return stack->loopback().up() ? stack->loopback().base() : nullptr;
  // A zone is the number of a netif.
  for (const ip6_addr_t* zoned : {destination, source}) {
    if (zoned == nullptr || !ip6_addr_has_zone(zoned)) continue;
    for (const auto& interface : stack->interfaces()) {
      if (ip6_addr_test_zone(zoned, interface->base())) return interface->up() ? interface->base() : nullptr;
    }
  }
  if (const Route* route = stack->routes().find(ip); route != nullptr) {
    return stack->interface(route->interface)->base();
  }
  if (!ip6_addr_ismulticast(destination) && !ip6_addr_islinklocal(destination)) return nullptr;
  Interface* interface = umvu::lwip::first_ethernet(stack);
  return interface == nullptr ? nullptr : interface->base();
}

struct netif* ip6_route(const ip6_addr_t* source, const ip6_addr_t* destination) {
  return umvu_ip6_route(source, destination);
}

const ip6_addr_t* umvu_ip6_gateway(struct netif* place, const ip6_addr_t* destination) {
  Stack* stack = Stack::current();
  ip_addr_t ip;
  ip_addr_copy_from_ip6(ip, *destination);
  const Route* route = stack->routes().find(ip, Interface::of(place)->index());
  if (route == nullptr) return nullptr;
  ip6_addr_t& hop = umvu::lwip::gateways().v6;
  hop = route->has_gateway ? *ip_2_ip6(&route->gateway) : *destination;
  ip6_addr_assign_zone(&hop, IP6_UNICAST, place);
  return &hop;
}

int umvu_forwards(int v6) { return Stack::current()->forwards(v6 != 0) ? 1 : 0; }

#undef ip4_frag
#undef ip6_frag

err_t umvu_ip4_frag(struct pbuf* packet, struct netif* place, const ip4_addr_t* destination) {
  const auto* header = static_cast<const ip_hdr*>(packet->payload);
  if (umvu::lwip::cut_by_link(place, IPH_PROTO(header))) return place->output(place, packet, destination);
  return ip4_frag(packet, place, destination);
}

err_t umvu_ip6_frag(struct pbuf* packet, struct netif* place, const ip6_addr_t* destination) {
  const auto* header = static_cast<const ip6_hdr*>(packet->payload);
  if (umvu::lwip::cut_by_link(place, IP6H_NEXTH(header))) return place->output_ip6(place, packet, destination);
  return ip6_frag(packet, place, destination);
}

err_t umvu_tcp_in(struct tcp_pcb* pcb, struct tcp_hdr* header, const struct pbuf* data) {
  const err_t result = umvu::lwip::tcp_admits(pcb, header, data);
  return result == ERR_OK ? umvu::lwip::answers(pcb, header, data) : result;
}

}  // extern "C"
