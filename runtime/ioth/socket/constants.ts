/** Numbers of Linux that users of sockets need, besides AF and SOCK of stack.ts. */

/** Protocols (netinet/in.h). */
export const IPPROTO = { IP: 0, ICMP: 1, TCP: 6, UDP: 17, IPV6: 41, ICMPV6: 58, RAW: 255 } as const;
/** Levels of socket options that are not protocols. */
export const SOL = { SOCKET: 1, PACKET: 263, NETLINK: 270, RAW: 255 } as const;
/** Options of level SOL.SOCKET (socket(7)). */
export const SO = {
  REUSEADDR: 2, TYPE: 3, ERROR: 4, BROADCAST: 6, SNDBUF: 7, RCVBUF: 8, KEEPALIVE: 9, LINGER: 13, REUSEPORT: 15,
  BINDTODEVICE: 25, ATTACH_FILTER: 26, TIMESTAMP: 29, DOMAIN: 39, PROTOCOL: 38, BINDTOIFINDEX: 62,
} as const; // prettier-ignore
/** Options of level IPPROTO.IP (ip(7)). */
export const IP = {
  TOS: 1,
  TTL: 2,
  HDRINCL: 3,
  PKTINFO: 8,
  MULTICAST_IF: 32,
  MULTICAST_TTL: 33,
  ADD_MEMBERSHIP: 35,
} as const;
/** Options of level IPPROTO.IPV6 (ipv6(7)). */
export const IPV6 = {
  CHECKSUM: 7, UNICAST_HOPS: 16, MULTICAST_IF: 17, MULTICAST_HOPS: 18, MULTICAST_LOOP: 19, JOIN_GROUP: 20, LEAVE_GROUP: 21, V6ONLY: 26,
  RECVPKTINFO: 49, PKTINFO: 50, RECVHOPLIMIT: 51, HOPLIMIT: 52,
} as const; // prettier-ignore
/** Options of level IPPROTO.TCP (tcp(7)). */
export const TCP = { NODELAY: 1, KEEPIDLE: 4, INFO: 11, USER_TIMEOUT: 18 } as const;
/** Flags of send and recv (send(2), recv(2)). */
export const MSG = {
  OOB: 1,
  PEEK: 2,
  DONTROUTE: 4,
  CTRUNC: 8,
  TRUNC: 0x20,
  DONTWAIT: 0x40,
  WAITALL: 0x100,
} as const;
/** How to shut down (shutdown(2)). */
export const SHUT = { RD: 0, WR: 1, RDWR: 2 } as const;
/** Commands of fcntl(2) that make sense for sockets. */
export const F = { GETFD: 1, SETFD: 2, GETFL: 3, SETFL: 4 } as const;

/** System calls, by their number on x86-64. */
export const SYS = {
  CLOSE: 3, IOCTL: 16, SOCKET: 41, CONNECT: 42, SHUTDOWN: 48, BIND: 49, LISTEN: 50, GETSOCKNAME: 51, GETPEERNAME: 52,
  SETSOCKOPT: 54, GETSOCKOPT: 55, FCNTL: 72, ACCEPT4: 288,
} as const; // prettier-ignore
