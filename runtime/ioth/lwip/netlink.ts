/**
 * The AF_NETLINK sockets of a stack in user space. A guest holds one end of a pair of AF_UNIX sockets; what it writes
 * there comes as events of the addon, and what it does by calls with addresses comes from
 * runtime/syscalls/emulated/netlink.ts.
 */
import { Errno } from '../../errno.ts';
import { LWIP_EVENT, native } from '../../native.ts';
import type { NetlinkPeer, NetlinkServer } from '../netlink/server/index.ts';
import { AF, type SocketOwner } from '../stack.ts';
import { viewOf } from '../netlink/wire.ts';
import { onEventOf } from './events.ts';
import { type EmulatedSocket, identify } from './socket.ts';

const SOCKADDR_NL = 12;
const EAGAIN = new Errno('EAGAIN').errno;
/** Most bytes of a message that is taken; as long as AF_UNIX carries them. */
const LARGEST = 1 << 18;
/** Messages that are answered before others have a turn. */
const MOST_AT_ONCE = 64;

const sockets = new Map<number, NetlinkSocket>();
/** The peer of a netlink socket; undefined for all others. ENETDOWN where its stack is gone. */
export function peerOf({ id, domain }: EmulatedSocket): NetlinkSocket | undefined {
  if (domain !== AF.NETLINK) return undefined;
  const peer = sockets.get(id);
  if (!peer) throw new Errno('ENETDOWN');
  return peer;
}

/** The program itself, where it uses a stack as a library. */
export const PROGRAM: SocketOwner = {
  pid: process.pid,
  uid: process.geteuid?.() ?? 0,
  mayConfigure: () => true,
};

/** struct sockaddr_nl. */
function sockaddr(port: number, groups: number): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_NL);
  const view = viewOf(bytes);
  view.setUint16(0, AF.NETLINK, true);
  view.setUint32(4, port, true);
  view.setUint32(8, groups, true);
  return bytes;
}

/** nl_pid and nl_groups; EINVAL for what is no struct sockaddr_nl. */
function parse(address: Uint8Array): { port: number; groups: number } {
  if (address.length < SOCKADDR_NL || viewOf(address).getUint16(0, true) !== AF.NETLINK)
    throw new Errno('EINVAL');
  return { port: viewOf(address).getUint32(4, true), groups: viewOf(address).getUint32(8, true) };
}

export class NetlinkSocket {
  readonly #id: number;
  readonly #peer: NetlinkPeer;
  readonly #forget: () => void;
  /** Who uses it: who has made it, or who sent something last by a call that was seen. */
  #owner: SocketOwner;
  #buffer: Uint8Array | undefined;

  constructor(id: number, server: NetlinkServer, owner: SocketOwner = PROGRAM) {
    this.#id = id;
    this.#owner = owner;
    this.#peer = server.connect({
      send: (datagram, group) => native().lwip!.put(id, datagram, group) !== -EAGAIN,
      pid: owner.pid,
      uid: owner.uid,
      mayConfigure: () => this.#owner.mayConfigure(),
    });
    this.#forget = onEventOf(id, (event) => this.#onEvent(event));
    sockets.set(id, this);
  }

  bind(address: Uint8Array): void {
    const { port, groups } = parse(address);
    this.#peer.bind(port, groups);
  }

  /** There is nobody to talk to but the stack: EPERM for whoever may not talk to others, as in the kernel. */
  connect(address: Uint8Array): void {
    const { port, groups } = parse(address);
    if ((port !== 0 || groups !== 0) && !this.#owner.mayConfigure()) throw new Errno('EPERM');
    if (port !== 0) throw new Errno('ECONNREFUSED');
    this.#peer.autobind();
  }

  name(): Uint8Array {
    return sockaddr(this.#peer.port, this.#peer.groupMask);
  }

  peerName(): Uint8Array {
    return sockaddr(0, 0);
  }

  /** Level SOL_NETLINK. */
  setOption(option: number, value: Uint8Array): void {
    this.#peer.setOption(option, value);
  }

  getOption(option: number): Uint8Array {
    return this.#peer.getOption(option);
  }

  /** A message that `owner` sends by a call, to `address` where that is given. */
  send(message: Uint8Array, owner: SocketOwner, address?: Uint8Array): void {
    this.#owner = owner;
    if (address) {
      const { port, groups } = parse(address);
      if (groups !== 0 && !owner.mayConfigure()) throw new Errno('EPERM');
      if (port !== 0) throw new Errno('ECONNREFUSED');
    }
    // What was written before comes first.
    this.drain();
    this.#peer.receive(message);
  }

  /** To be called before something is received into `room` bytes; ENOBUFS where something was lost. */
  beforeReceive(room: number): void {
    this.drain();
    this.#peer.readerBuffer(room);
    if (this.#peer.takeOverrun()) throw new Errno('ENOBUFS');
  }

  /** Answers what the guest has written; after many messages the rest later. */
  drain(): void {
    this.#buffer ??= new Uint8Array(LARGEST);
    for (let i = 0; i < MOST_AT_ONCE; i++) {
      const size = native().lwip!.take(this.#id, this.#buffer);
      if (size < 0) {
        this.#buffer = undefined;
        return;
      }
      this.#peer.receive(this.#buffer.slice(0, size));
    }
    setImmediate(() => this.drain());
  }

  close(): void {
    this.#forget();
    sockets.delete(this.#id);
    this.#peer.close();
  }

  #onEvent(event: number): void {
    if (event === LWIP_EVENT.message) this.drain();
    else if (event === LWIP_EVENT.writable) this.#peer.resume();
    else if (event === LWIP_EVENT.closed || event === LWIP_EVENT.failed) this.close();
  }
}

/** Makes `fd`, a netlink socket that the stack has just made, one of `server`. */
export function adoptNetlinkSocket(fd: number, server: NetlinkServer, owner?: SocketOwner): NetlinkSocket {
  const socket = identify(fd);
  if (!socket) throw new Errno('ENETDOWN');
  return new NetlinkSocket(socket.id, server, owner);
}
