/**
 * node:dgram on stacks in user space. Their sockets are no UDP sockets for libuv, so dgram.Socket gets a handle that does
 * with a Socket of the library what Node's UDP handle does with libuv (lib/dgram.js of Node is what calls it).
 */
import type dgram from 'node:dgram';
import { Errno } from '../../errno.ts';
import type { SocketSource } from '../dns/exchange.ts';
import { parseIp } from '../netlink/address.ts';
import { inetAddress, serializeSocketAddress, type SocketAddress } from '../socket/address.ts';
import { callsOf } from '../socket/calls.ts';
import { IP, IPPROTO, IPV6, SO, SOL } from '../socket/constants.ts';
import { Socket } from '../socket/socket.ts';
import { AF, SOCK } from '../stack.ts';
import { openFd } from './open.ts';
import { type HandleAddress, addressOf } from './stream-handle.ts';

/** Flags of bind in libuv. */
const UV_UDP_IPV6ONLY = 1;
const UV_UDP_REUSEADDR = 4;
const MULTICAST_LOOP4 = 34;

interface SendRequest {
  /** Absent where nobody wants to know. */
  oncomplete?(error: number, sent: number): void;
}
type OnMessage = (size: number, handle: object, data?: Buffer, from?: object) => void;

const int = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);
const negated = (error: unknown): number => -(error instanceof Errno ? error.errno : new Errno('EIO').errno);

/** The negated errno that `action` throws, or its result. */
function attempt(action: () => number | void): number {
  try {
    return action() ?? 0;
  } catch (error) {
    return negated(error);
  }
}

class DatagramHandle {
  onmessage: OnMessage = () => {};
  readonly #source: SocketSource;
  readonly #family: number;
  #socket: Socket | undefined;
  #receiving = false;
  #keepsAlive = true;

  constructor(source: SocketSource, family: number) {
    this.#source = source;
    this.#family = family;
  }

  get fd(): number {
    return this.#socket?.fd ?? -1;
  }

