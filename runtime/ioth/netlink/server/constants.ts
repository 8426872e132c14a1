/** Numbers of linux/{netlink,rtnetlink,if,if_link,if_addr,neighbour,fib_rules}.h that only a server needs. */

/** Message types by object; the four kinds of one object are NEW, DEL, GET, SET in this order. */
export const RTM_BASE = { LINK: 16, ADDR: 20, ROUTE: 24, NEIGH: 28, RULE: 32, QDISC: 36 } as const;
/** Message types that have no place in the pattern. */
export const RTM_MORE = { NEWLINKPROP: 108, DELLINKPROP: 109 } as const;

/** Flags of messages: those of NEW share their bits with those of GET. */
export const NLMSG_FLAG = {
  REQUEST: 1,
  MULTI: 2,
  ACK: 4,
  ECHO: 8,
  DUMP_FILTERED: 0x20,
  /** The kernel takes either of its two bits for a dump. */
  DUMP: 0x300,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  /** Of NLMSG_ERROR: the request is not repeated in full; attributes follow. */
  CAPPED: 0x100,
  ACK_TLVS: 0x200,
} as const;
/** Message types below this one are netlink's own. */
export const NLMSG_MIN_TYPE = 16;
/** Attribute of an error message that says it in words (linux/netlink.h). */
export const NLMSGERR_ATTR_MSG = 1;

/** Level of the options of netlink sockets (getsockopt(2), netlink(7)). */
export const SOL_NETLINK = 270;
/** Options of level SOL_NETLINK. */
export const NETLINK = {
  ADD_MEMBERSHIP: 1,
  DROP_MEMBERSHIP: 2,
  PKTINFO: 3,
  BROADCAST_ERROR: 4,
  NO_ENOBUFS: 5,
  LISTEN_ALL_NSID: 8,
  LIST_MEMBERSHIPS: 9,
  CAP_ACK: 10,
  EXT_ACK: 11,
  GET_STRICT_CHK: 12,
} as const;

/** Multicast groups that this server sends to. */
export const RTNLGRP = {
  LINK: 1,
  NEIGH: 3,
  IPV4_IFADDR: 5,
  IPV4_ROUTE: 7,
  IPV4_RULE: 8,
  IPV6_IFADDR: 9,
  IPV6_ROUTE: 11,
  IPV6_RULE: 19,
} as const;
/** Number of the last group of NETLINK_ROUTE in the kernel whose answers were compared. */
export const RTNLGRP_MAX = 36;

/** Address families of requests. */
export const FAMILY = { UNSPEC: 0, INET: 2, BRIDGE: 7, INET6: 10 } as const;

/** Flags of a link (netdevice(7), linux/if.h). */
export const IFF_ = {
  UP: 1,
  BROADCAST: 2,
  LOOPBACK: 8,
  POINTOPOINT: 0x10,
  RUNNING: 0x40,
  NOARP: 0x80,
  PROMISC: 0x100,
  ALLMULTI: 0x200,
  MULTICAST: 0x1000,
  LOWER_UP: 0x10000,
} as const;
/** Kinds of hardware (linux/if_arp.h). */
export const ARPHRD = { ETHER: 1, LOOPBACK: 772 } as const;
/** RFC 2863 operational states. */
export const IF_OPER = { UNKNOWN: 0, DOWN: 2, LOWERLAYERDOWN: 3, UP: 6 } as const;
/** IFLA_EXT_MASK: the counters are not wanted. */
export const RTEXT_FILTER_SKIP_STATS = 8;
/** Most bytes of an interface's name with its NUL, and of an alternative name. */
export const IFNAMSIZ = 16;
/** Most bytes of an alternative name of an interface, with its NUL (linux/if.h). */
export const ALTIFNAMSIZ = 128;

/** Attributes of a link (linux/if_link.h). */
export const IFLA_ = {
  ADDRESS: 1,
  BROADCAST: 2,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  QDISC: 6,
  STATS: 7,
  MASTER: 10,
  TXQLEN: 13,
  MAP: 14,
  OPERSTATE: 16,
  LINKMODE: 17,
  LINKINFO: 18,
  STATS64: 23,
  AF_SPEC: 26,
  GROUP: 27,
  EXT_MASK: 29,
  PROMISCUITY: 30,
  NUM_TX_QUEUES: 31,
  NUM_RX_QUEUES: 32,
  CARRIER: 33,
  CARRIER_CHANGES: 35,
  PROTO_DOWN: 39,
  MIN_MTU: 50,
  MAX_MTU: 51,
  PROP_LIST: 52,
  ALT_IFNAME: 53,
  ALLMULTI: 61,
} as const;
/** Attributes within the AF_INET6 part of IFLA_AF_SPEC (linux/if_link.h). */
export const IFLA_INET6 = { FLAGS: 1, ADDR_GEN_MODE: 8 } as const;
/** The attribute of IFLA_INFO_DATA by which a link of kind "vde" names its network (IOTH-FACTS §10.1). */
export const IFLA_VDE_VNL = 1;

