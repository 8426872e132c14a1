/**
 * What a stack tells and is asked about its configuration, free of any wire format: records are the state,
 * requests name a record and what to make of it. Addresses are bytes in network order (4 of AF_INET, 16 of
 * AF_INET6, 6 of Ethernet); numbers are those of linux/{if,if_link,if_addr,rtnetlink,neighbour}.h.
 */
import type { Attribute } from '../wire.ts';

/** Counters of a link, as in struct rtnl_link_stats64; those that are absent are 0. */
export interface LinkStats {
  rxPackets?: number;
  txPackets?: number;
  rxBytes?: number;
  txBytes?: number;
  rxErrors?: number;
  txErrors?: number;
  rxDropped?: number;
  txDropped?: number;
  multicast?: number;
  collisions?: number;
}

/** A link as it is now: struct ifinfomsg and the attributes of linux/if_link.h (rtnetlink(7), RTM_NEWLINK). */
export interface LinkRecord {
  /** From 1. */
  index: number;
  /** Byte string of at most 15 bytes. */
  name: string;
  alternativeNames: readonly string[];
  /** ARPHRD_*. */
  hardware: number;
  /** IFF_*, with IFF_RUNNING and IFF_LOWER_UP as they are now. */
  flags: number;
  mtu: number;
  /** Limits of the MTU; 0 as the greatest one: no limit. */
  minMtu: number;
  maxMtu: number;
  queueLength: number;
  group: number;
  /** IF_OPER_*. */
  operState: number;
  carrier: boolean;
  qdisc: string;
  address: Uint8Array;
  broadcast: Uint8Array;
  /** Index of the bridge or bond that it is part of; index of the link that it is made on, or the peer. */
  master?: number;
  parent?: number;
  /** Kind of a virtual link ("vde", "bridge", …) and the attributes of that kind. */
  kind?: string;
  kindData?: readonly Attribute[];
  /** How IPv6 link-local addresses are made: 0 EUI-64, 1 none, … (IN6_ADDR_GEN_MODE_*). */
  addressMode?: number;
  stats: LinkStats;
}

/** Names a link by index, else by name or alternative name, and says what to change of it. */
export interface LinkRequest {
  index: number;
  /** With an index: the new name. */
  name?: string;
  alternativeName?: string;
  /** New state of the flags in `change`. */
  flags: number;
  change: number;
  hardware: number;
  mtu?: number;
  queueLength?: number;
  group?: number;
  address?: Uint8Array;
  broadcast?: Uint8Array;
  master?: number;
  kind?: string;
  kindData?: readonly Attribute[];
  addressMode?: number;
  /** Alternative names to add or to remove. */
  addNames?: readonly string[];
  removeNames?: readonly string[];
}

/** An address of a link: struct ifaddrmsg and the attributes of linux/if_addr.h (rtnetlink(7), RTM_NEWADDR). */
export interface AddrRecord {
  family: number;
  index: number;
  prefixLength: number;
  scope: number;
  /** IFA_F_*. */
  flags: number;
  local: Uint8Array;
  /** The other end's address where that is not `local` (IFA_ADDRESS). */
  peer?: Uint8Array;
  broadcast?: Uint8Array;
  /** IPv4: the name that netdevice(7) knows the address by, "eth0" or "eth0:1". */
  label?: string;
  /** IFAPROT_*: who made it; absent or 0 for an administrator. */
  protocol?: number;
  /** Metric of the route to the prefix; 0 or absent: the family's own. */
  metric?: number;
  /** Lifetimes in seconds from `updated`; FOREVER has no end. */
  preferred: number;
  valid: number;
  /** Hundredths of a second since the start of the machine. */
  created: number;
  updated: number;
}

/** An address to find, make or remove. What is absent matches anything when one is removed. */
export interface AddrRequest {
  family: number;
  index: number;
  prefixLength: number;
  scope: number;
  flags: number;
  local?: Uint8Array;
  peer?: Uint8Array;
  broadcast?: Uint8Array;
  label?: string;
  protocol?: number;
  metric?: number;
  preferred: number;
  valid: number;
  /** An IPv4 address is to be removed whatever its prefix length. */
  anyPrefix?: boolean;
}

/** A route: struct rtmsg and the attributes of linux/rtnetlink.h (rtnetlink(7), RTM_NEWROUTE). */
export interface RouteRecord {
  family: number;
  table: number;
  destination: Uint8Array;
  prefixLength: number;
  /** RTN_*, RTPROT_*, RT_SCOPE_*. */
  type: number;
  protocol: number;
  scope: number;
  tos: number;
  /** RTNH_F_* and RTM_F_*. */
  flags: number;
  priority: number;
  gateway?: Uint8Array;
  /** Index of the interface; 0 for routes without one (unreachable, blackhole, …). */
  outIndex: number;
  preferredSource?: Uint8Array;
  /** RTA_METRICS as they were given. */
  metrics?: readonly Attribute[];
}

