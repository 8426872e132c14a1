#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "lwip/engine.h"

namespace umvu::lwip {

class Interface;

// What is known about the hardware address of a neighbour.
struct Neighbour {
  ip_addr_t ip;
  int interface = 0;    // index
  uint16_t state = 0;   // NUD_…
  bool router = false;
  bool has_mac = false;
  std::array<uint8_t, 6> mac{};
};

// The neighbours of a stack: the ARP and the neighbour cache of lwIP, and the entries that were made by hand. Inside
// the image.
class Neighbours {
 public:
  // Most entries by hand of one family: there must be room for others.
  static constexpr std::size_t kMost = LWIP_ND6_NUM_NEIGHBORS / 2;

  std::vector<Neighbour> list() const;
  // Makes an entry that stays. 0 or a negated errno.
  int set(Interface* interface, const ip_addr_t& ip, const uint8_t* mac);
  // Forgets an entry, made by hand or learnt.
  int remove(Interface* interface, const ip_addr_t& ip);
  // To be called after whatever may have changed entries of IPv6: lwIP knows none that stay.
  void hold();
  // Asks again for neighbours whose hardware address has changed since the last call: who has said so may have lied, and
  // lwIP would believe it for minutes. Linux does so when an entry is used (NUD_STALE). To be called once a second.
  void verify();

 private:
  struct Held {
    Interface* interface;
    ip6_addr_t ip;
    std::array<uint8_t, 6> mac;
  };
  // What was known of one entry of a table; empty ones are all zeroes.
  struct Known {
    ip6_addr_t ip = {};
    std::array<uint8_t, 6> mac{};
  };
  // Whether `now` contradicts what was known; it is known from now on.
  bool contradicts(std::size_t at, const Known& now);
  nd6_neighbor_cache_entry* entry_of(const Held& held) const;
  bool keep(const Held& held) const;
  bool is_held(const nd6_neighbor_cache_entry& entry) const;

  std::vector<Held> held_;
  std::vector<Known> known_;  // ARP, then IPv6; none before there is the first
};

}  // namespace umvu::lwip
