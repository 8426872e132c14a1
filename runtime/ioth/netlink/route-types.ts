/** The objects of rtnetlink(7) as a program sees them, and the numbers of the protocol that a client needs. */
import type { Attribute } from './wire.ts';

/** Message types (linux/rtnetlink.h). */
export const RTM = {
  NEWLINK: 16, DELLINK: 17, GETLINK: 18, SETLINK: 19,
  NEWADDR: 20, DELADDR: 21, GETADDR: 22,
  NEWROUTE: 24, DELROUTE: 25, GETROUTE: 26,
  NEWNEIGH: 28, DELNEIGH: 29, GETNEIGH: 30,
} as const; // prettier-ignore

/** Flags of a link (linux/if.h). */
export const IFF = { UP: 1, BROADCAST: 2, LOOPBACK: 8, RUNNING: 0x40, MULTICAST: 0x1000 } as const;
/** Attributes of a link (linux/if_link.h). */
export const IFLA = { ADDRESS: 1, BROADCAST: 2, IFNAME: 3, MTU: 4, TXQLEN: 13, LINKINFO: 18 } as const;
/** Attributes within IFLA_LINKINFO. */
export const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
/** Attributes of an address (linux/if_addr.h). */
export const IFA = { ADDRESS: 1, LOCAL: 2, LABEL: 3, BROADCAST: 4, CACHEINFO: 6 } as const;
/** An address that is usable at once: no duplicate address detection (RFC 4862 §5.4) delays it. */
export const IFA_F_NODAD = 2;
/** Somebody else has the address; it is not known yet whether somebody has it. */
export const IFA_F_DADFAILED = 8;
export const IFA_F_TENTATIVE = 0x40;
/** Attributes of a route (linux/rtnetlink.h). */
export const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, TABLE: 15 } as const;
/** Attributes of a neighbour (linux/neighbour.h). */
export const NDA = { DST: 1, LLADDR: 2 } as const;
/** States of a neighbour. */
export const NUD = { REACHABLE: 2, STALE: 4, PERMANENT: 0x80 } as const;
/** Constants of routes that this client makes: table main, protocol boot, type unicast. */
export const ROUTE = { TABLE_MAIN: 254, PROTO_BOOT: 3, UNICAST: 1 } as const;

/** struct ifinfomsg and its attributes. */
export interface Link {
  index: number;
  /** ARPHRD_*; 1 is Ethernet, 772 the loopback. */
  hardware: number;
  flags: number;
  /** Which of `flags` a request changes. */
  change: number;
  name?: string;
  mtu?: number;
  address?: Uint8Array;
  queueLength?: number;
  /** Kind of a virtual link (`veth`, `bridge`, …), and the data of that kind. */
  kind?: string;
  kindData?: Attribute[];
  more: Attribute[];
}

/** struct ifaddrmsg and its attributes. */
export interface Address {
  family: number;
  prefixLength: number;
  flags: number;
  scope: number;
  index: number;
  /** The address itself; on a point-to-point link `address` is the other end's. */
  local?: Uint8Array;
  address?: Uint8Array;
  label?: string;
  more: Attribute[];
}

/** struct rtmsg and its attributes. */
export interface Route {
  family: number;
  prefixLength: number;
  table: number;
  protocol: number;
  scope: number;
  type: number;
  flags: number;
  destination?: Uint8Array;
  gateway?: Uint8Array;
  outIndex?: number;
  priority?: number;
  more: Attribute[];
}

/** struct ndmsg and its attributes: who has an address on a link. */
export interface Neighbor {
  family: number;
  index: number;
  /** A mask of NUD. */
  state: number;
  flags: number;
  type: number;
  destination?: Uint8Array;
  /** Hardware address. */
  address?: Uint8Array;
  more: Attribute[];
}
