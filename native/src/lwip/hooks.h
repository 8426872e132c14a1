/* Functions of the glue that lwIP calls. C linkage on both sides. */
#ifndef UMVU_LWIP_HOOKS_H
#define UMVU_LWIP_HOOKS_H

#include "lwip/ip_addr.h"
#include "lwip/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct netif;
struct pbuf;
struct tcp_pcb;
struct tcp_hdr;
struct etharp_q_entry;

/* The routing table of the stack (routes.cc); null: unreachable. */
struct netif *umvu_ip4_route(const ip4_addr_t *source, const ip4_addr_t *destination);
struct netif *umvu_ip6_route(const ip6_addr_t *source, const ip6_addr_t *destination);
/* The next hop to `destination` on `netif`; null: the destination itself. */
const ip4_addr_t *umvu_ip4_gateway(struct netif *netif, const ip4_addr_t *destination);
const ip6_addr_t *umvu_ip6_gateway(struct netif *netif, const ip6_addr_t *destination);
/* Whether packets for others are passed on. */
int umvu_forwards(int v6);
/* What lwIP would fragment: TCP segments that the link cuts by itself pass, all else goes to ip4_frag and ip6_frag. */
err_t umvu_ip4_frag(struct pbuf *packet, struct netif *netif, const ip4_addr_t *destination);
err_t umvu_ip6_frag(struct pbuf *packet, struct netif *netif, const ip6_addr_t *destination);
/* Whether half of the memory of the stack is in use (memory.h). */
int umvu_memory_scarce(void);
/* `value` added to a hash with the secret of this process. */
uint64_t umvu_hash(uint64_t hash, uint64_t value);
/* RFC 6528. */
u32_t umvu_tcp_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote, u16_t remote_port);
/* The connections of the stack (connections.h), each null where there is none: to which an incoming segment belongs, … */
struct tcp_pcb *umvu_tcp_active(const struct tcp_hdr *header);
/* … in TIME_WAIT, unless the segment opens a new one in its place, … */
struct tcp_pcb *umvu_tcp_waiting(const struct tcp_hdr *header);
/* … between the same ends as `pcb` is to be. */
struct tcp_pcb *umvu_tcp_twin(const struct tcp_pcb *pcb);
/* Whether anything has this port at our end. */
int umvu_tcp_port_used(u16_t port);
/* A segment for a connection or listener, whose header is in the byte order of this machine and has `first` bytes of options
 * after it, and the rest of `size` at `more`; anything but ERR_OK: it is dropped. */
err_t umvu_tcp_in(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t size, u16_t first, const u8_t *more,
                  const struct pbuf *data);
/* Whether a connection has waited long enough for its peer (stream_network.cc). */
int umvu_tcp_gives_up(struct tcp_pcb *pcb);
/* Packets that waited for a neighbour which does not answer (unreachable.cc); those of IPv6 are taken from its entry. */
void umvu_arp_failed(struct etharp_q_entry *waiting);
void umvu_nd6_failed(int entry);
/* Where an ICMP error to `to` is to come from; null: lwIP decides. */
const ip4_addr_t *umvu_icmp_source(const ip4_addr_t *to);
/* In lwIP (lwip.cmake): sends an ICMPv6 error about `packet`. */
void umvu_icmp6_unreachable(struct pbuf *packet, u8_t code, const ip6_addr_t *source, const ip6_addr_t *to,
                            struct netif *netif);

#ifdef __cplusplus
}
#endif
#endif
