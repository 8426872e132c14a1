#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace umvu::net {

class Port;

// Where stations were last heard, keyed on (MAC address, VLAN id). Fixed size, set associative: a
// flood of invented addresses costs neighbours their entry (their frames are flooded until they
// speak again), never memory. Entries age by comparison of times; no timer runs.
class MacTable {
 public:
  // `entries` is rounded up to a power of two.
  MacTable(std::size_t entries, uint32_t expire_seconds);

  // Notes the sender of a frame of at least 14 bytes. Group addresses are not learned.
  void learn(const uint8_t* frame, std::size_t size, Port* port, uint32_t now);
  // The port of the receiver; null for group addresses, unknown and expired ones.
  Port* find(const uint8_t* frame, std::size_t size, uint32_t now) const;
  // Forgets all that was learned from `port`.
  void forget(const Port* port);

 private:
  static constexpr std::size_t kWays = 4;
  struct Entry {
    uint64_t key = 0;
    Port* port = nullptr;
    uint32_t seen = 0;
  };
  std::size_t bucket(uint64_t key) const;
  bool fresh(const Entry& entry, uint32_t now) const { return now - entry.seen < expire_; }

  std::vector<Entry> entries_;
  std::size_t buckets_;
  uint32_t expire_;
};

}  // namespace umvu::net
