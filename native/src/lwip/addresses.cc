// The configuration of an interface: its state and its addresses.
#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lwip/interface.h"
#include "lwip/stack.h"

namespace umvu::lwip {
namespace {

// lwIP counts its netifs with 8 bits, and fails an assertion beyond.
constexpr std::size_t kMostPlaces = 250;

}  // namespace

void Interface::set_up(bool up) {
  if (up == up_) return;
  up_ = up;
  netif* first = base();
  if (!up) {
    for (const auto& place : places_) netif_set_down(place.get());
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; ++i) netif_ip6_addr_set_state(first, i, IP6_ADDR_INVALID);
    collect_addresses();
    return;
  }
  if (!loopback()) netif_set_ip6_autoconfig_enabled(first, 1);
  for (const auto& place : places_) netif_set_up(place.get());
  stack_->touch();
}

void Interface::set_mac(const uint8_t* mac) {
  std::copy_n(mac, mac_.size(), mac_.begin());
  for (const auto& place : places_) std::memcpy(place->hwaddr, mac, ETH_HWADDR_LEN);
}

void Interface::set_mtu(int mtu) {
  mtu_ = mtu;
  for (const auto& place : places_) {
    place->mtu = static_cast<u16_t>(std::min(mtu, 65535));
    place->mtu6 = place->mtu;
  }
}

const Address* Interface::find(const ip_addr_t& ip) const {
  const auto at = std::find_if(addresses_.begin(), addresses_.end(),
                               [&](auto& a) { return ip_addr_cmp_zoneless(&a.ip, &ip); });
  return at == addresses_.end() ? nullptr : &*at;
}

int Interface::add_address(const ip_addr_t& ip, unsigned prefix, bool tentative) {
  Address address{ip, static_cast<uint8_t>(prefix), base()};
  if (IP_IS_V4_VAL(ip)) {
    // The same address may be there with another prefix.
    const bool first = ip4_addr_isany_val(*netif_ip4_addr(base()));
    if (!first && stack_->places() >= kMostPlaces) return -ENOBUFS;
    if (!first) address.place = new_place();
    ip4_addr_t mask, none = {0};
    mask.addr = htonl(prefix == 0 ? 0 : 0xffffffffu << (32 - prefix));
    netif_set_addr(address.place, ip_2_ip4(&address.ip), &mask, &none);
  } else {
    if (find(ip) != nullptr) return -EEXIST;
    s8_t slot = -1;
    ip6_addr_t zoned = *ip_2_ip6(&ip);
    ip6_addr_assign_zone(&zoned, IP6_UNICAST, base());
    if (netif_add_ip6_address(base(), &zoned, &slot) != ERR_OK || slot < 0) return -ENOBUFS;
    ip_addr_copy_from_ip6(address.ip, zoned);
    netif_ip6_addr_set_valid_life(base(), slot, IP6_ADDR_LIFE_STATIC);
    netif_ip6_addr_set_pref_life(base(), slot, IP6_ADDR_LIFE_INFINITE);
    netif_ip6_addr_set_state(base(), slot, tentative ? IP6_ADDR_TENTATIVE : IP6_ADDR_PREFERRED);
  }
  addresses_.push_back(address);
  stack_->touch();
  return 0;
}

int Interface::remove_address(const ip_addr_t& ip) {
  const auto at = std::find_if(addresses_.begin(), addresses_.end(),
                               [&](auto& a) { return ip_addr_cmp_zoneless(&a.ip, &ip); });
  if (at == addresses_.end()) return -EADDRNOTAVAIL;
  const Address gone = *at;
  addresses_.erase(at);
  if (IP_IS_V6_VAL(ip)) {
    const s8_t slot = netif_get_ip6_addr_match(base(), ip_2_ip6(&gone.ip));
    if (slot >= 0) netif_ip6_addr_set_state(base(), slot, IP6_ADDR_INVALID);
  } else if (gone.place == base()) {
    ip4_addr_t none = {0};
    netif_set_addr(base(), &none, &none, &none);
  } else {
    drop_place(gone.place);
  }
  return 0;
}

netif* Interface::place_for(const ip4_addr_t& destination) {
  ip_addr_t ip;
  ip_addr_copy_from_ip4(ip, destination);
  for (const Address& address : addresses_) {
    if (IP_IS_V4_VAL(address.ip) && ip4_addr_cmp(ip_2_ip4(&address.ip), &destination)) return address.place;
  }
  for (const Address& address : addresses_) {
    if (IP_IS_V4_VAL(address.ip) && in_prefix(ip, address.ip, address.prefix)) return address.place;
  }
  return base();
}

void Interface::collect_addresses() {
  const netif* place = base();
  std::erase_if(addresses_, [&](const Address& a) {
    return IP_IS_V6_VAL(a.ip) && netif_get_ip6_addr_match(base(), ip_2_ip6(&a.ip)) < 0;
  });
  for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; ++i) {
    if (ip6_addr_isinvalid(netif_ip6_addr_state(place, i))) continue;
    ip_addr_t ip;
    ip_addr_copy_from_ip6(ip, *netif_ip6_addr(place, i));
    if (find(ip) == nullptr) addresses_.push_back({ip, 64, base()});
  }
}

}  // namespace umvu::lwip
