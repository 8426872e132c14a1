#include "lwip/icmp_errors.h"

#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lwip/datagram.h"
#include "lwip/stack.h"
#include "lwip/stream.h"

namespace umvu::lwip {
namespace {

// Of <netinet/icmp6.h>, which cannot be included beside lwIP.
constexpr uint8_t kUnreachable6 = 1, kTooBig6 = 2, kTimeExceeded6 = 3, kParameter6 = 4, kEcho6 = 128;
constexpr std::size_t kHeader = 8;  // of ICMP errors

struct Meaning {
  int error;
  bool hard;  // told to connected sockets without being asked
};

// RFC 1122, 3.2.2.1, with the errnos of Linux.
Meaning meaning_of(uint8_t type, uint8_t code) {
  if (type == ICMP_TIME_EXCEEDED) return {EHOSTUNREACH, false};
  if (type == ICMP_PARAMETERPROB) return {EPROTO, true};
  static constexpr Meaning kUnreachable[] = {
      {ENETUNREACH, false}, {EHOSTUNREACH, false}, {ENOPROTOOPT, true}, {ECONNREFUSED, true},
      {EMSGSIZE, false},    {EOPNOTSUPP, false},   {ENETUNREACH, true}, {EHOSTDOWN, true},
      {ENONET, true},       {ENETUNREACH, true},   {EHOSTUNREACH, true}, {ENETUNREACH, false},
      {EHOSTUNREACH, false}, {EHOSTUNREACH, true}, {EHOSTUNREACH, true}, {EHOSTUNREACH, true}};
  if (type != ICMP_DEST_UNREACH || code >= std::size(kUnreachable)) return {0, false};
  return kUnreachable[code];
}

// RFC 4443, 3.
Meaning meaning6_of(uint8_t type, uint8_t code) {
  switch (type) {
    case kTooBig6: return {EMSGSIZE, false};
    case kTimeExceeded6: return {EHOSTUNREACH, false};
    case kParameter6: return {EPROTO, true};
    case kUnreachable6: {
      static constexpr Meaning kErrors[] = {{ENETUNREACH, false},  {EACCES, true},       {EHOSTUNREACH, false},
                                            {EHOSTUNREACH, false}, {ECONNREFUSED, true}, {EACCES, true},
                                            {EACCES, true}};
      return code < std::size(kErrors) ? kErrors[code] : Meaning{EPROTO, true};
    }
    default: return {0, false};
  }
}

uint16_t port_at(std::span<const uint8_t> bytes, std::size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

// The packet that an ICMP error is about.
struct Inner {
  ip_addr_t from, to;
  uint8_t protocol;
  std::span<const uint8_t> payload;
};

bool parse_inner(std::span<const uint8_t> bytes, bool v6, Inner* inner) {
  const std::size_t header = v6 ? IP6_HLEN : bytes.empty() ? 0 : (bytes[0] & 15) * std::size_t{4};
  if (header < IP_HLEN || bytes.size() < header + 8 || bytes[0] >> 4 != (v6 ? 6 : 4)) return false;
  // Only the first fragment has the header of what is inside.
  if (!v6 && (port_at(bytes, 6) & IP_OFFMASK) != 0) return false;
  inner->payload = bytes.subspan(header);
  if (v6) {
    ip6_addr_t address = {};
    std::memcpy(address.addr, &bytes[8], 16);
    ip_addr_copy_from_ip6(inner->from, address);
    std::memcpy(address.addr, &bytes[24], 16);
    ip_addr_copy_from_ip6(inner->to, address);
    inner->protocol = bytes[6];
  } else {
    uint32_t address;
    std::memcpy(&address, &bytes[12], sizeof address);
    ip_addr_set_ip4_u32_val(inner->from, address);
    std::memcpy(&address, &bytes[16], sizeof address);
    ip_addr_set_ip4_u32_val(inner->to, address);
    inner->protocol = bytes[9];
  }
  return true;
}

// A connection of TCP, if what came back is of what it has sent and was not acknowledged: others cannot know where it
// is (RFC 5927, 4.1).
void tell_tcp(Stack* stack, Inner inner, const IcmpError& error) {
  Interface* own = stack->holder(inner.from);
  if (own == nullptr) return;
  for (ip_addr_t* ip : {&inner.from, &inner.to}) {
    if (IP_IS_V6_VAL(*ip)) ip6_addr_assign_zone(ip_2_ip6(ip), IP6_UNKNOWN, own->base());
  }
  tcp_pcb* pcb = stack->connections().find(inner.from, port_at(inner.payload, 0), inner.to, port_at(inner.payload, 2));
  if (pcb == nullptr || pcb->state == SYN_RCVD || pcb->state == TIME_WAIT) return;
  const uint32_t sequence = static_cast<uint32_t>(port_at(inner.payload, 4)) << 16 | port_at(inner.payload, 6);
  if (!TCP_SEQ_BETWEEN(sequence, pcb->lastack, pcb->snd_nxt)) return;
  if (auto* sock = static_cast<StreamSock*>(pcb->callback_arg); sock != nullptr) sock->icmp_error(error);
}

void tell(Stack* stack, const Inner& inner, IcmpError error, bool hard) {
  if (inner.protocol == IPPROTO_TCP) tell_tcp(stack, inner, error);
  const bool udp = inner.protocol == IPPROTO_UDP || inner.protocol == IPPROTO_UDPLITE;
  const bool echo = (inner.protocol == IPPROTO_ICMP && inner.payload[0] == ICMP_ECHO) ||
                    (inner.protocol == IPPROTO_ICMPV6 && inner.payload[0] == kEcho6);
  const uint16_t port = udp ? port_at(inner.payload, 0) : echo ? port_at(inner.payload, 4) : uint16_t{0};
  error.to = {inner.to, udp ? port_at(inner.payload, 2) : uint16_t{0}};
  for (Sock* sock : stack->socks()) {
    if (sock->protocol() != inner.protocol || sock->type() == SOCK_STREAM) continue;
    auto* internet = dynamic_cast<InternetSock*>(sock);
    const bool raw = sock->type() == SOCK_RAW;
    if (internet == nullptr || !internet->sent(inner.from, raw ? uint16_t{0} : port, error.to)) continue;
    // Of UDP the header is not given back.
    const std::size_t skip = udp && !raw ? 8 : 0;
    error.bytes.assign(inner.payload.begin() + static_cast<std::ptrdiff_t>(skip), inner.payload.end());
    internet->icmp_error(error, hard);
  }
}

// A callback of lwIP that only looks.
u8_t on_icmp(void* self, raw_pcb*, pbuf* packet, const ip_addr_t* from) {
  uint8_t bytes[1500];
  const std::size_t size = pbuf_copy_partial(packet, bytes, sizeof bytes, 0);
  const bool v6 = ip_current_is_v6() != 0;
  const std::size_t start = ip_current_header_tot_len();
  if (size < start + kHeader) return 0;
  const uint8_t* icmp = bytes + start;
  const Meaning meaning = v6 ? meaning6_of(icmp[0], icmp[1]) : meaning_of(icmp[0], icmp[1]);
  Inner inner;
  if (meaning.error == 0 || !parse_inner({icmp + kHeader, size - start - kHeader}, v6, &inner)) return 0;
  IcmpError error;
  error.what.ee_errno = static_cast<uint32_t>(meaning.error);
  error.what.ee_origin = v6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP;
  error.what.ee_type = icmp[0];
  error.what.ee_code = icmp[1];
  if (meaning.error == EMSGSIZE) {
    error.what.ee_info = v6 ? static_cast<uint32_t>(port_at({icmp, kHeader}, 4)) << 16 | port_at({icmp, kHeader}, 6)
                            : port_at({icmp, kHeader}, 6);
  }
  error.offender = *from;
  tell(static_cast<Stack*>(self), inner, error, meaning.hard);
  return 0;
}

std::size_t put_address(int domain, const Endpoint& endpoint, uint8_t* out) {
  out[0] = static_cast<uint8_t>(write_endpoint(domain, endpoint, out + 1));
  return 1 + kLongestAddress;
}

}  // namespace

std::size_t IcmpError::write(int domain, std::span<uint8_t> out) const {
  std::memcpy(out.data(), &what, sizeof what);
  std::size_t at = sizeof what;
  at += put_address(domain, {offender, 0}, &out[at]);
  at += put_address(domain, to, &out[at]);
  const std::size_t size = std::min(bytes.size(), out.size() - at);
  std::copy_n(bytes.begin(), size, out.begin() + static_cast<std::ptrdiff_t>(at));
  return at + size;
}

IcmpWatch::IcmpWatch(Stack* stack)
    : pcb4_(raw_new_ip_type(IPADDR_TYPE_V4, IPPROTO_ICMP)), pcb6_(raw_new_ip_type(IPADDR_TYPE_V6, IPPROTO_ICMPV6)) {
  for (raw_pcb* pcb : {pcb4_, pcb6_}) {
    if (pcb != nullptr) raw_recv(pcb, on_icmp, stack);
  }
}

IcmpWatch::~IcmpWatch() {
  for (raw_pcb* pcb : {pcb4_, pcb6_}) {
    if (pcb != nullptr) raw_remove(pcb);
  }
}

}  // namespace umvu::lwip
