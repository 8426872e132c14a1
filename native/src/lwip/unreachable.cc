// Neighbours that do not answer (lwip.cmake): what waits for one when it is given up comes back as an ICMP error, to a
// socket of this host or to the host that sent it, as Linux does it (RFC 1122, 2.3.2.2; RFC 4861, 7.2.2).
#include "lwip/hooks.h"
#include "lwip/stack.h"

namespace umvu::lwip {
namespace {

constexpr u8_t kAddressUnreachable = 3;  // RFC 4443, 3.1

ip6_addr_t zoned(const ip6_addr_p_t& packed, netif* place) {
  ip6_addr_t ip = {};
  std::memcpy(ip.addr, packed.addr, sizeof packed.addr);
  ip6_addr_assign_zone(&ip, IP6_UNKNOWN, place);
  return ip;
}

void return6(pbuf* packet, netif* place) {
  const auto* header = static_cast<const ip6_hdr*>(packet->payload);
  const ip6_addr_t source = zoned(header->src, place);
  // Not what asks for a neighbour or an address itself.
  if (packet->len < IP6_HLEN || ip6_addr_isany(&source) || ip6_addr_ismulticast(&source)) return;
  netif* back = umvu_ip6_route(nullptr, &source);
  if (back == nullptr) return;
  ip_addr_t ip;
  ip_addr_copy_from_ip6(ip, source);
  const ip_addr_t* from = Stack::current()->is_local(ip) ? &ip : ip6_select_source_address(back, &source);
  if (from != nullptr) umvu_icmp6_unreachable(packet, kAddressUnreachable, ip_2_ip6(from), &source, back);
}

}  // namespace
}  // namespace umvu::lwip

using umvu::lwip::Stack;

extern "C" {

void umvu_arp_failed(struct etharp_q_entry* waiting) {
  for (; waiting != nullptr; waiting = waiting->next) {
    // RFC 1122, 3.2.2: not for a fragment but the first.
    const auto* header = static_cast<const ip_hdr*>(waiting->p->payload);
    if ((IPH_OFFSET(header) & PP_HTONS(IP_OFFMASK)) == 0) icmp_dest_unreach(waiting->p, ICMP_DUR_HOST);
  }
}

void umvu_nd6_failed(int entry) {
  nd6_q_entry* waiting = neighbor_cache[entry].q;
  netif* place = neighbor_cache[entry].netif;
  neighbor_cache[entry].q = nullptr;
  while (waiting != nullptr) {
    nd6_q_entry* next = waiting->next;
    umvu::lwip::return6(waiting->p, place);
    pbuf_free(waiting->p);
    memp_free(MEMP_ND6_QUEUE, waiting);
    waiting = next;
  }
}

const ip4_addr_t* umvu_icmp_source(const ip4_addr_t* to) {
  ip_addr_t ip;
  ip_addr_copy_from_ip4(ip, *to);
  return Stack::current()->is_local(ip) ? to : nullptr;
}

}  // extern "C"
