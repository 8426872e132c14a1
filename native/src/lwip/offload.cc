#include "lwip/offload.h"

#include <linux/if_ether.h>
#include <netinet/in.h>

#include <cstring>

namespace umvu::lwip {
namespace {

using net::kEthernetHeader;
using net::VnetHeader;

constexpr uint8_t kDataValid = 2;  // VIRTIO_NET_HDR_F_DATA_VALID
// Zeroes behind a packet. lwIP reads an ARP packet as a whole and the first bytes of IPv6 extension headers before it
// looks whether they are there: hardware would have padded the frame.
constexpr std::size_t kPadding = 64;

uint16_t load16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

}  // namespace

VnetHeader offload_header(uint8_t* frame, std::size_t size, int mtu) {
  VnetHeader header = {};
  if (size < kEthernetHeader + 20) return header;
  uint8_t* ip = frame + kEthernetHeader;
  const uint16_t type = load16(frame + 12);
  std::size_t ip_size, addresses, length;
  if (type == ETH_P_IP) {
    ip_size = static_cast<std::size_t>(ip[0] & 15) * 4;
    // Fragments are complete as they are.
    if (ip[9] != IPPROTO_TCP || (load16(ip + 6) & 0x3fff) != 0) return header;
    addresses = 12;
    length = 8;
  } else if (type == ETH_P_IPV6) {
    ip_size = 40;
    if (ip[6] != IPPROTO_TCP) return header;
    addresses = 8;
    length = 32;
  } else {
    return header;
  }
  if (size < kEthernetHeader + ip_size + 20) return header;
  uint8_t* tcp = ip + ip_size;
  const std::size_t tcp_bytes = size - kEthernetHeader - ip_size;
  uint64_t sum = net::checksum_add(0, ip + addresses, length);
  const uint8_t rest[4] = {0, IPPROTO_TCP, static_cast<uint8_t>(tcp_bytes >> 8), static_cast<uint8_t>(tcp_bytes)};
  sum = net::checksum_add(sum, rest, sizeof rest);
  const uint16_t folded = net::checksum_fold(sum);
  std::memcpy(tcp + 16, &folded, sizeof folded);
  header.flags = net::kNeedsCsum;
  header.csum_start = static_cast<uint16_t>(kEthernetHeader + ip_size);
  header.csum_offset = 16;
  if (size - kEthernetHeader > static_cast<std::size_t>(mtu)) {
    const std::size_t tcp_size = static_cast<std::size_t>(tcp[12] >> 4) * 4;
    header.gso_type = type == ETH_P_IP ? net::kGsoTcp4 : net::kGsoTcp6;
    header.hdr_len = static_cast<uint16_t>(kEthernetHeader + ip_size + tcp_size);
    header.gso_size = static_cast<uint16_t>(static_cast<std::size_t>(mtu) - ip_size - tcp_size);
  }
  return header;
}

bool parse_frame(const uint8_t* bytes, std::size_t size, const uint8_t* mac, Received* received) {
  constexpr std::size_t kHeaders = sizeof(VnetHeader) + kEthernetHeader;
  if (size <= kHeaders) return false;
  VnetHeader header;
  std::memcpy(&header, bytes, sizeof header);
  const uint8_t* frame = bytes + sizeof header;
  received->cast = 0;
  if ((frame[0] & 1) != 0) {
    static constexpr uint8_t kBroadcast[6] = {255, 255, 255, 255, 255, 255};
    received->cast = std::memcmp(frame, kBroadcast, 6) == 0 ? PBUF_FLAG_LLBCAST : PBUF_FLAG_LLMCAST;
  } else if (std::memcmp(frame, mac, 6) != 0) {
    return false;
  }
  received->type = load16(frame + 12);
  if (received->type != ETH_P_IP && received->type != ETH_P_IPV6 && received->type != ETH_P_ARP) return false;
  received->trusted = (header.flags & (net::kNeedsCsum | kDataValid)) != 0;
  const std::size_t packet = size - kHeaders;
  if (packet > UINT16_MAX - kPadding) return false;
  // With room for another Ethernet header, for packets that are passed on.
  received->packet = pbuf_alloc(PBUF_LINK, static_cast<u16_t>(packet + kPadding), PBUF_RAM);
  if (received->packet == nullptr) return false;
  auto* payload = static_cast<uint8_t*>(received->packet->payload);
  std::memcpy(payload, bytes + kHeaders, packet);
  std::memset(payload + packet, 0, kPadding);
  pbuf_realloc(received->packet, static_cast<u16_t>(packet));
  return true;
}

void finish_checksum(const uint8_t* bytes, pbuf* packet) {
  VnetHeader header;
  std::memcpy(&header, bytes, sizeof header);
  if ((header.flags & net::kNeedsCsum) == 0 || header.gso_type != net::kGsoNone) return;
  if (header.csum_start < kEthernetHeader) return;
  header.csum_start = static_cast<uint16_t>(header.csum_start - kEthernetHeader);
  net::complete_checksum(static_cast<uint8_t*>(packet->payload), packet->len, header);
}

}  // namespace umvu::lwip
