/**
 * The old ioctl requests of netdevice(7). On a socket of a stack the kernel answers them itself. But glibc
 * (if_nametoindex and others) asks on the first socket it gets, which is an AF_UNIX one and belongs to the
 * host's network: there the same request is made on a socket of the caller's stack instead.
 */
import { Errno, check } from '../errno.ts';
import {
  IFREQ_SIZE,
  type NetlinkServer,
  SIOC,
  argumentSize,
  interfaceList,
  ioctlChanges,
  isNetdevice,
} from '../ioth/netlink/server/index.ts';
import { AF, SOCK, type Stack } from '../ioth/stack.ts';
import { native } from '../native.ts';
import { requireOwner } from '../vm/access.ts';
import type { Call } from '../vm/call.ts';
import { closeFd, openSocket } from './emulated/socket.ts';
import type { Handler } from './handler.ts';
import { PASS, type Answer } from './outcome.ts';
import { SYS } from './table.ts';

/** Requests that read one struct ifreq and fill it (SIOCGIFNAME, …FLAGS, …ADDR, …MTU, …INDEX, …TXQLEN). */
const GET = new Set([
  0x8910, 0x8913, 0x8915, 0x8917, 0x8919, 0x891b, 0x891d, 0x8921, 0x8927, 0x8933, 0x8942, 0x8970,
]);
/** Requests that change what one struct ifreq names. */
const SET = new Set([0x8914, 0x8916, 0x8918, 0x891a, 0x891c, 0x891e, 0x8922, 0x8923, 0x8924, 0x8943]);
/** Requests for the drivers of interfaces: SIOCETHTOOL, SIOCGMIIPHY, SIOCGMIIREG, SIOCSMIIREG. */
const DRIVERS = [0x8946, 0x8947, 0x8948, 0x8949];
/** sizeof(struct ifconf), of struct rtentry, and the offset of rt_dev in it. */
const IFCONF_SIZE = 16;
const RTENTRY_SIZE = 120;
const RT_DEV = 88;
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

/** SIOCGIFCONF: fills the caller's buffer with the addresses of `server`, or tells how long they are. */
function interfaceConfiguration(call: Call, server: NetlinkServer): number {
  const at = call.arg(2);
  const ifconf = call.read(at, IFCONF_SIZE);
  const buffer = Number(ifconf.readBigUInt64LE(8));
  const room = ifconf.readInt32LE(0);
  const list = interfaceList(server.table, buffer === 0 ? undefined : room);
  if (buffer !== 0 && list.length > 0) call.write(buffer, list);
  const length = Buffer.alloc(4);
  length.writeInt32LE(list.length);
  call.write(at, length);
  return 0;
}

/** A request on a socket of family `family`, answered by the server of the stack. */
function askServer(call: Call, server: NetlinkServer, family: number): number {
  const request = call.int(1) >>> 0;
  const size = argumentSize(request, family);
  if (size === undefined) throw new Errno(DRIVERS.includes(request) ? 'EOPNOTSUPP' : 'ENOTTY');
  if (request === SIOC.GIFCONF) return interfaceConfiguration(call, server);
  if (ioctlChanges(request)) requireOwner(call.process, call.vm.uid);
  const argument = call.read(call.arg(2), size);
  const isRoute = size === RTENTRY_SIZE;
  const name = isRoute ? Number(argument.readBigUInt64LE(RT_DEV)) : 0;
  const device = name === 0 ? {} : { device: call.readString(name, 15) };
  server.ioctl(request, argument, { family, ...device });
  if (!ioctlChanges(request)) call.write(call.arg(2), argument);
  return 0;
}

/** The stack and the family of the socket of it that `fd` is; the caller's, and AF_UNIX, for a socket of no network. */
function subjectOf(call: Call, fd: number): { stack: Stack; family: number } | undefined {
  const stack = call.process.stack(AF.NETLINK) ?? call.process.stack(AF.INET);
  if (!stack || familyOf(call, fd) !== AF.UNIX) return undefined;
  if (!stack.emulated) return { stack, family: AF.UNIX };
  const socket = openSocket(call, fd);
  if (socket) closeFd(socket.fd);
  return { stack, family: socket?.domain === AF.INET6 ? AF.INET6 : AF.INET };
}

const ioctl: Handler = (call): Answer => {
  const request = call.int(1);
  const { stack, family } = subjectOf(call, call.int(0)) ?? {};
  if (!stack || family === undefined) return PASS;
  if (stack.configuration) {
    // What is no request about networks is about the AF_UNIX socket: FIONREAD, SIOCGPGRP, SIOCATMARK, …
    if (!isNetdevice(request)) return PASS;
    return askServer(call, stack.configuration, family);
  }
  if (!GET.has(request) && !SET.has(request)) throw new Errno('EINVAL');
  if (SET.has(request)) requireOwner(call.process, call.vm.uid);
  const argument = call.read(call.arg(2), IFREQ_SIZE);
  const socket = stack.socket(AF.INET, SOCK.DGRAM | SOCK.CLOEXEC, 0);
  const result = native().syscall(SYS.ioctl, socket, request, argument);
  native().syscall(SYS.close, socket);
  check(result);
  if (GET.has(request)) call.write(call.arg(2), argument);
  return result;
};

export const netdeviceHandlers = { ioctl } as const;
