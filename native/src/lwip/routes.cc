#include "lwip/routes.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lwip/interface.h"
#include "lwip/stack.h"

namespace umvu::lwip {
namespace {

const uint8_t* bytes_of(const ip_addr_t& ip) {
  return IP_IS_V6_VAL(ip) ? reinterpret_cast<const uint8_t*>(ip_2_ip6(&ip)->addr)
                          : reinterpret_cast<const uint8_t*>(&ip_2_ip4(&ip)->addr);
}

}  // namespace

bool in_prefix(const ip_addr_t& address, const ip_addr_t& network, unsigned prefix) {
  if (IP_IS_V6_VAL(address) != IP_IS_V6_VAL(network)) return false;
  const uint8_t* a = bytes_of(address);
  const uint8_t* b = bytes_of(network);
  const unsigned whole = prefix / 8;
  if (std::memcmp(a, b, whole) != 0) return false;
  const unsigned rest = prefix % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

ip_addr_t network_of(const ip_addr_t& address, unsigned prefix) {
  ip_addr_t result = address;
  auto* bytes = const_cast<uint8_t*>(bytes_of(result));
  const unsigned size = IP_IS_V6_VAL(address) ? 16 : 4;
  for (unsigned i = 0; i < size; ++i) {
    const unsigned kept = prefix > i * 8 ? std::min(8u, prefix - i * 8) : 0;
    bytes[i] &= static_cast<uint8_t>(0xff00 >> kept);
  }
  return result;
}

bool Route::same(const Route& other) const {
  return prefix == other.prefix && metric == other.metric && ip_addr_cmp_zoneless(&destination, &other.destination);
}

const Route* Routes::find(const ip_addr_t& destination, int interface) const {
  const Route* best = nullptr;
  for (const Route& route : routes_) {
    if (!in_prefix(destination, route.destination, route.prefix)) continue;
    if (interface != 0 && route.interface != interface) continue;
    if (route.interface != 0) {
      const Interface* out = stack_->interface(route.interface);
      if (out == nullptr || !out->up()) continue;
    }
    if (best == nullptr || route.prefix > best->prefix ||
        (route.prefix == best->prefix && route.metric < best->metric)) {
      best = &route;
    }
  }
  return best != nullptr && best->type != RTN_UNICAST && best->type != RTN_LOCAL ? nullptr : best;
}

int Routes::add(const Route& route, bool replace, bool exclusive) {
  const auto same = std::find_if(routes_.begin(), routes_.end(), [&](auto& r) {
    return r.same(route) && (!route.v6() || replace ||
                             (r.interface == route.interface && r.has_gateway == route.has_gateway &&
                              (!r.has_gateway || ip_addr_cmp_zoneless(&r.gateway, &route.gateway))));
  });
  if (same != routes_.end()) {
    if (replace) {
      *same = route;
      return 0;
    }
    if (exclusive || route.v6()) return -EEXIST;
  }
  routes_.push_back(route);
  return 0;
}

int Routes::remove(const Route& pattern, bool any_gateway, bool any_interface) {
  const auto at = std::find_if(routes_.begin(), routes_.end(), [&](auto& r) {
    if (r.prefix != pattern.prefix || !ip_addr_cmp_zoneless(&r.destination, &pattern.destination)) return false;
    if (!any_interface && r.interface != pattern.interface) return false;
    if (pattern.metric != 0 && r.metric != pattern.metric) return false;
    return any_gateway || (r.has_gateway && ip_addr_cmp_zoneless(&r.gateway, &pattern.gateway));
  });
  if (at == routes_.end()) return -ESRCH;
  routes_.erase(at);
  return 0;
}

void Routes::forget(int interface, bool v4, bool v6) {
  std::erase_if(routes_, [&](auto& r) { return r.interface == interface && (r.v6() ? v6 : v4); });
}

void Routes::connect(Interface* interface, const ip_addr_t& address, unsigned prefix) {
  const bool v6 = IP_IS_V6_VAL(address);
  if (interface->loopback() || (!v6 && prefix == 32)) return;
  Route route;
  route.destination = network_of(address, prefix);
  route.prefix = static_cast<uint8_t>(prefix);
  route.interface = interface->index();
  route.protocol = RTPROT_KERNEL;
  if (v6) {
    route.metric = 256;
  } else {
    route.scope = RT_SCOPE_LINK;
    route.has_source = true;
    route.source = address;
  }
  const bool known = std::any_of(routes_.begin(), routes_.end(), [&](auto& r) {
    return r.same(route) && r.interface == route.interface && r.protocol == RTPROT_KERNEL;
  });
  if (!known) routes_.push_back(route);
}

void Routes::disconnect(Interface* interface, const ip_addr_t& address, unsigned prefix) {
  const ip_addr_t network = network_of(address, prefix);
  for (const Address& other : interface->addresses()) {
    if (other.prefix == prefix && in_prefix(other.ip, network, prefix)) return;
  }
  std::erase_if(routes_, [&](auto& r) {
    return r.interface == interface->index() && r.protocol == RTPROT_KERNEL && r.prefix == prefix &&
           ip_addr_cmp_zoneless(&r.destination, &network);
  });
  // Gateways in that network cannot be reached any more.
  std::erase_if(routes_, [&](auto& r) {
    return r.interface == interface->index() && r.has_gateway && !r.v6() && in_prefix(r.gateway, network, prefix);
  });
}

}  // namespace umvu::lwip
