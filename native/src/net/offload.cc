#include "net/offload.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace umvu::net {
namespace {

constexpr uint16_t kVlan = 0x8100, kServiceVlan = 0x88a8, kIpv4 = 0x0800, kIpv6 = 0x86dd;
constexpr std::size_t kMaxTags = 2;
constexpr std::size_t kMaxExtensionHeaders = 8;
constexpr uint8_t kFin = 0x01, kPsh = 0x08, kCwr = 0x80;

uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
uint32_t get32(const uint8_t* at) { return static_cast<uint32_t>(get16(at)) << 16 | get16(at + 2); }
void put16(uint8_t* at, std::size_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
void put32(uint8_t* at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value & 0xffff);
}

// The complement of `sum` goes to `at`; 0 becomes 0xffff, which is the same number and, in UDP,
// does not mean "no checksum" (RFC 768).
void store_checksum(uint8_t* at, uint64_t sum) {
  const auto value = static_cast<uint16_t>(~checksum_fold(sum));
  const uint16_t stored = value == 0 ? 0xffff : value;
  std::memcpy(at, &stored, sizeof stored);
}

}  // namespace

uint64_t checksum_add(uint64_t sum, const uint8_t* bytes, std::size_t size) {
  // One's complement addition is independent of word size: 32 bits at a time into 64 cannot
  // overflow for any frame (RFC 1071, section 2). Two accumulators let the processor overlap the
  // additions.
  uint64_t other = 0;
  for (; size >= 16; size -= 16, bytes += 16) {
    uint32_t word[4];
    std::memcpy(word, bytes, sizeof word);
    sum += static_cast<uint64_t>(word[0]) + word[1];
    other += static_cast<uint64_t>(word[2]) + word[3];
  }
  for (; size >= 2; size -= 2, bytes += 2) {
    uint16_t half;
    std::memcpy(&half, bytes, sizeof half);
    sum += half;
  }
  if (size == 1) {
    const uint8_t last[2] = {*bytes, 0};
    uint16_t half;
    std::memcpy(&half, last, sizeof half);
    sum += half;
  }
  return sum + other;
}

