#pragma once

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>

#include "net/offload.h"

namespace umvu::net {

// A frame in a slot of a pump's buffers. The virtio header always lies right before it, zeroed when
// the frame came without one, so a port with or without headers can be given the frame with one
// pointer.
struct Frame {
  uint8_t* raw = nullptr;  // the virtio header
  std::size_t size = 0;    // bytes of the frame after the header

  uint8_t* data() const { return raw + sizeof(VnetHeader); }
  VnetHeader header() const {
    VnetHeader value;
    std::memcpy(&value, raw, sizeof value);
    return value;
  }
  void set_header(const VnetHeader& value) const { std::memcpy(raw, &value, sizeof value); }
  void clear_header() const { std::memset(raw, 0, sizeof(VnetHeader)); }
};

// The largest frame of a port with headers: 64 KiB of IP, the Ethernet header and two VLAN tags,
// and slack.
inline constexpr std::size_t kMaxOffloadFrame = 65600;
// Frames taken from one port per turn, so that a busy port cannot starve others.
inline constexpr std::size_t kBatch = 32;
// Segments that may wait in the outgoing batches of ports.
inline constexpr std::size_t kSegments = 64;

// Storage of the frames in flight, one per pump: nothing is allocated per frame. Pages are
// committed by the kernel when they are first touched.
class Buffers {
 public:
  // A slot for a frame of up to kMaxOffloadFrame bytes; `index` < kBatch. 4 bytes before it are
  // free, for a VLAN tag. The IP header is aligned to 4 bytes.
  uint8_t* slot(std::size_t index) { return slots_.get() + index * kSlotBytes + kHeadroom; }
  // A slot for a plain frame; `index` < kSegments.
  uint8_t* segment(std::size_t index) { return segments_.get() + index * kSegmentBytes; }

 private:
  static constexpr std::size_t kHeadroom = 8;
  // Not a multiple of the page size, so that slots do not compete for the same cache sets.
  static constexpr std::size_t kSlotBytes = kHeadroom + sizeof(VnetHeader) + kMaxOffloadFrame + 46;
  static constexpr std::size_t kSegmentBytes = (sizeof(VnetHeader) + kMaxPlainFrame + 63) / 64 * 64;
  static_assert(kSlotBytes % 16 == 0);

  std::unique_ptr<uint8_t[]> slots_{new uint8_t[kBatch * kSlotBytes]};
  std::unique_ptr<uint8_t[]> segments_{new uint8_t[kSegments * kSegmentBytes]};
};

// Arguments of recvmmsg(2), shared by the ports of a pump.
struct ReceiveBatch {
  mmsghdr messages[kBatch];
  iovec parts[kBatch];
  alignas(cmsghdr) uint8_t control[kBatch][CMSG_SPACE(sizeof(tpacket_auxdata))];
};

}  // namespace umvu::net
