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

bool Route::operator==(const Route& other) const {
  return prefix == other.prefix && metric == other.metric && interface == other.interface && type == other.type &&
         has_gateway == other.has_gateway && has_source == other.has_source &&
         ip_addr_cmp_zoneless(&destination, &other.destination) &&
         (!has_gateway || ip_addr_cmp_zoneless(&gateway, &other.gateway)) &&
         (!has_source || ip_addr_cmp_zoneless(&source, &other.source));
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
  return best != nullptr && best->type != RTN_UNICAST ? nullptr : best;
}

int Routes::remove(const Route& route) {
  const auto at = std::find(routes_.begin(), routes_.end(), route);
  if (at == routes_.end()) return -ESRCH;
  routes_.erase(at);
  return 0;
}

}  // namespace umvu::lwip
