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
  // To be called after the timers of lwIP, which know no entries of IPv6 that stay.
  void hold();

 private:
  struct Held {
    Interface* interface;
    ip6_addr_t ip;
    std::array<uint8_t, 6> mac;
  };
  static nd6_neighbor_cache_entry* entry_of(const Held& held);
  static bool keep(const Held& held);

  std::vector<Held> held_;
};

}  // namespace umvu::lwip
