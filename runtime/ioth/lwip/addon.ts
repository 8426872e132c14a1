/** The part of the addon that is the stack in user space (native/src/lwip), as runtime/native.ts exports it. */
import type { NativeNetwork } from '../../native.ts';

/** What is told of a socket of a stack in user space. */
export const LWIP_EVENT = {
  connected: 0, failed: 1, acceptable: 2, reset: 3, message: 4, writable: 5, closed: 6, changed: 7,
} as const; // prettier-ignore

/** Size of the struct Meta that goes with datagrams (native/src/lwip/markers.h). */
export const LWIP_META_SIZE = 56;

/** An interface of a stack in user space. */
export interface LwipLink {
  index: number;
  name: string;
  loopback: boolean;
  up: boolean;
  /** Whether its network is there. */
  carrier: boolean;
  mtu: number;
  mac: Uint8Array;
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
  txDropped: number;
}

/** An IPv6 address, with what duplicate address detection and its lifetimes (in seconds) make of it. */
export interface LwipAddress {
  index: number;
  address: Uint8Array;
  tentative: boolean;
  duplicated: boolean;
  deprecated: boolean;
  valid: number;
  preferred: number;
}

export interface LwipNeighbour {
  index: number;
  address: Uint8Array;
  /** Absent while it is not known. */
  mac?: Uint8Array;
  /** NUD_*. */
  state: number;
  router: boolean;
}

/** A router that has announced itself; its lifetime in seconds. */
export interface LwipRouter {
  index: number;
  address: Uint8Array;
  lifetime: number;
}

/** A socket that has an address, as /proc/net/tcp and the like show it. */
export interface LwipConnection {
  domain: number;
  type: number;
  protocol: number;
  /** TCP_ESTABLISHED, … of netinet/tcp.h. */
  state: number;
  local: Uint8Array;
  localPort: number;
  remote: Uint8Array;
  remotePort: number;
  /** 0: not known. */
  inode: number;
  /** Bytes that were not acknowledged. */
  unsent: number;
  /** Whether a socket of IPv6 takes no IPv4. */
  v6only: boolean;
}

/**
 * A TCP/IP stack in user space (native/src/lwip/stack.h). It does what it is told: what follows from a change (the routes
 * of an address, …) runtime/ioth/lwip/table.ts knows. Results of changes are 0 or a negated errno.
 */
export interface NativeLwipStack {
  /** Adds an interface on `network`. Its index, or a negated errno. */
  addInterface(name: string, network: NativeNetwork, mtu: number): number;
  /** A new socket: the descriptor for a guest, close-on-exec. `type` is without flags. Or a negated errno. */
  socket(domain: number, type: number, protocol: number): number;
  /** How many sockets there are. */
  sockets(): number;
  /** Bytes of memory that it uses, of those that it was given. */
  memory(): number;
  /** Fails an assertion of lwIP, for tests: the stack is taken down. -ENETDOWN. */
  fail(): number;
  /** Names the stack in {@link LWIP_EVENT}.changed. */
  id(): number;
  links(): LwipLink[];
  /** An interface that goes down loses its IPv6 addresses. */
  setLink(index: number, name: string, up: boolean, mtu: number, mac: Uint8Array): number;
  /** The IPv6 addresses. */
  addresses(): LwipAddress[];
  /** Adds an address, or removes it where `prefix` is -1. A tentative one (IPv6) is tried before it is used. */
  setAddress(index: number, address: Uint8Array, prefix: number, tentative: boolean): number;
  /** Adds or removes a route: struct PackedRoute of native/src/lwip/configuration.cc. */
  setRoute(add: boolean, route: Uint8Array): number;
  /** Learnt ones and those made with {@link setNeighbour}. */
  neighbours(): LwipNeighbour[];
  /** Makes an entry that stays; null removes one, also one that was learnt. */
  setNeighbour(index: number, address: Uint8Array, mac: Uint8Array | null): number;
  routers(): LwipRouter[];
  /** Whether packets for others are passed on. Not, at first. */
  setForwarding(inet: boolean, inet6: boolean): number;
  connections(): LwipConnection[];
  close(): void;
}

/** Tells when a descriptor is readable. */
export interface NativeReadable {
  stop(): void;
}

/**
 * Calls on sockets of stacks in user space. `id` names the socket, `fd` is a copy of the guest's descriptor.
 * Addresses are bytes of a struct sockaddr. Results below zero are negated errnos.
 */
export interface NativeLwip {
  /**
   * A copy of descriptor `fd` of the process of `pidfd`, when it is such a socket: then its id, and in `out` the copy,
   * domain, type and protocol. 0 when it is none.
   */
  open(pidfd: number, fd: number, out: Int32Array): number;
  /** The id of the socket that descriptor `fd` of this process is, and in `out` its domain, type and protocol; or 0. */
  identify(fd: number, out: Int32Array): number;
  bind(id: number, fd: number, address: Uint8Array): number;
  /** -EINPROGRESS: an event will tell. `wait`: the guest waits for it in connect(2). */
  connect(id: number, fd: number, address: Uint8Array, wait: boolean): number;
  listen(id: number, fd: number, backlog: number): number;
  /** The next connection, or -EAGAIN. The first byte of `name` is the length of the address after it, or 0. */
  accept(fd: number, flags: number, name: Uint8Array): number;
  /** mmap(2) of `size` bytes of the ring of a packet socket: a new descriptor of its memory. */
  map(id: number, fd: number, size: number): number;
  shutdown(id: number, fd: number, how: number): number;
  /** Address of the socket or its peer; the length. `out` has 128 bytes. */
  name(id: number, peer: boolean, out: Uint8Array): number;
  setOption(id: number, fd: number, level: number, name: number, value: Uint8Array): number;
  /** Value of an option that was set, or that the stack knows; the length, or -ENOPROTOOPT. */
  getOption(id: number, level: number, name: number, out: Uint8Array): number;
  /**
   * The next ICMP error that waits for MSG_ERRQUEUE: struct sock_extended_err, the address of who reported it and the
   * destination (128 bytes each, after one for the length), and what was sent. Its size, or -EAGAIN.
   * An `out` without room only asks whether there is one (0).
   */
  takeQueued(id: number, out: Uint8Array): number;
  /** The {@link NativeLwipStack.id} of the stack of a socket. */
  stackOf(id: number): number;
  /** Looks whether the last descriptor of a datagram socket was closed, which nothing tells. */
  look(id: number): number;
  /** To be called when {@link LWIP_EVENT}.reset was told. */
  finishReset(id: number): number;
  /** Sends a datagram; -EAGAIN where the network is full. */
  send(id: number, bytes: Uint8Array, meta: Uint8Array | null): number;
  /** Takes a datagram (MSG_PEEK in `flags`) without waiting: its whole length. */
  receive(fd: number, into: Uint8Array, flags: number, meta: Uint8Array): number;
  /** The next message that a guest has written to a netlink socket; its length, or -EAGAIN: an event will tell. */
  take(id: number, into: Uint8Array): number;
  /** A message for the guest, to a multicast group or (0) to itself. -EAGAIN: an event tells when there is room. */
  put(id: number, bytes: Uint8Array, group: number): number;
  /** There is one callback: runtime/ioth/lwip/events.ts. */
  setEvents(callback: (id: number, event: number, value: number) => void): void;
  Readable: new (fd: number, callback: () => void) => NativeReadable;
}
