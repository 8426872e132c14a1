/* Configuration of lwIP. What the settings are for, with measurements: docs/stacks.md. */
#ifndef UMVU_LWIPOPTS_H
#define UMVU_LWIPOPTS_H

/* No operating system: all of lwIP runs under one lock (image.h), and the glue runs its timers (clock.h). */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_TIMERS 0
#define LWIP_STATS 0
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS

/* Memory comes from malloc, within the limit of the stack (memory.h): no pools, hardly any static state. */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define PBUF_LINK_HLEN 14
#define PBUF_LINK_ENCAPSULATION_HLEN 0

#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_ARP 1
#define LWIP_ETHERNET 1
#define LWIP_ICMP 1
#define LWIP_ICMP6 1
#define LWIP_RAW 1
#define LWIP_UDP 1
#define LWIP_UDPLITE 1
#define LWIP_TCP 1
#define LWIP_IGMP 1
#define LWIP_DHCP 0
#define LWIP_AUTOIP 0
#define LWIP_DNS 0
#define LWIP_SINGLE_NETIF 0
#define LWIP_NETIF_LOOPBACK 0
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_API 0
#define LWIP_NETIF_EXT_STATUS_CALLBACK 0
#define LWIP_MULTICAST_TX_OPTIONS 1
#define LWIP_BROADCAST_PING 0
#define LWIP_MULTICAST_PING 1

/* As Linux. */
#define IP_DEFAULT_TTL 64
#define ICMP_TTL 64
#define LWIP_ICMP6_HL 64
#define IP_FORWARD 1
#define IP_FORWARD_ALLOW_TX_ON_RX_NETIF 1
#define LWIP_IPV6_FORWARD 1
#define IP_REASSEMBLY 1
#define IP_FRAG 1
#define IP_REASS_MAX_PBUFS 512
#define IP_REASS_MAXAGE 15
#define LWIP_IPV6_REASS 1
#define LWIP_IPV6_FRAG 1
/* Pointers do not fit into the place that lwIP uses otherwise. */
#define IPV6_FRAG_COPYHEADER 1
/* Hosts without an address send from 0.0.0.0, which is let through where this is defined: servers of DHCP need it. For
 * no port is anything else let through. */
#define LWIP_IP_ACCEPT_UDP_PORT(port) 0
#define IP_SOF_BROADCAST 0
#define IP_SOF_BROADCAST_RECV 0

#define ARP_TABLE_SIZE 64
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 64
#define ETHARP_SUPPORT_STATIC_ENTRIES 1
#define ETH_PAD_SIZE 0

#define LWIP_IPV6_NUM_ADDRESSES 16
#define LWIP_IPV6_AUTOCONFIG 1
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 1
#define LWIP_IPV6_MLD 1
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 1
#define LWIP_IPV6_ADDRESS_LIFETIMES 1
#define LWIP_ND6_QUEUEING 1
#define LWIP_ND6_NUM_NEIGHBORS 48
#define LWIP_ND6_NUM_DESTINATIONS 48
#define LWIP_ND6_NUM_PREFIXES 8
#define LWIP_ND6_NUM_ROUTERS 4
#define LWIP_ND6_ALLOW_RA_UPDATES 1
#define MEMP_NUM_ND6_QUEUE 64

/* A segment may be as large as an interface takes; what is announced follows its MTU. */
#define TCP_MSS 65000
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1
/* A peer that asks for tiny segments gets the least that Linux sends, too (net.ipv4.tcp_min_snd_mss). */
#define UMVU_LEAST_MSS 48
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_WND (1024 * 1024)
#define TCP_SND_BUF (1024 * 1024)
#define TCP_SND_QUEUELEN 32768
#define TCP_OVERSIZE 0
#define TCP_QUEUE_OOSEQ 1
/* For a connection that has a gap: a window full of ordinary segments, but not of tiny ones. */
#define TCP_OOSEQ_MAX_PBUFS 1024
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_TIMESTAMPS 0
#define LWIP_TCP_KEEPALIVE 1
#define TCP_LISTEN_BACKLOG 1
#define TCP_DEFAULT_LISTEN_BACKLOG 0xff
#define SO_REUSE 1
#define SO_REUSE_RXTOALL 1
#define TCP_TMR_INTERVAL 20
/* TIME_WAIT is twice this (ms): long enough for interfaces in this process. */
#define TCP_MSL 500
#define TCP_SYNMAXRTX 6
#define TCP_MAXRTX 12
#define TCP_LOCAL_PORT_RANGE_START 32768
#define TCP_LOCAL_PORT_RANGE_END 60999
#define TCP_ENSURE_LOCAL_PORT_RANGE(port) ((u16_t)(32768 + (port) % 28232))
#define UDP_LOCAL_PORT_RANGE_START 32768
#define UDP_LOCAL_PORT_RANGE_END 60999
#define UDP_ENSURE_LOCAL_PORT_RANGE(port) ((u16_t)(32768 + (port) % 28232))

/* Checksums are switched per frame: what comes from inside of this process needs none (interface.cc). */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_CHECKSUM_ON_COPY 0
#define CHECKSUM_GEN_ICMP 1
#define CHECKSUM_GEN_ICMP6 1

/* Places in a connection for the back link of lists (tcp_lists.h), for the entry in the table (connections.h), and for
 * when a segment that was not acceptable was answered last (unacceptable.cc). */
#define LWIP_TCP_PCB_NUM_EXT_ARGS 3
#define UMVU_TCP_BACK 0
#define UMVU_TCP_ENTRY 1
#define UMVU_TCP_ANSWERED 2

#define LWIP_HOOK_FILENAME "lwip/hooks.h"
#define LWIP_HOOK_IP4_ROUTE_SRC(src, dest) umvu_ip4_route(src, dest)
/* 0: it is dropped; -1: lwIP decides. */
#define LWIP_HOOK_IP4_CANFORWARD(packet, dest) (umvu_forwards(0) ? -1 : 0)
#define LWIP_HOOK_ETHARP_GET_GW(netif, dest) umvu_ip4_gateway(netif, dest)
#define LWIP_HOOK_ND6_GET_GW(netif, dest) umvu_ip6_gateway(netif, dest)
#define LWIP_HOOK_TCP_ISN umvu_tcp_isn
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, hdr, optlen, opt1len, opt2, p) umvu_tcp_in(pcb, hdr, optlen, opt1len, opt2, p)

#endif
