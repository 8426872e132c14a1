/**
 * Sockets of stacks in user space, as the addon knows them. Calls of guests (runtime/syscalls/emulated) and of programs
 * that use the library (calls.ts) do the same things with them.
 */
import { Errno } from '../../errno.ts';
import { native, type NativeLwip } from '../../native.ts';
import { AF, SOCK } from '../stack.ts';
import { RoutedLwip } from './isolated/routed.ts';

/** A socket, while one of its calls is answered. */
export interface EmulatedSocket {
  readonly id: number;
  /** Its descriptor in this process: a copy of the guest's, or the program's own. */
  readonly fd: number;
  readonly domain: number;
  readonly type: number;
  readonly protocol: number;
}

let routed: RoutedLwip | undefined;

/** From now on there may be sockets of isolated stacks. */
export function withIsolated(): void {
  const { lwip: calls } = native();
  if (calls) routed ??= new RoutedLwip(calls);
}

/** The calls on sockets; undefined where the addon was built without lwIP. */
export const lwipCalls = (): NativeLwip | undefined => routed ?? native().lwip;

/** The calls on sockets, where there is a stack. */
export function lwip(): NativeLwip {
  const calls = lwipCalls();
  if (!calls) throw new Errno('ENOSYS');
  return calls;
}

const found = new Int32Array(3);

/** The socket that descriptor `fd` of this process is; undefined where it is none of ours. */
export function identify(fd: number): EmulatedSocket | undefined {
  const id = lwipCalls()?.identify(fd, found) ?? 0;
  return id > 0 ? { id, fd, domain: found[0]!, type: found[1]!, protocol: found[2]! } : undefined;
}

export const isStream = ({ type }: EmulatedSocket): boolean => type === SOCK.STREAM;
export const isNetlink = ({ domain }: EmulatedSocket): boolean => domain === AF.NETLINK;
