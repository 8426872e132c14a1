#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "lwip/datagram.h"
#include "lwip/host.h"

namespace umvu::lwip {
namespace {

constexpr uint8_t kEcho = 8, kEchoReply = 0, kEcho6 = 128, kEchoReply6 = 129;
constexpr int kIcmp6Filter = 1;  // ICMP6_FILTER: <netinet/icmp6.h> cannot be included beside lwIP

}  // namespace

RawSock::RawSock(Stack* stack, int domain, int type, int protocol) : InternetSock(stack, domain, type, protocol) {
  pcb_ = raw_new_ip_type(domain == AF_INET ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6, static_cast<u8_t>(protocol));
  if (pcb_ == nullptr) return;
  raw_recv(pcb_, on_packet, this);
  ip_set_option(pcb_, SOF_BROADCAST);
  if (domain == AF_INET6 && protocol == IPPROTO_ICMPV6) {
    pcb_->chksum_reqd = 1;
    pcb_->chksum_offset = 2;
  }
  if (ping()) local_.port = static_cast<uint16_t>(umvu_random() | 1);
}

RawSock::~RawSock() = default;

bool RawSock::ping() const { return type_ == SOCK_DGRAM; }

void RawSock::drop() {
  leave_all();
  if (pcb_ != nullptr) raw_remove(pcb_);
  pcb_ = nullptr;
}

int RawSock::bind(int, std::span<const uint8_t> address) {
  Endpoint wanted;
  if (const int result = read_endpoint(domain_, address, stack_, &wanted); result != 0) return result;
  if (!wanted.any() && !stack_->is_local(wanted.ip)) return -EADDRNOTAVAIL;
  if (pcb_ == nullptr) return -ENOBUFS;
  raw_bind(pcb_, &wanted.ip);
  local_.ip = wanted.ip;
  if (ping() && wanted.port != 0) local_.port = wanted.port;
  return 0;
}

int RawSock::connect(int, std::span<const uint8_t> address, bool) {
  sa_family_t family = AF_UNSPEC;
  if (address.size() >= sizeof family) std::memcpy(&family, address.data(), sizeof family);
  if (family == AF_UNSPEC) {
    if (pcb_ != nullptr) raw_disconnect(pcb_);
    connected_ = false;
    return 0;
  }
  Endpoint remote;
  if (const int result = read_endpoint(domain_, address, stack_, &remote); result != 0) return result;
  if (pcb_ == nullptr) return -ENOBUFS;
  if (ip_addr_isany_val(local_.ip) && !choose_source(stack_, remote.ip, &local_.ip)) return -ENETUNREACH;
  remote_ = remote;
  connected_ = true;
  return 0;
}

int RawSock::outgoing(std::span<const uint8_t> bytes, const Meta* meta) {
  Endpoint to;
  ip_addr_t source;
  netif* place = nullptr;
  if (pcb_ == nullptr) return -ENOBUFS;
  const int result = destination(meta, &to, &source, &place);
  if (result != 0) return result;
  const bool v6 = IP_IS_V6_VAL(to.ip);
  if (ping() && (bytes.size() < 8 || bytes[0] != (domain_ == AF_INET ? kEcho : kEcho6) || bytes[1] != 0)) return -EINVAL;
  if (bytes.size() > 65500) return -EMSGSIZE;
  if (const int fits = check_size(bytes.size(), place, v6); fits != 0) return fits;
  const bool whole = domain_ == AF_INET && !ping() &&
                     (protocol_ == IPPROTO_RAW || options_.number(IPPROTO_IP, IP_HDRINCL) != 0);
  pbuf* packet = pbuf_alloc(whole ? PBUF_LINK : PBUF_IP, static_cast<u16_t>(bytes.size()), PBUF_RAM);
  if (packet == nullptr) return -ENOBUFS;
  pbuf_take(packet, bytes.data(), static_cast<u16_t>(bytes.size()));
  auto* data = static_cast<uint8_t*>(packet->payload);
  if (ping()) {
    // The identifier of a ping socket is its port.
    data[4] = static_cast<uint8_t>(local_.port >> 8);
    data[5] = static_cast<uint8_t>(local_.port);
    if (domain_ == AF_INET) {
      data[2] = data[3] = 0;
      const uint16_t sum = static_cast<uint16_t>(~umvu_checksum(data, packet->len));
      std::memcpy(data + 2, &sum, sizeof sum);
    }
  }
  const int hops = domain_ == AF_INET ? options_.number(IPPROTO_IP, IP_TTL, -1)
                                      : options_.number(IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
  pcb_->ttl = static_cast<u8_t>(meta != nullptr && meta->ttl != 0 ? meta->ttl : hops < 0 ? 64 : hops);
  pcb_->tos = static_cast<u8_t>(domain_ == AF_INET ? options_.number(IPPROTO_IP, IP_TOS)
                                                   : options_.number(IPPROTO_IPV6, IPV6_TCLASS));
  if (whole) {
    raw_set_flags(pcb_, RAW_FLAGS_HDRINCL);
  } else {
    raw_clear_flags(pcb_, RAW_FLAGS_HDRINCL);
  }
  const err_t error = raw_sendto_if_src(pcb_, packet, &to.ip, place, &source);
  pbuf_free(packet);
  return errno_of(error);
}

// Copies and never eats: other sockets and lwIP itself see the packet too.
u8_t RawSock::on_packet(void* self, raw_pcb*, pbuf* packet, const ip_addr_t* from) {
  return static_cast<RawSock*>(self)->take(packet, from);
}

u8_t RawSock::take(pbuf* packet, const ip_addr_t* from) {
  if ((connected_ && !ip_addr_cmp_zoneless(from, &remote_.ip)) || !wants_current()) return 0;
  const std::size_t header = ip_current_header_tot_len();
  // Of IPv4, raw sockets see the header too; of IPv6 they do not, and lwIP has left it before the payload.
  const std::size_t skip = domain_ == AF_INET && !ping() ? 0 : header;
  if (packet->len < header + 8 && (ping() || protocol_ == IPPROTO_ICMPV6)) return 0;
  const auto* icmp = static_cast<const uint8_t*>(packet->payload) + header;
  if (ping()) {
    const uint8_t reply = domain_ == AF_INET ? kEchoReply : kEchoReply6;
    if (icmp[0] != reply || (icmp[4] << 8 | icmp[5]) != local_.port) return 0;
  } else if (protocol_ == IPPROTO_ICMP && domain_ == AF_INET) {
    // ICMP_FILTER (1): bits of types that are not wanted.
    const int filter = options_.number(SOL_RAW, 1);
    if (packet->len > header && icmp[0] < 32 && (filter >> icmp[0] & 1) != 0) return 0;
  } else if (protocol_ == IPPROTO_ICMPV6) {
    const std::vector<uint8_t>* filter = options_.find(IPPROTO_ICMPV6, kIcmp6Filter);
    if (filter != nullptr && filter->size() == 32) {
      uint32_t word;
      std::memcpy(&word, filter->data() + icmp[0] / 32 * 4, 4);
      if ((word >> (icmp[0] % 32) & 1) != 0) return 0;
    }
  }
  const std::size_t most = filter_.run_current(packet, skip);
  if (most == 0) return 0;
  const Meta meta = meta_of(*from, 0, packet);
  incoming(packet, skip, &meta, most);
  return 0;
}

}  // namespace umvu::lwip
