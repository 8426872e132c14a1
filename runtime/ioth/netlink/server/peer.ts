/** The server's end of one netlink socket: its options, its requests, and what waits to be read from it. */
import { Errno } from '../../../errno.ts';
import { type NetlinkMessage, NLMSG, serializeMessage } from '../wire.ts';
import { NETLINK, NLMSG_FLAG, NLMSG_MIN_TYPE } from './constants.ts';
import type { Dump } from './dump.ts';
import { SocketOptions } from './options.ts';
import type { Report } from './operations.ts';
import type { Protocol } from './protocol.ts';
import { acknowledge, endOfDump, requestsIn } from './reply.ts';
import { refusalOf } from './requests.ts';
import { plain } from './attributes.ts';

/** What a peer needs of its server. */
export interface PeerServices {
  readonly protocol: Protocol;
  /** Runs `change`, telling all members what it changes; `cause` is the request that it is due to. */
  during(peer: NetlinkPeer, cause: NetlinkMessage, change: (report: Report) => void): void;
  /** Gives a port number to a peer; EADDRINUSE when another one has it, a free one for 0. */
  takePort(peer: NetlinkPeer, port: number): number;
  leave(peer: NetlinkPeer): void;
}

/** Who is behind a netlink socket, and how it is reached. */
export interface PeerOptions {
  /**
   * Takes a datagram for the socket; false: its buffer is full, and the same datagram comes again after
   * {@link NetlinkPeer.resume}. `group` is the multicast group it was sent to, 0 for none: nl_groups of the
   * sender's sockaddr_nl is then `1 << (group - 1)`; nl_pid is always 0.
   */
  send: (datagram: Uint8Array, group: number) => boolean | void;
  /** Port number that autobind takes when it is free: the process id, by custom. */
  pid?: number;
  /** The client's user id, part of the answers to `ip route get`. */
  uid?: number;
  /** Whether the client may change anything (CAP_NET_ADMIN); asked at each request. Otherwise EPERM. */
  mayConfigure?: () => boolean;
  /** Bytes that may wait to be read; what exceeds them is lost, as with SO_RCVBUF. */
  receiveBuffer?: number;
}

/** The kernel's default of SO_RCVBUF. */
const RECEIVE_BUFFER = 212992;
/** The kernel's NLMSG_GOODSIZE on machines with 4 KiB pages: glibc's getifaddrs(3) reads with no larger buffer. */
const FIRST_CHUNK = 3776;
const LARGEST_CHUNK = 32 << 10;

/** A dump that has begun: the number of its request, and the payload that did not fit into the last datagram. */
interface RunningDump extends Dump {
  seq: number;
  next: Uint8Array | undefined;
}

interface Datagram {
  bytes: Uint8Array;
  group: number;
}

/** The next item, undefined at the end. */
function nextOf<T>(items: Iterator<T, void>): T | undefined {
  const step = items.next();
  return step.done ? undefined : step.value;
}

/** One AF_NETLINK socket as its server sees it: its port, its groups, its options and the dump that it has begun (netlink(7)). */
export class NetlinkPeer {
  readonly #services: PeerServices;
  readonly #options: PeerOptions;
  readonly #socket = new SocketOptions();
  readonly #queue: Datagram[] = [];
  #waiting = 0;
  #chunk = FIRST_CHUNK;
  #dump: RunningDump | undefined;
  #port = 0;
  #overrun = false;
  #flushing = false;
  #closed = false;

  /** Use {@link NetlinkServer.connect}. */
  constructor(services: PeerServices, options: PeerOptions) {
    this.#services = services;
    this.#options = options;
  }

  /** nl_pid of getsockname(2); 0 until the socket is bound or has sent. */
  get port(): number {
    return this.#port;
  }

  /** nl_groups of getsockname(2): the first 32 groups. */
  get groupMask(): number {
    return this.#socket.mask;
  }

  isMember(group: number): boolean {
    return this.#socket.groups.has(group);
  }

  /** Whether the client set a flag of level SOL_NETLINK: NETLINK_PKTINFO is the socket's to look after. */
  has(option: number): boolean {
    return this.#socket.flags.has(option);
  }

  /** bind(2): EADDRINUSE, or EINVAL for another port than the one the socket has. */
  bind(port: number, groups: number): void {
    if (this.#port !== 0 && port !== this.#port) {
      if (port !== 0) throw new Errno('EINVAL');
    } else if (this.#port === 0) {
      this.#port = this.#services.takePort(this, port);
    }
    this.#socket.mask = groups;
  }

