/** Descriptors as Node wants them: nonblocking, bound where that is asked for. */
import { Errno } from '../../errno.ts';
import { native } from '../../native.ts';
import { type InetAddress, inetAddress, serializeSocketAddress } from '../socket/address.ts';
import { callsOf } from '../socket/calls.ts';
import { IPPROTO, IPV6, SO, SOL, SYS } from '../socket/constants.ts';
import type { SocketSource } from '../dns/exchange.ts';
import { AF, SOCK } from '../stack.ts';

const int = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);

/** An error as Node's own bind reports it. */
function bindError(error: unknown, address: InetAddress): Error {
  if (!(error instanceof Errno)) return error as Error;
  const { code, errno } = error;
  const text = `bind ${code} ${address.address}:${address.port}`;
  const details = { code, errno: -errno, syscall: 'bind', address: address.address, port: address.port };
  return Object.assign(new Error(text), details);
}

/** A socket, and what `use` does with it; closed when that fails. */
export function openFd(
  source: SocketSource,
  family: number,
  type: number,
  use: (fd: number) => void = () => {},
): number {
  const fd = source.socket(family, type | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  try {
    use(fd);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

export const closeFd = (fd: number): void => void native().syscall(SYS.CLOSE, fd);

function must(result: number): void {
  if (result < 0) throw new Errno(result);
}

export interface BindOptions {
  reuse: boolean;
  /** An IPv6 socket that takes no IPv4. */
  v6only: boolean;
}

/** A socket that is bound to `address`. Throws errors as Node does. */
export function openBound(
  source: SocketSource,
  type: number,
  address: InetAddress,
  options: BindOptions,
): number {
  const name = serializeSocketAddress(address);
  try {
    return openFd(source, address.family, type, (fd) => {
      const calls = callsOf(fd);
      const set = (level: number, option: number, value: number): void =>
        must(calls.setOption(level, option, int(value)));
      if (options.reuse) set(SOL.SOCKET, SO.REUSEADDR, 1);
      if (address.family === AF.INET6) set(IPPROTO.IPV6, IPV6.V6ONLY, options.v6only ? 1 : 0);
      must(calls.bind(name));
    });
  } catch (error) {
    throw bindError(error, address);
  }
}

/** Whether the stack has a route to `address` (connect(2) of a datagram socket sends nothing). */
export function reachable(source: SocketSource, address: string): boolean {
  try {
    const name = serializeSocketAddress(inetAddress(address, 9));
    const { family } = inetAddress(address, 9);
    const fd = openFd(source, family, SOCK.DGRAM, (each) => must(callsOf(each).connect(name)));
    closeFd(fd);
    return true;
  } catch {
    return false;
  }
}
