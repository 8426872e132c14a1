#include "lwip/configuration.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "lwip/stack.h"

namespace umvu::lwip {
namespace {

// A route as it comes from JavaScript; addresses of IPv4 take the first 4 bytes.
struct PackedRoute {
  uint8_t family;
  uint8_t prefix;
  uint8_t type;
  uint8_t has;  // 1: a gateway, 2: a source
  int32_t interface;
  uint32_t metric;
  uint8_t destination[16];
  uint8_t gateway[16];
  uint8_t source[16];
};
static_assert(sizeof(PackedRoute) == 60);

ip_addr_t address_of(std::span<const uint8_t> given) {
  ip_addr_t ip;
  if (given.size() == 4) {
    uint32_t v4;
    std::memcpy(&v4, given.data(), sizeof v4);
    ip_addr_set_ip4_u32_val(ip, v4);
    return ip;
  }
  ip6_addr_t v6 = {};
  std::memcpy(v6.addr, given.data(), std::min<std::size_t>(given.size(), sizeof v6.addr));
  ip_addr_copy_from_ip6(ip, v6);
  return ip;
}

}  // namespace

std::vector<LinkState> list_links(const Stack& stack) {
  std::vector<LinkState> list;
  for (const auto& i : stack.interfaces()) {
    list.push_back({i->index(), i->name(), i->loopback(), i->up(), i->connected(), i->mtu(), i->mac(), i->counters()});
  }
  return list;
}

std::vector<AddressState> list_addresses(const Stack& stack) {
  std::vector<AddressState> list;
  for (const auto& interface : stack.interfaces()) {
    const netif* place = interface->base();
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; ++i) {
      const u8_t state = netif_ip6_addr_state(place, i);
      if (ip6_addr_isinvalid(state)) continue;
      AddressState address = {};
      address.index = interface->index();
      ip_addr_copy_from_ip6(address.ip, *netif_ip6_addr(place, i));
      address.tentative = ip6_addr_istentative(state) != 0;
      address.duplicated = ip6_addr_isduplicated(state);
      address.deprecated = ip6_addr_isdeprecated(state);
      address.valid = netif_ip6_addr_valid_life(place, i);
      address.preferred = netif_ip6_addr_pref_life(place, i);
      list.push_back(address);
    }
  }
  return list;
}

std::vector<Router> list_routers() {
  std::vector<Router> list;
  for (int i = 0; i < LWIP_ND6_NUM_ROUTERS; ++i) {
    const nd6_router_list_entry& entry = default_router_list[i];
    if (entry.neighbor_entry == nullptr || entry.neighbor_entry->netif == nullptr) continue;
    Router router = {};
    router.index = Interface::of(entry.neighbor_entry->netif)->index();
    ip_addr_copy_from_ip6(router.ip, entry.neighbor_entry->next_hop_address);
    router.lifetime = entry.invalidation_timer;
    list.push_back(router);
  }
  return list;
}

int set_link(Stack* stack, int index, std::string name, bool up, int mtu, std::span<const uint8_t> mac) {
  Interface* interface = stack->interface(index);
  if (interface == nullptr) return -ENODEV;
  interface->rename(std::move(name));
  interface->set_mtu(mtu);
  if (mac.size() == interface->mac().size()) interface->set_mac(mac.data());
  interface->set_up(up);
  stack->touch();
  return 0;
}

int set_address(Stack* stack, int index, std::span<const uint8_t> address, int prefix, bool tentative) {
  Interface* interface = stack->interface(index);
  if (interface == nullptr) return -ENODEV;
  const ip_addr_t ip = address_of(address);
  if (prefix < 0) return interface->remove_address(ip);
  return interface->add_address(ip, static_cast<unsigned>(prefix), tentative);
}

int set_route(Stack* stack, bool add, std::span<const uint8_t> bytes) {
  PackedRoute packed;
  if (bytes.size() != sizeof packed) return -EINVAL;
  std::memcpy(&packed, bytes.data(), sizeof packed);
  const std::size_t size = packed.family == AF_INET6 ? 16 : 4;
  Route route;
  route.destination = address_of({packed.destination, size});
  route.prefix = packed.prefix;
  route.has_gateway = (packed.has & 1) != 0;
  route.gateway = address_of({packed.gateway, size});
  route.has_source = (packed.has & 2) != 0;
  route.source = address_of({packed.source, size});
  route.interface = packed.interface;
  route.metric = packed.metric;
  route.type = packed.type;
  nd6_clear_destination_cache();
  if (!add) return stack->routes().remove(route);
  stack->routes().add(route);
  return 0;
}

int set_neighbour(Stack* stack, int index, std::span<const uint8_t> address, std::span<const uint8_t> mac) {
  Interface* interface = stack->interface(index);
  if (interface == nullptr) return -ENODEV;
  const ip_addr_t ip = address_of(address);
  if (mac.empty()) return stack->neighbours().remove(interface, ip);
  return mac.size() == 6 ? stack->neighbours().set(interface, ip, mac.data()) : -EINVAL;
}

}  // namespace umvu::lwip