  /** Binds as the first send does: to the process id, or to any number when that is taken. */
  autobind(): void {
    if (this.#port !== 0) return;
    try {
      this.#port = this.#services.takePort(this, this.#options.pid ?? 0);
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      this.#port = this.#services.takePort(this, 0);
    }
  }

  /** setsockopt(2) of level SOL_NETLINK: ENOPROTOOPT, EINVAL as the kernel. */
  setOption(option: number, value: Uint8Array): void {
    this.#socket.set(option, value);
  }

  /** getsockopt(2) of level SOL_NETLINK: the value's bytes, whole; ENOPROTOOPT. */
  getOption(option: number): Uint8Array {
    return this.#socket.get(option);
  }

  /** Tells how large a buffer the client reads with: dumps come in datagrams of up to 32 KiB that fit into it. */
  readerBuffer(bytes: number): void {
    this.#chunk = Math.max(this.#chunk, Math.min(bytes, LARGEST_CHUNK));
  }

  /** A datagram that the client sent. Never throws; what is wrong with it is answered. */
  receive(datagram: Uint8Array): void {
    if (this.#closed) return;
    this.autobind();
    for (const message of requestsIn(plain(datagram))) this.#request(message);
    this.#flush();
  }

  /** The socket has room again. */
  resume(): void {
    this.#flush();
  }

  /** Puts a datagram into the queue, or notes that it was lost. */
  deliver(bytes: Uint8Array, group = 0): void {
    if (this.#closed) return;
    const limit = this.#options.receiveBuffer ?? RECEIVE_BUFFER;
    if (this.#queue.length > 0 && this.#waiting + bytes.length > limit) {
      this.#overrun = true;
      return;
    }
    this.#queue.push({ bytes, group });
    this.#waiting += bytes.length;
    this.#flush();
  }

  /** True once after datagrams were lost: the next recv(2) then fails with ENOBUFS, and `ip monitor` says so. */
  takeOverrun(): boolean {
    const lost = this.#overrun && !this.#socket.flags.has(NETLINK.NO_ENOBUFS);
    this.#overrun = false;
    return lost;
  }

  /** Ends the peer; nothing is sent any more. */
  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    this.#dump = undefined;
    this.#services.leave(this);
  }

  #request(message: NetlinkMessage): void {
    const wantsAck = (message.flags & NLMSG_FLAG.ACK) !== 0;
    try {
      if (!this.#serve(message) && wantsAck) this.#acknowledge(message, 0);
    } catch (error) {
      const { errno, text } = refusalOf(error);
      this.#acknowledge(message, errno, text);
    }
  }

  /** True for a dump that has begun: its end takes the place of an acknowledgement. */
  #serve(message: NetlinkMessage): boolean {
    const { type, flags, payload } = message;
    // Netlink's own messages, messages that are no requests and empty ones are fine, and do nothing.
    if ((flags & NLMSG_FLAG.REQUEST) === 0 || type < NLMSG_MIN_TYPE || payload.length === 0) return false;
    const { protocol } = this.#services;
    if (protocol.isDump(message)) {
      if (this.#dump) throw new Errno('EBUSY');
      this.#startDump(message);
      return true;
    }
    if (!protocol.onlyReads(type) && this.#options.mayConfigure?.() === false) throw new Errno('EPERM');
    this.#services.during(this, message, (report) => {
      const answer = protocol.serve(message, this.#options.uid ?? 0, report);
      if (answer) this.#answer({ ...answer, flags: 0, seq: message.seq, pid: this.#port });
    });
    return false;
  }

  /** What is wrong with a dump stands in the message that ends it, as the kernel has it. */
  #startDump(message: NetlinkMessage): void {
    try {
      const strict = this.#socket.flags.has(NETLINK.GET_STRICT_CHK);
      const dump = this.#services.protocol.startDump(message, strict);
      this.#dump = { ...dump, seq: message.seq, next: undefined };
    } catch (error) {
      this.#answer(this.#endOfDump(message.seq, NLMSG_FLAG.MULTI, error));
    }
  }

  #endOfDump(seq: number, flags: number, error: unknown): NetlinkMessage {
    const { errno, text } = error === undefined ? { errno: 0, text: undefined } : refusalOf(error);
    const end = endOfDump(errno, this.#socket.flags.has(NETLINK.EXT_ACK) ? text : undefined);
    return { type: NLMSG.DONE, flags: flags | end.flags, seq, pid: this.#port, payload: end.payload };
  }

  #acknowledge(request: NetlinkMessage, errno: number, text?: string): void {
    const options = {
      capped: this.#socket.flags.has(NETLINK.CAP_ACK),
      extended: this.#socket.flags.has(NETLINK.EXT_ACK),
    };
    this.#answer({ ...acknowledge(request, errno, text, options), pid: this.#port });
  }

  #answer(message: NetlinkMessage): void {
    this.deliver(serializeMessage(message));
  }

  #flush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      for (;;) {
        const next = this.#queue[0];
        if (next === undefined) {
          if (!this.#dump) return;
          this.deliver(this.#dumpChunk(this.#dump));
          continue;
        }
        if (this.#options.send(next.bytes, next.group) === false) return;
        // The callback may have closed the peer, which empties the queue.
        if (this.#queue.shift()) this.#waiting -= next.bytes.length;
      }
    } finally {
      this.#flushing = false;
    }
  }

  /** The next datagram of a dump: as many of its messages as fit, at least one, and the end when it is reached. */
  #dumpChunk(dump: RunningDump): Uint8Array {
    const parts: Uint8Array[] = [];
    let size = 0;
    const add = (bytes: Uint8Array): boolean => {
      if (size > 0 && size + bytes.length > this.#chunk) return false;
      parts.push(bytes);
      size += bytes.length;
      return true;
    };
    const flags = NLMSG_FLAG.MULTI | (dump.filtered ? NLMSG_FLAG.DUMP_FILTERED : 0);
    for (;;) {
      const payload = dump.next ?? nextOf(dump.payloads);
      if (payload === undefined) break;
      dump.next = payload;
      const { type, seq } = dump;
      if (!add(serializeMessage({ type, flags, seq, pid: this.#port, payload }))) return Buffer.concat(parts);
      dump.next = undefined;
    }
    if (add(serializeMessage(this.#endOfDump(dump.seq, flags, dump.failure)))) this.#dump = undefined;
    return Buffer.concat(parts);
  }
}
