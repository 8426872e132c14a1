/**
 * Sockets of a stack: the Berkeley calls (ioth_socket(3) and its like) on a real descriptor. Calls that may have to wait
 * return promises and take an AbortSignal; the others act at once. All throw Errno.
 */
import { Errno } from '../../errno.ts';
import { native } from '../../native.ts';
import { SOCK } from '../stack.ts';
import { ADDRESS_ROOM, type SocketAddress, parseSocketAddress, serializeSocketAddress } from './address.ts';
import { type SocketCalls, callsOf } from './calls.ts';
import { SO, SOL, SYS } from './constants.ts';
import { parseControl, serializeControl } from './control.ts';
import { type CallOptions, CallQueue, failed } from './queue.ts';
import type { IncomingMessage, OutgoingMessage, ReceiveOptions, SendOptions, SocketOwner } from './types.ts';

/** Room for control messages that {@link Socket.recvmsg} makes unless told otherwise, in bytes. */
const CONTROL_ROOM = 1024;
const EINPROGRESS = -115;
const EAGAIN = -11;

const bytesOf = (data: string | Uint8Array): Uint8Array =>
  typeof data === 'string' ? Buffer.from(data) : data;

/** A socket of a stack; see IothStack.msocket. */
export class Socket {
  /** The descriptor; -1 after close() and release(). */
  fd: number;
  readonly domain: number;
  /** SOCK_STREAM, SOCK_DGRAM, … without flags. */
  readonly type: number;
  readonly protocol: number;
  readonly #calls: SocketCalls;
  readonly #queue: CallQueue;
  readonly #owner: SocketOwner;

  /** Owns `fd`, which is nonblocking. */
  constructor(fd: number, domain: number, type: number, protocol: number, owner: SocketOwner = {}) {
    this.fd = fd;
    this.domain = domain;
    this.type = type & SOCK.TYPE_MASK;
    this.protocol = protocol;
    this.#calls = callsOf(fd);
    this.#queue = new CallQueue(fd);
    this.#owner = owner;
  }

  bind(address: SocketAddress): void {
    const name = serializeSocketAddress(address);
    this.#call('bind', (calls) => calls.bind(name));
  }