/** A route; what is absent or 0 (type, protocol, scope NOWHERE) matches anything when one is removed. */
export interface RouteRequest extends Omit<RouteRecord, 'priority'> {
  priority?: number;
  /** Source address of a lookup. */
  source?: Uint8Array;
}

/** Who has an address on a link: struct ndmsg and the attributes of linux/neighbour.h (rtnetlink(7), RTM_NEWNEIGH). */
export interface NeighRecord {
  family: number;
  index: number;
  destination: Uint8Array;
  /** Hardware address, absent while it is not known. */
  address?: Uint8Array;
  /** NUD_*, NTF_*, RTN_*. */
  state: number;
  flags: number;
  type: number;
}

/** A neighbour to find, make or remove; it is known by its link and destination. */
export type NeighRequest = NeighRecord;

/** A rule of policy routing: struct fib_rule_hdr and the attributes of linux/fib_rules.h (ip-rule(8)). */
export interface RuleRecord {
  family: number;
  priority: number;
  table: number;
}

/** What a change was about, with the record as it is now or, where it was removed, as it was. */
export type Change =
  | { kind: 'link'; record: LinkRecord; deleted: boolean }
  | { kind: 'addr'; record: AddrRecord; deleted: boolean }
  | { kind: 'route'; record: RouteRecord; deleted: boolean }
  | { kind: 'neigh'; record: NeighRecord; deleted: boolean };

/** What changes are told about: the objects of rtnetlink(7) that this server has multicast groups for. */
export type Kind = Change['kind'];
/** The record of a {@link Kind}. */
export type RecordOf<K extends Kind> = Extract<Change, { kind: K }>['record'];

/** Why a record is searched: what makes two records the same differs (a route to add, to remove, …). */
export type Purpose = 'get' | 'new' | 'del' | 'set';

/**
 * How one kind of object is read and changed (a row of libnlq's handler table, IOTH-FACTS §10.2). A handler that
 * is absent makes the request EOPNOTSUPP. Handlers throw Errno; its `why` becomes the text of the extended
 * acknowledgement. The rules about NLM_F_CREATE, EXCL and REPLACE are the server's.
 */
export interface Handlers<Item, Request> {
  /** All records, as they are now. */
  get(): Iterable<Item>;
  /** The record that `request` means, undefined when there is none. */
  search(request: Request, purpose: Purpose): Item | undefined;
  /** Makes a record and returns it. */
  new?(request: Request, append: boolean): Item;
  /** Changes `item` (route: puts another in its place) and returns what it is now. */
  set?(item: Item, request: Request): Item;
  del?(item: Item, request: Request): void;
}

/** What a stack does for RTM_NEWLINK, DELLINK, GETLINK and SETLINK (entry LINK of the table of libnlq). */
export type LinkHandlers = Handlers<LinkRecord, LinkRequest>;
/** What a stack does for RTM_NEWADDR, DELADDR and GETADDR (entry ADDR of the table of libnlq). */
export type AddrHandlers = Handlers<AddrRecord, AddrRequest>;
/** What a stack does for RTM_NEWNEIGH, DELNEIGH and GETNEIGH (entry NEIGH of the table of libnlq). */
export type NeighHandlers = Handlers<NeighRecord, NeighRequest>;
/** What a stack does for RTM_NEWROUTE, DELROUTE and GETROUTE (entry ROUTE of the table of libnlq). */
export interface RouteHandlers extends Handlers<RouteRecord, RouteRequest> {
  /**
   * The route that a packet to `request.destination` would take. Without this function the server looks through
   * tables local, main and default itself ({@link lookupRoute}).
   */
  lookup?(request: RouteRequest): RouteRecord;
}

/** The handlers of a stack by the kind of object: the table on which {@link NetlinkServer} answers (libnlq, IOTH-FACTS §10.2). */
export interface NetlinkTable {
  link: LinkHandlers;
  addr: AddrHandlers;
  route: RouteHandlers;
  neigh: NeighHandlers;
  /** The policy rules; those of a fresh kernel by default. They cannot be changed. */
  rules?(): Iterable<RuleRecord>;
  /**
   * Registers for every change of the table, whoever makes it; returns the function that ends it. A table that
   * has this reports also what clients change. Without it the server reports just that by itself.
   */
  watch?(listener: (change: Change) => void): () => void;
  /**
   * Called after each request that may have changed something, before it is answered: a table that is only the plan
   * of a stack now makes the stack what the plan says.
   */
  settle?(): void;
}
