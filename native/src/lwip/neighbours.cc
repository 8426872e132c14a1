#include "lwip/neighbours.h"

#include <linux/neighbour.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lwip/interface.h"

namespace umvu::lwip {
namespace {

uint16_t state_of(const nd6_neighbor_cache_entry& entry) {
  switch (entry.state) {
    case ND6_INCOMPLETE: return NUD_INCOMPLETE;
    case ND6_REACHABLE: return NUD_REACHABLE;
    case ND6_DELAY: return NUD_DELAY;
    case ND6_PROBE: return NUD_PROBE;
    default: return NUD_STALE;
  }
}

nd6_neighbor_cache_entry* find_entry(const ip6_addr_t& ip, const netif* place) {
  for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; ++i) {
    nd6_neighbor_cache_entry& entry = neighbor_cache[i];
    if (entry.state != ND6_NO_ENTRY && entry.netif == place && ip6_addr_cmp_zoneless(&entry.next_hop_address, &ip)) {
      return &entry;
    }
  }
  return nullptr;
}

}  // namespace

std::vector<Neighbour> Neighbours::list() const {
  std::vector<Neighbour> all;
  const auto add = [&all](const netif* place, uint16_t state, const uint8_t* mac) {
    Neighbour neighbour;
    neighbour.interface = Interface::of(place)->index();
    neighbour.state = state;
    neighbour.has_mac = mac != nullptr;
    if (mac != nullptr) std::copy_n(mac, neighbour.mac.size(), neighbour.mac.begin());
    all.push_back(neighbour);
  };
  for (std::size_t i = 0; i < ARP_TABLE_SIZE; ++i) {
    ip4_addr_t* ip;
    netif* place;
    eth_addr* mac;
    if (etharp_get_entry(i, &ip, &place, &mac) == 0) continue;
    add(place, NUD_REACHABLE, mac->addr);
    ip_addr_copy_from_ip4(all.back().ip, *ip);
  }
  for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; ++i) {
    const nd6_neighbor_cache_entry& entry = neighbor_cache[i];
    if (entry.state == ND6_NO_ENTRY) continue;
    add(entry.netif, state_of(entry), entry.state == ND6_INCOMPLETE ? nullptr : entry.lladdr);
    ip_addr_copy_from_ip6(all.back().ip, entry.next_hop_address);
    all.back().router = entry.isrouter != 0;
  }
  return all;
}

int Neighbours::set(Interface* interface, const ip_addr_t& ip, const uint8_t* mac) {
  eth_addr hardware;
  std::memcpy(hardware.addr, mac, sizeof hardware.addr);
  if (IP_IS_V4_VAL(ip)) return etharp_add_static_entry(ip_2_ip4(&ip), &hardware) == ERR_OK ? 0 : -ENETUNREACH;
  remove(interface, ip);
  Held held{interface, *ip_2_ip6(&ip), {}};
  ip6_addr_assign_zone(&held.ip, IP6_UNICAST, interface->base());
  std::copy_n(mac, held.mac.size(), held.mac.begin());
  if (!keep(held)) return -ENOBUFS;
  held_.push_back(held);
  return 0;
}

int Neighbours::remove(Interface* interface, const ip_addr_t& ip) {
  if (IP_IS_V4_VAL(ip)) {
    // lwIP removes only what stays, so an entry that was learnt becomes one that does.
    eth_addr any{{2, 0, 0, 0, 0, 0}};
    if (etharp_add_static_entry(ip_2_ip4(&ip), &any) != ERR_OK) return -ENOENT;
    return etharp_remove_static_entry(ip_2_ip4(&ip)) == ERR_OK ? 0 : -ENOENT;
  }
  std::erase_if(held_, [&](const Held& held) {
    return held.interface == interface && ip6_addr_cmp_zoneless(&held.ip, ip_2_ip6(&ip));
  });
  nd6_neighbor_cache_entry* entry = find_entry(*ip_2_ip6(&ip), interface->base());
  if (entry == nullptr) return -ENOENT;
  // An entry that a packet waits for goes by itself, as does that of a router.
  if (entry->q != nullptr || entry->isrouter != 0) return 0;
  entry->state = ND6_NO_ENTRY;
  entry->netif = nullptr;
  ip6_addr_set_zero(&entry->next_hop_address);
  nd6_clear_destination_cache();
  return 0;
}

bool Neighbours::is_held(const nd6_neighbor_cache_entry& entry) const {
  return std::any_of(held_.begin(), held_.end(), [&](const Held& held) {
    return entry.netif == held.interface->base() && ip6_addr_cmp_zoneless(&entry.next_hop_address, &held.ip);
  });
}

// Its own, an empty one, or one that was learnt.
nd6_neighbor_cache_entry* Neighbours::entry_of(const Held& held) const {
  if (auto* known = find_entry(held.ip, held.interface->base())) return known;
  nd6_neighbor_cache_entry* learnt = nullptr;
  for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; ++i) {
    nd6_neighbor_cache_entry& entry = neighbor_cache[i];
    if (entry.state == ND6_NO_ENTRY) return &entry;
    if (entry.q == nullptr && entry.isrouter == 0 && !is_held(entry)) learnt = &entry;
  }
  return learnt;
}

bool Neighbours::keep(const Held& held) const {
  nd6_neighbor_cache_entry* entry = entry_of(held);
  if (entry == nullptr) return false;
  ip6_addr_copy(entry->next_hop_address, held.ip);
  entry->netif = held.interface->base();
  entry->state = ND6_REACHABLE;
  std::copy(held.mac.begin(), held.mac.end(), entry->lladdr);
  // Milliseconds; renewed each second.
  entry->counter.reachable_time = 60000;
  return true;
}

void Neighbours::hold() {
  std::erase_if(held_, [](const Held& held) { return !held.interface->up(); });
  for (const Held& held : held_) keep(held);
}

bool Neighbours::contradicts(std::size_t at, const Known& now) {
  Known& before = known_[at];
  const bool other = before.mac != now.mac && ip6_addr_cmp_zoneless(&before.ip, &now.ip) &&
                     !ip6_addr_isany(&now.ip);
  before = now;
  return other;
}

void Neighbours::verify() {
  if (known_.empty()) known_.resize(ARP_TABLE_SIZE + LWIP_ND6_NUM_NEIGHBORS);
  for (std::size_t i = 0; i < ARP_TABLE_SIZE; ++i) {
    ip4_addr_t* ip;
    netif* place;
    eth_addr* mac;
    Known now;
    const bool there = etharp_get_entry(i, &ip, &place, &mac) != 0;
    if (there) {
      now.ip.addr[3] = ip->addr;
      std::copy_n(mac->addr, now.mac.size(), now.mac.begin());
    }
    if (contradicts(i, now)) etharp_request(place, ip);
  }
  for (std::size_t i = 0; i < LWIP_ND6_NUM_NEIGHBORS; ++i) {
    nd6_neighbor_cache_entry& entry = neighbor_cache[i];
    Known now;
    if (entry.state != ND6_NO_ENTRY && entry.state != ND6_INCOMPLETE) {
      now.ip = entry.next_hop_address;
      std::copy_n(entry.lladdr, now.mac.size(), now.mac.begin());
    }
    if (!contradicts(ARP_TABLE_SIZE + i, now) || is_held(entry)) continue;
    // Where nobody answers at that address, it is looked for anew.
    entry.state = ND6_PROBE;
    entry.counter.probes_sent = 0;
  }
}

}  // namespace umvu::lwip