uint16_t checksum_fold(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

bool complete_checksum(uint8_t* frame, std::size_t size, const VnetHeader& header) {
  if ((header.flags & kNeedsCsum) == 0) return true;
  const std::size_t start = header.csum_start;
  const std::size_t field = start + header.csum_offset;
  if (start < kEthernetHeader || start >= size || field + 2 > size) return false;
  store_checksum(frame + field, checksum_add(0, frame + start, size - start));
  return true;
}

bool Segmenter::find_network() {
  if (size_ < kEthernetHeader) return false;
  std::size_t at = kEthernetHeader - 2;
  for (std::size_t tags = 0; tags < kMaxTags; ++tags) {
    const uint16_t type = get16(frame_ + at);
    if (type != kVlan && type != kServiceVlan) break;
    at += 4;
    if (at + 2 > size_) return false;
  }
  l3_ = at + 2;
  const uint16_t type = get16(frame_ + at);
  ipv6_ = type == kIpv6;
  if (ipv6_) return find_ipv6();
  return type == kIpv4 && find_ipv4();
}

bool Segmenter::find_ipv4() {
  if (l3_ + 20 > size_) return false;
  const uint8_t* ip = frame_ + l3_;
  const std::size_t header = (ip[0] & 0x0fu) * 4;
  if (ip[0] >> 4 != 4 || header < 20 || l3_ + header > size_) return false;
  if ((get16(ip + 6) & 0x3fff) != 0) return false;  // a fragment
  // A length of 0 is Linux's way to say "more than fits": the frame then ends where it ends.
  const std::size_t total = get16(ip + 2);
  if (total != 0) {
    if (total < header || l3_ + total > size_) return false;
    size_ = l3_ + total;
  }
  protocol_ = ip[9];
  l4_ = l3_ + header;
  return true;
}

bool Segmenter::find_ipv6() {
  if (l3_ + 40 > size_) return false;
  const uint8_t* ip = frame_ + l3_;
  if (ip[0] >> 4 != 6) return false;
  // A length of 0 is a jumbogram (RFC 2675), whose option would have to be taken out of the
  // segments.
  const std::size_t length = get16(ip + 4);
  if (length == 0 || l3_ + 40 + length > size_) return false;
  size_ = l3_ + 40 + length;
  uint8_t next = ip[6];
  std::size_t at = l3_ + 40;
  for (std::size_t seen = 0; seen <= kMaxExtensionHeaders; ++seen) {
    if (next == IPPROTO_TCP || next == IPPROTO_UDP) {
      protocol_ = next;
      l4_ = at;
      return true;
    }
    const bool known =
        next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING;
    if (!known || at + 8 > size_) return false;
    // With segments left the pseudo header would need the final destination (RFC 8200, 8.1).
    if (next == IPPROTO_ROUTING && frame_[at + 3] != 0) return false;
    next = frame_[at];
    at += (frame_[at + 1] + 1u) * 8;
    if (at > size_) return false;
  }
  return false;
}

bool Segmenter::find_transport(uint8_t gso_type) {
  const bool udp = gso_type == kGsoUdpL4;
  const bool family_fits = udp || ipv6_ == (gso_type == kGsoTcp6);
  if (!family_fits || protocol_ != (udp ? IPPROTO_UDP : IPPROTO_TCP)) return false;
  const std::size_t least = udp ? 8 : 20;
  if (l4_ + least > size_) return false;
  const std::size_t header = udp ? 8 : (frame_[l4_ + 12] >> 4) * 4u;
  if (header < least || l4_ + header > size_) return false;
  payload_ = l4_ + header;
  return true;
}

bool Segmenter::plan(const uint8_t* frame, std::size_t size, const VnetHeader& header) {
  frame_ = frame;
  size_ = size;
  const auto type = static_cast<uint8_t>(header.gso_type & ~kGsoEcn);
  if (type != kGsoTcp4 && type != kGsoTcp6 && type != kGsoUdpL4) return false;
  if (header.gso_size == 0 || !find_network() || !find_transport(type)) return false;
  mss_ = header.gso_size;
  const std::size_t bytes = size_ - payload_;
  if (payload_ + std::min(mss_, bytes) > kMaxPlainFrame) return false;
  count_ = bytes == 0 ? 1 : (bytes + mss_ - 1) / mss_;
  return count_ <= kMaxSegments;
}

void Segmenter::fix_network(uint8_t* out, std::size_t index, std::size_t size) const {
  uint8_t* ip = out + l3_;
  if (ipv6_) {
    put16(ip + 4, size - l3_ - 40);
    return;
  }
  put16(ip + 2, size - l3_);
  put16(ip + 4, get16(ip + 4) + index);
  put16(ip + 10, 0);
  store_checksum(ip + 10, checksum_add(0, ip, l4_ - l3_));
}

void Segmenter::fix_transport(uint8_t* out, std::size_t index, std::size_t size) const {
  uint8_t* transport = out + l4_;
  const std::size_t length = size - l4_;
  std::size_t field = 6;
  if (protocol_ == IPPROTO_UDP) {
    put16(transport + 4, length);
  } else {
    field = 16;
    put32(transport + 4, get32(transport + 4) + static_cast<uint32_t>(index * mss_));
    if (index + 1 < count_) transport[13] &= static_cast<uint8_t>(~(kFin | kPsh));
    if (index > 0) transport[13] &= static_cast<uint8_t>(~kCwr);
  }
  put16(transport + field, 0);
  // Pseudo header (RFC 9293, 3.1; RFC 8200, 8.1): the addresses, the protocol and the length.
  const uint64_t addresses =
      ipv6_ ? checksum_add(0, out + l3_ + 8, 32) : checksum_add(0, out + l3_ + 12, 8);
  const uint64_t pseudo = addresses + htons(protocol_) + htons(static_cast<uint16_t>(length));
  store_checksum(transport + field, checksum_add(pseudo, transport, length));
}

std::size_t Segmenter::write(std::size_t index, uint8_t* out) const {
  const std::size_t from = payload_ + index * mss_;
  const std::size_t bytes = std::min(mss_, size_ - from);
  const std::size_t size = payload_ + bytes;
  std::memcpy(out, frame_, payload_);
  std::memcpy(out + payload_, frame_ + from, bytes);
  fix_network(out, index, size);
  fix_transport(out, index, size);
  return size;
}

}  // namespace umvu::net