  /** The socket, which is made when it is first needed. */
  #open(): Socket {
    if (this.#socket) return this.#socket;
    const fd = openFd(this.#source, this.#family, SOCK.DGRAM);
    this.#socket = new Socket(fd, this.#family, SOCK.DGRAM, 0);
    if (!this.#keepsAlive) this.#socket.unref();
    return this.#socket;
  }

  bind(address: string, port: number, flags: number): number {
    return attempt(() => {
      const socket = this.#open();
      if ((flags & UV_UDP_REUSEADDR) !== 0) socket.setsockopt(SOL.SOCKET, SO.REUSEADDR, 1);
      if (this.#family === AF.INET6)
        socket.setsockopt(IPPROTO.IPV6, IPV6.V6ONLY, flags & UV_UDP_IPV6ONLY ? 1 : 0);
      socket.bind(inetAddress(address, port));
    });
  }

  connect(address: string, port: number): number {
    return attempt(() => {
      const name = serializeSocketAddress(inetAddress(address, port));
      return callsOf(this.#open().fd).connect(name);
    });
  }

  /** send(request, list, count, port, address, hasCallback), or without port and address where it is connected. */
  send(request: SendRequest, list: readonly Uint8Array[], _count: number, ...to: unknown[]): number {
    const [port, address] = to;
    const target: { address?: SocketAddress } =
      typeof address === 'string' ? { address: inetAddress(address, Number(port)) } : {};
    return attempt(() => {
      this.#open()
        .sendmsg({ data: list, ...target })
        .then(
          (sent) => request.oncomplete?.(0, sent),
          (error: unknown) => request.oncomplete?.(negated(error), 0),
        );
    });
  }

  recvStart(): number {
    return attempt(() => {
      const socket = this.#open();
      if (!this.#receiving) void this.#receive(socket);
      this.#receiving = true;
    });
  }

  recvStop(): number {
    this.#receiving = false;
    return 0;
  }

  async #receive(socket: Socket): Promise<void> {
    for (;;) {
      try {
        const { data, address } = await socket.recvfrom();
        if (!this.#receiving || address === undefined || !('port' in address)) continue;
        const family = address.family === AF.INET ? 'IPv4' : 'IPv6';
        this.onmessage(data.length, this, data, { address: address.address, family, port: address.port });
      } catch (error) {
        if (socket.fd < 0) return;
        this.onmessage(negated(error), this);
      }
    }
  }

  close(done?: () => void): void {
    this.#receiving = false;
    this.#socket?.close();
    if (done) process.nextTick(done);
  }

  getsockname(out: HandleAddress): number {
    return attempt(() => addressOf(callsOf(this.#open().fd), false)(out));
  }

  getpeername(out: HandleAddress): number {
    return attempt(() => addressOf(callsOf(this.#open().fd), true)(out));
  }

  ref(): void {
    this.#keepsAlive = true;
    this.#socket?.ref();
  }

  unref(): void {
    this.#keepsAlive = false;
    this.#socket?.unref();
  }

  hasRef = (): boolean => this.#keepsAlive;
  getAsyncId = (): number => 0;
  getSendQueueSize = (): number => 0;
  getSendQueueCount = (): number => 0;

  bufferSize(size: number, ofReceiving: boolean): number {
    const option = ofReceiving ? SO.RCVBUF : SO.SNDBUF;
    return attempt(() => {
      if (size > 0) this.#open().setsockopt(SOL.SOCKET, option, size);
      return this.#open().getsockopt(SOL.SOCKET, option).readInt32LE(0);
    });
  }

  setBroadcast = (on: number): number => this.#set(SOL.SOCKET, SO.BROADCAST, on);
  setTTL = (hops: number): number => this.#setBoth(IP.TTL, IPV6.UNICAST_HOPS, hops);
  setMulticastTTL = (hops: number): number => this.#setBoth(IP.MULTICAST_TTL, IPV6.MULTICAST_HOPS, hops);
  setMulticastLoopback = (on: number): number => this.#setBoth(MULTICAST_LOOP4, IPV6.MULTICAST_LOOP, on);
  addMembership = (group: string, at?: string): number => this.#membership(group, at, 35, IPV6.JOIN_GROUP);
  dropMembership = (group: string, at?: string): number => this.#membership(group, at, 36, IPV6.LEAVE_GROUP);

  #set(level: number, option: number, value: number | Uint8Array): number {
    return attempt(() => this.#open().setsockopt(level, option, value));
  }

  #setBoth(four: number, six: number, value: number): number {
    return this.#family === AF.INET
      ? this.#set(IPPROTO.IP, four, value)
      : this.#set(IPPROTO.IPV6, six, value);
  }

  /** struct ip_mreq, or struct ipv6_mreq with the index of the zone in `at` (`::%2`). */
  #membership(group: string, at: string | undefined, four: number, six: number): number {
    return attempt(() => {
      const ip = parseIp(group);
      if (ip?.family !== this.#family) throw new Errno('EINVAL');
      if (ip.family === AF.INET6) {
        const index = at === undefined ? 0 : (inetAddress(at, 0).scopeId ?? 0);
        return this.#set(IPPROTO.IPV6, six, Buffer.concat([ip.bytes, int(index)]));
      }
      const local = at === undefined ? new Uint8Array(4) : parseIp(at)?.bytes;
      if (local?.length !== 4) throw new Errno('EINVAL');
      return this.#set(IPPROTO.IP, four, Buffer.concat([ip.bytes, local]));
    });
  }
}

/** Where dgram.Socket has its handle. */
interface State {
  handle: object;
}

/** Gives `socket`, which nothing was done with, sockets of the stack. */
export function emulateDatagrams(source: SocketSource, socket: dgram.Socket, type: dgram.SocketType): void {
  const inside = socket as unknown as Record<symbol, State>;
  const key = Object.getOwnPropertySymbols(inside).find(({ description }) => description === 'state symbol');
  const state = key && inside[key];
  if (!state) throw new Error('this Node has other datagram sockets: use msocket of the stack');
  const old = state.handle as { close(): void; lookup: unknown } & Record<symbol, unknown>;
  const handle = new DatagramHandle(source, type === 'udp6' ? AF.INET6 : AF.INET);
  // The symbols lead from the handle to its socket.
  for (const symbol of Object.getOwnPropertySymbols(old)) Object.assign(handle, { [symbol]: old[symbol] });
  state.handle = Object.assign(handle, { lookup: old.lookup });
  old.close();
}