/** Attributes of an address (linux/if_addr.h). */
export const IFA_ = {
  ADDRESS: 1,
  LOCAL: 2,
  LABEL: 3,
  BROADCAST: 4,
  CACHEINFO: 6,
  FLAGS: 8,
  RT_PRIORITY: 9,
  PROTO: 11,
} as const;
/** Flags of an address (linux/if_addr.h). */
export const IFA_F = {
  SECONDARY: 1,
  NODAD: 2,
  OPTIMISTIC: 4,
  DADFAILED: 8,
  DEPRECATED: 0x20,
  TENTATIVE: 0x40,
  PERMANENT: 0x80,
  MANAGETEMPADDR: 0x100,
  NOPREFIXROUTE: 0x200,
  MCAUTOJOIN: 0x400,
} as const;
/** Who made an address (IFA_PROTO). */
export const IFAPROT = { KERNEL_LO: 1, KERNEL_RA: 2, KERNEL_LL: 3 } as const;
/** A lifetime without end, in seconds. */
export const FOREVER = 0xffffffff;

/** Attributes of a route (linux/rtnetlink.h). */
export const RTA_ = {
  DST: 1,
  SRC: 2,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  PREFSRC: 7,
  METRICS: 8,
  MULTIPATH: 9,
  CACHEINFO: 12,
  TABLE: 15,
  PREF: 20,
  UID: 25,
} as const;
/** Tables of routes (rtnetlink(7)). */
export const RT_TABLE = { UNSPEC: 0, COMPAT: 252, DEFAULT: 253, MAIN: 254, LOCAL: 255 } as const;
/** Who made a route (rtnetlink(7)). */
export const RTPROT = { UNSPEC: 0, KERNEL: 2, BOOT: 3, STATIC: 4, RA: 9 } as const;
/** How far away a destination is (rtnetlink(7)). */
export const RT_SCOPE = { UNIVERSE: 0, LINK: 253, HOST: 254, NOWHERE: 255 } as const;
export const RTN = {
  UNSPEC: 0,
  UNICAST: 1,
  LOCAL: 2,
  BROADCAST: 3,
  ANYCAST: 4,
  MULTICAST: 5,
  BLACKHOLE: 6,
  UNREACHABLE: 7,
  PROHIBIT: 8,
  THROW: 9,
} as const;
/** Flags of a route and of a request for one (linux/rtnetlink.h). */
export const RTM_F = { CLONED: 0x200, FIB_MATCH: 0x2000 } as const;
/** Flags that a lookup adds to rtm_flags for local and broadcast destinations. */
export const RTCF = { LOCAL: 0x80000000, BROADCAST: 0x10000000 } as const;
/** The gateway is on the link, whatever the addresses say (linux/rtnetlink.h). */
export const RTNH_F_ONLINK = 4;
/** Metric of IPv6 routes that name none, and of those that the stack makes for prefixes. */
export const METRIC = { USER: 1024, PREFIX: 256 } as const;

/** Attributes of a neighbour (linux/neighbour.h). */
export const NDA = { DST: 1, LLADDR: 2, CACHEINFO: 3, PROBES: 4, IFINDEX: 8, MASTER: 9 } as const;
/** States of a neighbour (linux/neighbour.h). */
export const NUD = {
  INCOMPLETE: 1,
  REACHABLE: 2,
  STALE: 4,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;
/** A neighbour that is answered for (linux/neighbour.h). */
export const NTF_PROXY = 8;

/** Attributes of a rule (linux/fib_rules.h). */
export const FRA = { PRIORITY: 6, SUPPRESS_PREFIXLEN: 14, TABLE: 15, PROTOCOL: 21 } as const;
/** A rule that leads to a table (linux/fib_rules.h). */
export const FR_ACT_TO_TBL = 1;
