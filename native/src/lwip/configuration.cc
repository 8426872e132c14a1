#include "lwip/configuration.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "lwip/binding.h"
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

Napi::Value copy(Napi::Env env, const void* data, std::size_t size) {
  auto array = Napi::Uint8Array::New(env, size);
  std::memcpy(array.Data(), data, size);
  return array;
}

Napi::Value to_js(Napi::Env env, const ip_addr_t& ip) {
  return IP_IS_V6_VAL(ip) ? copy(env, ip_2_ip6(&ip)->addr, 16) : copy(env, &ip_2_ip4(&ip)->addr, 4);
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

Napi::Value show(Napi::Env env, const LinkState& link) {
  auto object = Napi::Object::New(env);
  object.Set("index", link.index);
  object.Set("name", link.name);
  object.Set("loopback", link.loopback);
  object.Set("up", link.up);
  object.Set("carrier", link.carrier);
  object.Set("mtu", link.mtu);
  object.Set("mac", copy(env, link.mac.data(), link.mac.size()));
  object.Set("rxPackets", static_cast<double>(link.counters.rx_frames));
  object.Set("rxBytes", static_cast<double>(link.counters.rx_bytes));
  object.Set("txPackets", static_cast<double>(link.counters.tx_frames));
  object.Set("txBytes", static_cast<double>(link.counters.tx_bytes));
  object.Set("txDropped", static_cast<double>(link.counters.dropped));
  return object;
}

Napi::Value show(Napi::Env env, const AddressState& address) {
  auto object = Napi::Object::New(env);
  object.Set("index", address.index);
  object.Set("address", to_js(env, address.ip));
  object.Set("tentative", address.tentative);
  object.Set("duplicated", address.duplicated);
  object.Set("deprecated", address.deprecated);
  object.Set("valid", number(env, address.valid));
  object.Set("preferred", number(env, address.preferred));
  return object;
}

Napi::Value show(Napi::Env env, const Neighbour& neighbour) {
  auto object = Napi::Object::New(env);
  object.Set("index", neighbour.interface);
  object.Set("address", to_js(env, neighbour.ip));
  object.Set("state", neighbour.state);
  object.Set("router", neighbour.router);
  if (neighbour.has_mac) object.Set("mac", copy(env, neighbour.mac.data(), neighbour.mac.size()));
  return object;
}

Napi::Value show(Napi::Env env, const Router& router) {
  auto object = Napi::Object::New(env);
  object.Set("index", router.index);
  object.Set("address", to_js(env, router.ip));
  object.Set("lifetime", number(env, router.lifetime));
  return object;
}

Napi::Value show(Napi::Env env, const Connection& connection) {
  auto object = Napi::Object::New(env);
  object.Set("domain", connection.domain);
  object.Set("type", connection.type);
  object.Set("protocol", connection.protocol);
  object.Set("state", connection.state);
  object.Set("local", to_js(env, connection.local.ip));
  object.Set("localPort", connection.local.port);
  object.Set("remote", to_js(env, connection.remote.ip));
  object.Set("remotePort", connection.remote.port);
  object.Set("inode", number(env, static_cast<double>(connection.inode)));
  object.Set("unsent", number(env, connection.unsent));
  object.Set("v6only", connection.v6only);
  return object;
}

int set_link(const Napi::CallbackInfo& info, Stack* stack) {
  Interface* interface = stack->interface(integer(info[0]));
  if (interface == nullptr) return -ENODEV;
  interface->rename(info[1].As<Napi::String>().Utf8Value());
  interface->set_mtu(integer(info[3]));
  if (bytes(info[4]).size() == interface->mac().size()) interface->set_mac(bytes(info[4]).data());
  interface->set_up(info[2].ToBoolean().Value());
  stack->touch();
  return 0;
}

int set_address(const Napi::CallbackInfo& info, Stack* stack) {
  Interface* interface = stack->interface(integer(info[0]));
  if (interface == nullptr) return -ENODEV;
  const ip_addr_t ip = address_of(bytes(info[1]));
  const int prefix = integer(info[2]);
  if (prefix < 0) return interface->remove_address(ip);
  return interface->add_address(ip, static_cast<unsigned>(prefix), info[3].ToBoolean().Value());
}

int set_route(const Napi::CallbackInfo& info, Stack* stack) {
  PackedRoute packed;
  if (bytes(info[1]).size() != sizeof packed) return -EINVAL;
  std::memcpy(&packed, bytes(info[1]).data(), sizeof packed);
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
  if (!info[0].ToBoolean().Value()) return stack->routes().remove(route);
  stack->routes().add(route);
  return 0;
}

int set_neighbour(const Napi::CallbackInfo& info, Stack* stack) {
  Interface* interface = stack->interface(integer(info[0]));
  if (interface == nullptr) return -ENODEV;
  const ip_addr_t ip = address_of(bytes(info[1]));
  if (!info[2].IsTypedArray()) return stack->neighbours().remove(interface, ip);
  return bytes(info[2]).size() == 6 ? stack->neighbours().set(interface, ip, bytes(info[2]).data()) : -EINVAL;
}

}  // namespace umvu::lwip
