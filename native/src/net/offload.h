// What network hardware would do: checksums and segmentation, in software, for ports that cannot
// take frames with a virtio-net header. Pure functions; every byte they read is hostile.
#pragma once

#include <cstddef>
#include <cstdint>

namespace umvu::net {

// struct virtio_net_hdr of <linux/virtio_net.h>, in host byte order (as tap and packet sockets use
// it unless told otherwise). VIRTIO 1.2, 5.1.6.
struct VnetHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t hdr_len;
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
};
static_assert(sizeof(VnetHeader) == 10);

inline constexpr uint8_t kNeedsCsum = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
inline constexpr uint8_t kGsoNone = 0;
inline constexpr uint8_t kGsoTcp4 = 1;
inline constexpr uint8_t kGsoTcp6 = 4;
inline constexpr uint8_t kGsoUdpL4 = 5;
inline constexpr uint8_t kGsoEcn = 0x80;  // bit beside the type

inline constexpr std::size_t kEthernetHeader = 14;
// The largest frame of a VDE network: 9216 bytes, the Ethernet header and a VLAN tag.
inline constexpr std::size_t kMaxPlainFrame = 9234;
// Above any segment count that Linux makes of 64 KiB (minimum MSS 48); more is an attempt to
// amplify.
inline constexpr std::size_t kMaxSegments = 2048;

// True when the frame is not a complete one by itself.
inline bool needs_offload(const VnetHeader& header) {
  return (header.flags & kNeedsCsum) != 0 || header.gso_type != kGsoNone;
}

// Internet checksum (RFC 1071) of `size` bytes added to `sum`; not folded, not complemented.
uint64_t checksum_add(uint64_t sum, const uint8_t* bytes, std::size_t size);
// Folds a sum of checksum_add to 16 bits (not complemented), in the byte order of memory.
uint16_t checksum_fold(uint64_t sum);

// Finishes the partial checksum that `header` describes, in place. False when the header lies
// outside of the frame. The caller clears the header.
bool complete_checksum(uint8_t* frame, std::size_t size, const VnetHeader& header);

// Cuts a GSO frame into frames that fit the maximum segment size: plan once, then write each
// segment.
class Segmenter {
 public:
  // False when the frame is malformed, of a kind that is not cut (fragments, AH, source routes that
  // are not finished, UFO), or would give segments over kMaxPlainFrame or over kMaxSegments of
  // them. `frame` must live as long as write() is called.
  bool plan(const uint8_t* frame, std::size_t size, const VnetHeader& header);
  std::size_t count() const { return count_; }
  // Writes segment `index` (< count()) to `out`, which has room for kMaxPlainFrame bytes. Its size.
  std::size_t write(std::size_t index, uint8_t* out) const;

 private:
  bool find_network();
  bool find_ipv4();
  bool find_ipv6();
  bool find_transport(uint8_t gso_type);
  void fix_network(uint8_t* out, std::size_t index, std::size_t size) const;
  void fix_transport(uint8_t* out, std::size_t index, std::size_t size) const;

  const uint8_t* frame_ = nullptr;
  std::size_t size_ = 0;     // without bytes after the IP packet
  std::size_t l3_ = 0;       // offset of the IP header
  std::size_t l4_ = 0;       // offset of the TCP or UDP header
  std::size_t payload_ = 0;  // offset of the payload = bytes of headers
  std::size_t mss_ = 0;
  std::size_t count_ = 0;
  uint8_t protocol_ = 0;
  bool ipv6_ = false;
};

}  // namespace umvu::net