  /** Connects; a datagram socket only notes its peer. When it is called off, only close() is of use any more. */
  async connect(address: SocketAddress, options: CallOptions = {}): Promise<void> {
    const name = serializeSocketAddress(address);
    let started = false;
    await this.#queue.run(
      'write',
      'connect',
      () => {
        if (started) return this.#connectResult();
        started = true;
        const result = this.#open().connect(name);
        return result === EINPROGRESS ? EAGAIN : result;
      },
      options,
    );
  }

  listen(backlog = 128): void {
    this.#call('listen', (calls) => calls.listen(backlog));
  }

  /** The next connection, with the address of its peer. */
  async accept(options: CallOptions = {}): Promise<{ socket: Socket; address?: SocketAddress }> {
    const name = new Uint8Array(ADDRESS_ROOM);
    const length = new Uint32Array(1);
    const fd = await this.#queue.run('read', 'accept', () => this.#open().accept(name, length), options);
    const socket = new Socket(fd, this.domain, this.type, this.protocol, this.#owner);
    this.#owner.onAccept?.(socket);
    const address = parseSocketAddress(name.subarray(0, length[0]));
    return { socket, ...(address ? { address } : {}) };
  }

  /** Sends on a connected socket; the number of bytes taken, which of a stream may be fewer than given. */
  send(data: string | Uint8Array, options: SendOptions = {}): Promise<number> {
    return this.#send('send', bytesOf(data), options, null, null);
  }

  /** As {@link send}, again and again until a stream has taken all of `data`. */
  async sendAll(data: string | Uint8Array, options: SendOptions = {}): Promise<void> {
    let rest = bytesOf(data);
    do rest = rest.subarray(await this.send(rest, options));
    while (rest.length > 0);
  }

  sendto(data: string | Uint8Array, address: SocketAddress, options: SendOptions = {}): Promise<number> {
    return this.#send('sendto', bytesOf(data), options, serializeSocketAddress(address), null);
  }

  sendmsg({ data, address, control }: OutgoingMessage, options: SendOptions = {}): Promise<number> {
    const name = address ? serializeSocketAddress(address) : null;
    return this.#send('sendmsg', data, options, name, control?.length ? serializeControl(control) : null);
  }

  write(data: string | Uint8Array, options: CallOptions = {}): Promise<number> {
    return this.send(data, options);
  }

  writev(pieces: readonly Uint8Array[], options: CallOptions = {}): Promise<number> {
    return this.#send('writev', pieces, options, null, null);
  }

  /** At most `size` bytes, or one datagram; empty at the end of a stream. */
  async recv(size = 65536, options: ReceiveOptions = {}): Promise<Buffer> {
    const room = Buffer.allocUnsafe(size);
    const length = await this.#receive('recv', room, options, null, null, new Int32Array(3));
    return room.subarray(0, Math.min(length, size));
  }

  /** As {@link recv}, with the sender's address. */
  async recvfrom(
    size = 65536,
    options: ReceiveOptions = {},
  ): Promise<{ data: Buffer; address?: SocketAddress }> {
    const { data, address } = await this.recvmsg(size, { ...options, control: 0 });
    return { data, ...(address ? { address } : {}) };
  }

  /** As {@link recv}, with all that came with the message. `control` is the room for control messages, in bytes. */
  async recvmsg(size = 65536, options: ReceiveOptions & { control?: number } = {}): Promise<IncomingMessage> {
    const room = Buffer.allocUnsafe(size);
    const name = new Uint8Array(ADDRESS_ROOM);
    const control = new Uint8Array(options.control ?? CONTROL_ROOM);
    const lengths = new Int32Array(3);
    const length = await this.#receive('recvmsg', room, options, name, control, lengths);
    const [nameLength = 0, controlLength = 0, flags = 0] = lengths;
    const address = parseSocketAddress(name.subarray(0, nameLength));
    return {
      data: room.subarray(0, Math.min(length, size)),
      ...(address ? { address } : {}),
      control: parseControl(control.subarray(0, controlLength)),
      flags,
    };
  }

  read(size = 65536, options: CallOptions = {}): Promise<Buffer> {
    return this.recv(size, options);
  }

  /** Fills `pieces` one after the other; the number of bytes received, 0 at the end of a stream. */
  readv(pieces: readonly Uint8Array[], options: ReceiveOptions = {}): Promise<number> {
    return this.#receive('readv', pieces, options, null, null, new Int32Array(3));
  }

  /** The value of an option: its bytes, at most `size` of them. */
  getsockopt(level: number, option: number, size = 4): Buffer {
    const value = Buffer.alloc(size);
    const length = this.#call('getsockopt', (calls) => calls.getOption(level, option, value));
    return value.subarray(0, length);
  }

  /** Sets an option; a number stands for an int. */
  setsockopt(level: number, option: number, value: number | boolean | string | Uint8Array): void {
    const bytes =
      typeof value === 'string' || value instanceof Uint8Array
        ? bytesOf(value)
        : new Uint8Array(Int32Array.of(Number(value)).buffer);
    this.#call('setsockopt', (calls) => calls.setOption(level, option, bytes));
  }

  shutdown(how: number): void {
    this.#call('shutdown', (calls) => calls.shutdown(how));
  }

  /** ioctl(2); `argument` is a number, or memory that the call reads and writes. */
  ioctl(request: number, argument: number | Uint8Array = 0): number {
    return this.#call('ioctl', (calls) => calls.ioctl(request, argument));
  }

  fcntl(command: number, argument = 0): number {
    return this.#call('fcntl', () => native().syscall(SYS.FCNTL, this.fd, command, argument));
  }

  getsockname(): SocketAddress {
    return this.#name('getsockname', false);
  }

  getpeername(): SocketAddress {
    return this.#name('getpeername', true);
  }

  /** Closes the socket; calls that wait fail with `error` (ECANCELED unless told otherwise). Idempotent. */
  close(error: Error = new Errno('ECANCELED', 'the socket was closed')): void {
    if (this.fd < 0) return;
    native().syscall(SYS.CLOSE, this.release(error));
    this.#calls.closed();
  }

  /** Gives the descriptor away: whoever gets it closes it, and this object is of no use any more. */
  release(error: Error = new Errno('ECANCELED', 'the socket was handed on')): number {
    this.#open();
    const { fd } = this;
    this.#owner.onClose?.(this);
    this.#queue.end(error);
    this.fd = -1;
    return fd;
  }

  /** From now on a call that waits does not keep the program alive. */
  unref(): this {
    this.#queue.keepAlive(false);
    return this;
  }

  /** Takes {@link unref} back. */
  ref(): this {
    this.#queue.keepAlive(true);
    return this;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): SocketCalls {
    if (this.fd < 0) throw new Errno('EBADF', 'the socket is closed');
    return this.#calls;
  }

  #call(what: string, use: (calls: SocketCalls) => number): number {
    const result = use(this.#open());
    if (result < 0) throw failed(what, result);
    return result;
  }

  #connectResult(): number {
    return -this.getsockopt(SOL.SOCKET, SO.ERROR).readInt32LE(0);
  }

  async #send(
    what: string,
    data: Uint8Array | readonly Uint8Array[],
    { flags = 0, ...options }: SendOptions,
    name: Uint8Array | null,
    control: Uint8Array | null,
  ): Promise<number> {
    const calls = this.#open();
    return this.#queue.run('write', what, () => calls.send(data, flags, name, control), options);
  }

  async #receive(
    what: string,
    data: Uint8Array | readonly Uint8Array[],
    { flags = 0, ...options }: ReceiveOptions,
    name: Uint8Array | null,
    control: Uint8Array | null,
    lengths: Int32Array,
  ): Promise<number> {
    const calls = this.#open();
    return this.#queue.run('read', what, () => calls.receive(data, flags, name, control, lengths), options);
  }

  #name(what: string, peer: boolean): SocketAddress {
    const name = new Uint8Array(ADDRESS_ROOM);
    const length = this.#call(what, (calls) => calls.name(peer, name));
    const address = parseSocketAddress(name.subarray(0, length));
    if (address === undefined) throw new Errno('ENOTCONN', `${what}: no address`);
    return address;
  }
}
