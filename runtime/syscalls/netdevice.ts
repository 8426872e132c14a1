/**
 * The old ioctl requests of netdevice(7). On a socket of a stack the kernel answers them itself. But glibc
 * (if_nametoindex and others) asks on the first socket it gets, which is an AF_UNIX one and belongs to the
 * host's network: there the same request is made on a socket of the caller's stack instead.
 */
import { Errno, check } from '../errno.ts';
import { AF, SOCK } from '../ioth/stack.ts';
import { native } from '../native.ts';
import { requireOwner } from '../vm/access.ts';
import type { Call } from '../vm/call.ts';
import type { Handler } from './handler.ts';
import { PASS, type Answer } from './outcome.ts';
import { SYS } from './table.ts';

/** Requests that read one struct ifreq and fill it (SIOCGIFNAME, …FLAGS, …ADDR, …MTU, …INDEX, …TXQLEN). */
const GET = new Set([
  0x8910, 0x8913, 0x8915, 0x8917, 0x8919, 0x891b, 0x891d, 0x8921, 0x8927, 0x8933, 0x8942, 0x8970,
]);
/** Requests that change what one struct ifreq names. */
const SET = new Set([0x8914, 0x8916, 0x8918, 0x891a, 0x891c, 0x891e, 0x8922, 0x8923, 0x8924, 0x8943]);
/** sizeof(struct ifreq). */
const IFREQ_SIZE = 40;
const SOL_SOCKET = 1;
const SO_DOMAIN = 39;

/** Address family of descriptor `fd` of the caller, or undefined where it is no socket. */
function familyOf(call: Call, fd: number): number | undefined {
  const copy = native().syscall(SYS.pidfd_getfd, call.process.pidfd, fd, 0);
  if (copy < 0) return undefined;
  const value = new Uint8Array(4);
  const length = new Uint8Array([4, 0, 0, 0]);
  const result = native().syscall(SYS.getsockopt, copy, SOL_SOCKET, SO_DOMAIN, value, length);
  native().syscall(SYS.close, copy);
  return result < 0 ? undefined : new DataView(value.buffer).getInt32(0, true);
}

const ioctl: Handler = (call): Answer => {
  const stack = call.process.stack(AF.NETLINK) ?? call.process.stack(AF.INET);
  if (!stack || familyOf(call, call.int(0)) !== AF.UNIX) return PASS;
  const request = call.int(1);
  if (!GET.has(request) && !SET.has(request)) throw new Errno('EINVAL');
  if (SET.has(request)) requireOwner(call.process, call.vm.uid);
  const argument = call.read(call.arg(2), IFREQ_SIZE);
  if (stack.device) {
    check(stack.device(request, argument));
    if (GET.has(request)) call.write(call.arg(2), argument);
    return 0;
  }
  const socket = stack.socket(AF.INET, SOCK.DGRAM | SOCK.CLOEXEC, 0);
  const result = native().syscall(SYS.ioctl, socket, request, argument);
  native().syscall(SYS.close, socket);
  check(result);
  if (GET.has(request)) call.write(call.arg(2), argument);
  return result;
};

export const netdeviceHandlers = { ioctl } as const;
