#include "net/mac_table.h"

#include <algorithm>
#include <bit>

namespace umvu::net {
namespace {

constexpr std::size_t kMaxEntries = 1 << 20;

uint64_t mac48(const uint8_t* mac) {
  uint64_t value = 0;
  for (int i = 0; i < 6; ++i) value = value << 8 | mac[i];
  return value;
}

// The VLAN id of IEEE 802.1Q, 0 for an untagged frame.
uint64_t vlan_of(const uint8_t* frame, std::size_t size) {
  if (size < 16 || frame[12] != 0x81 || frame[13] != 0x00) return 0;
  return (frame[14] & 0x0fu) << 8 | frame[15];
}

}  // namespace

MacTable::MacTable(std::size_t entries, uint32_t expire_seconds)
    : buckets_(std::bit_ceil(std::clamp<std::size_t>(entries, kWays, kMaxEntries)) / kWays),
      expire_(expire_seconds) {
  entries_.resize(buckets_ * kWays);
}

std::size_t MacTable::bucket(uint64_t key) const {
  // Multiplicative hashing; the high bits are the well mixed ones.
  return static_cast<std::size_t>((key * 0x9e3779b97f4a7c15ull) >> 32) & (buckets_ - 1);
}

void MacTable::learn(const uint8_t* frame, std::size_t size, Port* port, uint32_t now) {
  const uint8_t* source = frame + 6;
  if ((source[0] & 1) != 0) return;
  const uint64_t key = vlan_of(frame, size) << 48 | mac48(source);
  Entry* set = &entries_[bucket(key) * kWays];
  Entry* victim = set;
  for (Entry* entry = set; entry < set + kWays; ++entry) {
    if (entry->port != nullptr && entry->key == key) {
      entry->port = port;
      entry->seen = now;
      return;
    }
    const bool older = victim->port != nullptr &&
                       (entry->port == nullptr || now - entry->seen > now - victim->seen);
    if (older) victim = entry;
  }
  *victim = {key, port, now};
}

Port* MacTable::find(const uint8_t* frame, std::size_t size, uint32_t now) const {
  if ((frame[0] & 1) != 0) return nullptr;
  const uint64_t key = vlan_of(frame, size) << 48 | mac48(frame);
  const Entry* set = &entries_[bucket(key) * kWays];
  for (const Entry* entry = set; entry < set + kWays; ++entry) {
    if (entry->port != nullptr && entry->key == key)
      return fresh(*entry, now) ? entry->port : nullptr;
  }
  return nullptr;
}

void MacTable::forget(const Port* port) {
  for (Entry& entry : entries_) {
    if (entry.port == port) entry.port = nullptr;
  }
}

}  // namespace umvu::net
