/** The calls of programs on sockets of stacks in user space; those of guests are answered by runtime/syscalls/emulated. */
import { readdirSync } from 'node:fs';
import { Errno } from '../../errno.ts';
import { native } from '../../native.ts';
import { isNetdevice } from '../netlink/server/index.ts';
import type { SocketCalls } from '../socket/calls.ts';
import { parseControl, serializeControl } from '../socket/control.ts';
import { AF, SOCK } from '../stack.ts';
import { configurationOf } from './configurations.ts';
import { listen } from './events.ts';
import { controlsOf, metaFor } from './meta.ts';
import { getOption, setOption } from './options.ts';
import { type EmulatedSocket, identify, isStream, lwip } from './socket.ts';
import { senderOf, sendNow, takeNow, type Received } from './transfer.ts';

const SYS = { IOCTL: 16, FCNTL: 72 } as const;
const F_DUPFD_CLOEXEC = 1030;
const MSG_CTRUNC = 8;
const MSG_TRUNC = 0x20;
const EAGAIN = -11;
/** Sockets of which it is remembered which descriptor they are. */
const REMEMBERED = 4096;

/** Descriptors of this process by socket, those seen last at the end. */
const own = new Map<number, number>();

/** Notes which descriptor of this process the socket is. */
export function rememberOwn({ id, fd }: EmulatedSocket): void {
  listen(findOwn);
  own.delete(id);
  own.set(id, fd);
  if (own.size > REMEMBERED) own.delete(own.keys().next().value!);
}

function findOwn(id: number): number | undefined {
  const known = own.get(id) ?? -1;
  own.delete(id);
  // It may have been accepted by libuv, or handed on.
  const others = (): number[] => readdirSync('/proc/self/fd').map(Number);
  const isIt = (fd: number): boolean => fd >= 0 && identify(fd)?.id === id;
  const fd = isIt(known) ? known : others().find(isIt);
  if (fd === undefined) return undefined;
  const copy = native().syscall(SYS.FCNTL, fd, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? undefined : copy;
}

/** The result of `action`, or the negated errno that it throws. */
export function attempt(action: () => number): number {
  try {
    return action();
  } catch (error) {
    if (error instanceof Errno) return -error.errno;
    throw error;
  }
}

/** The pieces of a message in one. */
export const joined = (data: Uint8Array | readonly Uint8Array[]): Uint8Array =>
  data instanceof Uint8Array ? data : Buffer.concat(data);

export class LwipCalls implements SocketCalls {
  readonly #socket: EmulatedSocket;

  constructor(socket: EmulatedSocket) {
    this.#socket = socket;
    rememberOwn(socket);
  }

  closed(): void {
    lwip().look(this.#socket.id);
  }

  bind(name: Uint8Array): number {
    return lwip().bind(this.#socket.id, this.#socket.fd, name);
  }

  connect(name: Uint8Array): number {
    return lwip().connect(this.#socket.id, this.#socket.fd, name, false);
  }

  listen(backlog: number): number {
    return lwip().listen(this.#socket.id, this.#socket.fd, backlog);
  }

  accept(name: Uint8Array, length: Uint32Array): number {
    if (!isStream(this.#socket)) return -new Errno('EOPNOTSUPP').errno;
    const measured = new Uint8Array(1 + name.length);
    const fd = lwip().accept(this.#socket.fd, SOCK.NONBLOCK, measured);
    if (fd < 0) return fd;
    length[0] = measured[0]!;
    name.set(measured.subarray(1, 1 + measured[0]!));
    return fd;
  }

  shutdown(how: number): number {
    return lwip().shutdown(this.#socket.id, this.#socket.fd, how);
  }

  name(peer: boolean, out: Uint8Array): number {
    return lwip().name(this.#socket.id, peer, out);
  }

  setOption(level: number, option: number, value: Uint8Array): number {
    return attempt(() => setOption(this.#socket, level, option, value.length, () => Buffer.from(value)));
  }

  getOption(level: number, option: number, out: Uint8Array): number {
    return attempt(() => {
      const value = getOption(this.#socket, level, option, out.length).subarray(0, out.length);
      out.set(value);
      return value.length;
    });
  }

  ioctl(request: number, argument: number | Uint8Array): number {
    const socket = this.#socket;
    if (!isNetdevice(request)) return native().syscall(SYS.IOCTL, socket.fd, request, argument);
    if (typeof argument === 'number') return -new Errno('EFAULT').errno;
    const family = socket.domain === AF.INET6 ? AF.INET6 : AF.INET;
    return attempt(() => configurationOf(socket).ioctl(request, argument, { family }));
  }

  send(...[data, flags, name, control]: Parameters<SocketCalls['send']>): number {
    const socket = this.#socket;
    if (isStream(socket)) return native().sendMessage(socket.fd, data, flags, null, null);
    return attempt(() => {
      const controls = control ? parseControl(control) : [];
      const meta = metaFor(
        name ?? undefined,
        controls.map((each) => ({ ...each, data: Buffer.from(each.data) })),
      );
      return sendNow(socket, joined(data), meta, flags);
    });
  }

  receive(...[data, flags, name, control, lengths]: Parameters<SocketCalls['receive']>): number {
    const socket = this.#socket;
    lengths.fill(0);
    // The names of AF_UNIX sockets below are nobody's business.
    if (isStream(socket)) return native().receiveMessage(socket.fd, data, flags, null, null, lengths);
    return attempt(() => {
      const received = take(socket, data, flags);
      if (received === undefined) return EAGAIN;
      const sender = name ? senderOf(socket, received).subarray(0, name.length) : new Uint8Array(0);
      name?.set(sender);
      const cut = received.length > received.bytes.length;
      lengths.set([sender.length, 0, cut ? MSG_TRUNC : 0]);
      if (control && control.length > 0) putControls(socket, received, control, lengths);
      return (flags & MSG_TRUNC) !== 0 ? received.length : received.bytes.length;
    });
  }
}

/** Takes a message into one piece at once, or through a buffer into several. */
function take(
  socket: EmulatedSocket,
  data: Uint8Array | readonly Uint8Array[],
  flags: number,
): Received | undefined {
  const pieces = data instanceof Uint8Array ? [data] : data;
  const [first] = pieces;
  if (pieces.length === 1 && first && first.length > 0)
    return takeNow(socket, first.length, flags, Buffer.from(first.buffer, first.byteOffset, first.length));
  const received = takeNow(
    socket,
    pieces.reduce((sum, { length }) => sum + length, 0),
    flags,
  );
  let at = 0;
  for (const piece of pieces) {
    piece.set(received?.bytes.subarray(at, at + piece.length) ?? []);
    at += piece.length;
  }
  return received;
}

/** Writes the control messages that fit into `control`. */
function putControls(
  socket: EmulatedSocket,
  { meta, length }: Received,
  control: Uint8Array,
  lengths: Int32Array,
): void {
  for (const each of controlsOf(socket, meta, length)) {
    const bytes = serializeControl([each]);
    if (lengths[1]! + bytes.length > control.length) {
      lengths[2]! |= MSG_CTRUNC;
      return;
    }
    control.set(bytes, lengths[1]);
    lengths[1]! += bytes.length;
  }
}
