/** The calls of one socket, whoever answers them: the kernel, or a stack in user space. */
import { native } from '../../native.ts';
import { LwipCalls } from '../lwip/calls.ts';
import { NetlinkCalls } from '../lwip/netlink-calls.ts';
import { identify, isNetlink } from '../lwip/socket.ts';
import { SOCK } from '../stack.ts';
import { SYS } from './constants.ts';

/**
 * None of them waits. Names are bytes of a struct sockaddr; results are as of the system call, those below zero negated
 * errnos.
 */
export interface SocketCalls {
  bind(name: Uint8Array): number;
  /** -EINPROGRESS: the socket becomes writable, and SO_ERROR tells the result. */
  connect(name: Uint8Array): number;
  listen(backlog: number): number;
  /** The next connection, nonblocking and close-on-exec. `name` gets the peer's address, `length` its length. */
  accept(name: Uint8Array, length: Uint32Array): number;
  shutdown(how: number): number;
  /** The address of the socket, or of its peer, in `out`: its length. */
  name(peer: boolean, out: Uint8Array): number;
  setOption(level: number, option: number, value: Uint8Array): number;
  /** The value of an option in `out`: its length. */
  getOption(level: number, option: number, out: Uint8Array): number;
  ioctl(request: number, argument: number | Uint8Array): number;
  /** The descriptor was closed. */
  closed(): void;
  send(
    data: Uint8Array | readonly Uint8Array[],
    flags: number,
    name: Uint8Array | null,
    control: Uint8Array | null,
  ): number;
  /** As NativeAddon.receiveMessage. */
  receive(
    data: Uint8Array | readonly Uint8Array[],
    flags: number,
    name: Uint8Array | null,
    control: Uint8Array | null,
    lengths: Int32Array,
  ): number;
}

class KernelCalls implements SocketCalls {
  readonly #fd: number;
  constructor(fd: number) {
    this.#fd = fd;
  }

  closed(): void {}

  bind(name: Uint8Array): number {
    return native().syscall(SYS.BIND, this.#fd, name, name.length);
  }

  connect(name: Uint8Array): number {
    return native().syscall(SYS.CONNECT, this.#fd, name, name.length);
  }

  listen(backlog: number): number {
    return native().syscall(SYS.LISTEN, this.#fd, backlog);
  }

  accept(name: Uint8Array, length: Uint32Array): number {
    const flags = SOCK.NONBLOCK | SOCK.CLOEXEC;
    length[0] = name.length;
    return native().syscall(SYS.ACCEPT4, this.#fd, name, new Uint8Array(length.buffer), flags);
  }

  shutdown(how: number): number {
    return native().syscall(SYS.SHUTDOWN, this.#fd, how);
  }

  name(peer: boolean, out: Uint8Array): number {
    return this.#measured(peer ? SYS.GETPEERNAME : SYS.GETSOCKNAME, [], out);
  }

  setOption(level: number, option: number, value: Uint8Array): number {
    return native().syscall(SYS.SETSOCKOPT, this.#fd, level, option, value, value.length);
  }

  getOption(level: number, option: number, out: Uint8Array): number {
    return this.#measured(SYS.GETSOCKOPT, [level, option], out);
  }

  ioctl(request: number, argument: number | Uint8Array): number {
    return native().syscall(SYS.IOCTL, this.#fd, request, argument);
  }

  send(...[data, flags, name, control]: Parameters<SocketCalls['send']>): number {
    return native().sendMessage(this.#fd, data, flags, name, control);
  }

  receive(...[data, flags, name, control, lengths]: Parameters<SocketCalls['receive']>): number {
    return native().receiveMessage(this.#fd, data, flags, name, control, lengths);
  }

  /** A call that says the length of what it wrote to `out` in a socklen_t. */
  #measured(nr: number, args: number[], out: Uint8Array): number {
    const length = Uint32Array.of(out.length);
    const result = native().syscall(nr, this.#fd, ...args, out, new Uint8Array(length.buffer));
    return result < 0 ? result : length[0]!;
  }
}

/** The calls on `fd`, a socket of this process: what it is, the descriptor itself tells. */
export function callsOf(fd: number): SocketCalls {
  const emulated = identify(fd);
  if (!emulated) return new KernelCalls(fd);
  return isNetlink(emulated) ? new NetlinkCalls(emulated) : new LwipCalls(emulated);
}
