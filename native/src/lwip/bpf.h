#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace umvu::lwip {

// What a filter can ask about a packet.
struct FilterInput {
  std::span<const uint8_t> bytes;  // what it indexes
  std::span<const uint8_t> frame;  // from the Ethernet header (SKF_LL_OFF)
  uint16_t protocol = 0;           // ETH_P_…, host byte order
  uint8_t packet_type = 0;         // PACKET_HOST, …
  int interface = 0;
  uint16_t hardware = 0;           // ARPHRD_…
};

// A classic BPF program of a guest (SO_ATTACH_FILTER of socket(7)), checked before it runs as the kernel checks it:
// known instructions, jumps forward and inside, no division by a constant zero, no scratch word read before it
// was written, a return at the end. So it ends, and reads nothing outside of the packet.
class PacketFilter {
 public:
  // Takes the bytes of an array of struct sock_filter. 0, or -EINVAL; the old program is kept then.
  int load(std::span<const uint8_t> program);
  void clear() { program_.clear(); }
  bool empty() const { return program_.empty(); }
  // How many bytes of the packet are wanted; 0: none. Without a program: all.
  uint32_t run(const FilterInput& input) const;

 private:
  std::vector<sock_filter> program_;
};

}  // namespace umvu::lwip
