/** What every call of a socket needs, and the calls that never wait (ioth_bind(3) and its like). */
import { Errno } from '../../errno.ts';
import { native } from '../../native.ts';
import { SOCK } from '../stack.ts';
import { ADDRESS_ROOM, type SocketAddress, parseSocketAddress, serializeSocketAddress } from './address.ts';
import { type SocketCalls, callsOf } from './calls.ts';
import { SYS } from './constants.ts';
import { CallQueue, failed } from './queue.ts';
import type { SocketOwner } from './types.ts';

/** The bytes that are meant: text is UTF-8. */
export const bytesOf = (data: string | Uint8Array): Uint8Array =>
  typeof data === 'string' ? Buffer.from(data) : data;

/** A socket as far as nothing has to be waited for; {@link Socket} is all of it. Calls throw Errno. */
export class BasicSocket {
  /** The descriptor; -1 after close() and release(). */
  fd: number;
  readonly domain: number;
  /** SOCK_STREAM, SOCK_DGRAM, … without flags. */
  readonly type: number;
  readonly protocol: number;
  readonly #calls: SocketCalls;
  protected readonly queue: CallQueue;
  protected readonly owner: SocketOwner;

  /** Owns `fd`, which is nonblocking. */
  constructor(fd: number, domain: number, type: number, protocol: number, owner: SocketOwner = {}) {
    this.fd = fd;
    this.domain = domain;
    this.type = type & SOCK.TYPE_MASK;
    this.protocol = protocol;
    this.#calls = callsOf(fd);
    this.queue = new CallQueue(fd);
    this.owner = owner;
  }

  bind(address: SocketAddress): void {
    const name = serializeSocketAddress(address);
    this.#call('bind', (calls) => calls.bind(name));
  }

  listen(backlog = 128): void {
    this.#call('listen', (calls) => calls.listen(backlog));
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
    this.open();
    const { fd } = this;
    this.owner.onClose?.(this);
    this.queue.end(error);
    this.fd = -1;
    return fd;
  }

  /** From now on a call that waits does not keep the program alive. */
  unref(): this {
    this.queue.keepAlive(false);
    return this;
  }

  /** Takes {@link unref} back. */
  ref(): this {
    this.queue.keepAlive(true);
    return this;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The calls; EBADF once the socket is closed. */
  protected open(): SocketCalls {
    if (this.fd < 0) throw new Errno('EBADF', 'the socket is closed');
    return this.#calls;
  }

  #call(what: string, use: (calls: SocketCalls) => number): number {
    const result = use(this.open());
    if (result < 0) throw failed(what, result);
    return result;
  }

  #name(what: string, peer: boolean): SocketAddress {
    const name = new Uint8Array(ADDRESS_ROOM);
    const length = this.#call(what, (calls) => calls.name(peer, name));
    const address = parseSocketAddress(name.subarray(0, length));
    if (address === undefined) throw new Errno('ENOTCONN', `${what}: no address`);
    return address;
  }
}
