/** The calls on sockets of stacks in user space, wherever these stacks are. */
import { Errno } from '../../../errno.ts';
import { type NativeLwip, native } from '../../../native.ts';
import { type IsolatedChild, closeFd } from './child.ts';
import { anyDown, findSocket, placeOf } from './sockets.ts';

const SYS_PIDFD_GETFD = 438;
const ENETDOWN = -new Errno('ENETDOWN').errno;

/** ENETDOWN for `error` where descriptor `fd` is a socket of a stack that is down: the kernel's objects do not know. */
function orDown(error: number, fd: number): number {
  if (!anyDown()) return error;
  const known = findSocket(fd);
  return known && !placeOf(known.id)?.child?.alive ? ENETDOWN : error;
}

type Call = (...args: Parameters<IsolatedChild['result']>) => number;
type Ask = (...args: Parameters<IsolatedChild['call']>) => ReturnType<IsolatedChild['call']>;

/** Makes calls on socket `id`; undefined where it is one of this process. */
function on(id: number): Call | undefined {
  const place = placeOf(id);
  return (
    place &&
    ((op, request = {}, fd) =>
      place.child ? place.child.result(op, { ...request, id: place.local }, fd) : ENETDOWN)
  );
}

/** As {@link on}, where bytes come back: into `out`; the result. */
function asking(id: number): ((out: Uint8Array, ...args: Parameters<Ask>) => number) | undefined {
  const place = placeOf(id);
  if (!place) return undefined;
  return (out, op, request = {}) => {
    if (!place.child) return ENETDOWN;
    const { result, bytes, fd } = place.child.call(op, { ...request, id: place.local });
    if (fd >= 0) closeFd(fd);
    if (bytes.length > out.length || result > out.length) {
      place.child.giveUp('tells nonsense (too many bytes)');
      return ENETDOWN;
    }
    out.set(bytes);
    return result;
  };
}

/** The calls of `local`, the addon, and those on sockets of isolated stacks, in one. */
export class RoutedLwip implements NativeLwip {
  readonly #local: NativeLwip;
  readonly Readable: NativeLwip['Readable'];

  constructor(local: NativeLwip) {
    this.#local = local;
    this.Readable = local.Readable;
  }

  open(pidfd: number, fd: number, out: Int32Array): number {
    const id = this.#local.open(pidfd, fd, out);
    if (id !== 0) return id;
    const copy = native().syscall(SYS_PIDFD_GETFD, pidfd, fd, 0);
    if (copy < 0) return copy;
    const known = findSocket(copy);
    if (known) out.set([copy, known.domain, known.type, known.protocol]);
    else closeFd(copy);
    return known?.id ?? 0;
  }

  identify(fd: number, out: Int32Array): number {
    const id = this.#local.identify(fd, out);
    if (id !== 0) return id;
    const known = findSocket(fd);
    if (known) out.set([known.domain, known.type, known.protocol]);
    return known?.id ?? 0;
  }

  bind(id: number, fd: number, address: Uint8Array): number {
    return on(id)?.('bind', { bytes: [address] }, fd) ?? this.#local.bind(id, fd, address);
  }

  connect(id: number, fd: number, address: Uint8Array, wait: boolean): number {
    const request = { a: Number(wait), bytes: [address] };
    return on(id)?.('connect', request, fd) ?? this.#local.connect(id, fd, address, wait);
  }

  listen(id: number, fd: number, backlog: number): number {
    return on(id)?.('listen', { a: backlog }, fd) ?? this.#local.listen(id, fd, backlog);
  }

  accept(fd: number, flags: number, name: Uint8Array): number {
    const accepted = this.#local.accept(fd, flags, name);
    if (accepted < 0) return orDown(accepted, fd);
    const known = name[0] === 0 ? findSocket(accepted) : undefined;
    if (known) name[0] = Math.max(0, this.name(known.id, true, name.subarray(1)));
    return accepted;
  }

  map(id: number, fd: number, size: number): number {
    const place = placeOf(id);
    if (!place) return this.#local.map(id, fd, size);
    if (size > 0x7fffffff) return -new Errno('EINVAL').errno;
    const answer = place.child?.call('map', { a: size, id: place.local }, fd);
    return answer ? (answer.result < 0 ? answer.result : answer.fd) : ENETDOWN;
  }

  shutdown(id: number, fd: number, how: number): number {
    return on(id)?.('shutdown', { a: how }, fd) ?? this.#local.shutdown(id, fd, how);
  }

  name(id: number, peer: boolean, out: Uint8Array): number {
    return asking(id)?.(out, 'name', { a: Number(peer) }) ?? this.#local.name(id, peer, out);
  }

  setOption(id: number, fd: number, level: number, name: number, value: Uint8Array): number {
    const request = { a: level, b: name, bytes: [value] };
    return on(id)?.('setOption', request, fd) ?? this.#local.setOption(id, fd, level, name, value);
  }

  getOption(id: number, level: number, name: number, out: Uint8Array): number {
    const request = { a: level, b: name, bytes: [out] };
    return asking(id)?.(out, 'getOption', request) ?? this.#local.getOption(id, level, name, out);
  }

  takeQueued(id: number, out: Uint8Array): number {
    return asking(id)?.(out, 'takeQueued', { a: out.length }) ?? this.#local.takeQueued(id, out);
  }

  stackOf(id: number): number {
    const place = placeOf(id);
    return place
      ? place.child
        ? id - place.local + place.child.stackId
        : ENETDOWN
      : this.#local.stackOf(id);
  }

  look(id: number): number {
    return on(id)?.('look') ?? this.#local.look(id);
  }

  finishReset(id: number): number {
    return on(id)?.('finishReset') ?? this.#local.finishReset(id);
  }

  send(id: number, bytes: Uint8Array, meta: Uint8Array | null): number {
    const request = { a: Number(meta !== null), bytes: meta ? [meta, bytes] : [bytes] };
    return on(id)?.('send', request) ?? this.#local.send(id, bytes, meta);
  }

  receive(fd: number, into: Uint8Array, flags: number, meta: Uint8Array): number {
    const got = this.#local.receive(fd, into, flags, meta);
    return got < 0 ? orDown(got, fd) : got;
  }

  /** Netlink sockets are always of this process (stack.ts). */
  take(id: number, into: Uint8Array): number {
    return this.#local.take(id, into);
  }

  put(id: number, bytes: Uint8Array, group: number): number {
    return this.#local.put(id, bytes, group);
  }

  setEvents(callback: Parameters<NativeLwip['setEvents']>[0]): void {
    this.#local.setEvents(callback);
  }
}
