/**
 * The ioctl requests of netdevice(7), rtentry (route(8) of net-tools) and arp(7), translated into the handlers
 * of a table, so that a stack serves ifconfig, glibc's if_nametoindex(3) and the like with the same functions.
 */
import { Errno } from '../../../errno.ts';
import { viewOf } from '../wire.ts';
import { arpIoctl } from './netdevice-arp.ts';
import { setInetAddress } from './netdevice-inet.ts';
import { inet6AddressIoctl, routeIoctl } from './netdevice-route.ts';
import { plain } from './attributes.ts';
import { FAMILY, IFF_, IFNAMSIZ } from './constants.ts';
import { type Report, deleteObject, findLink, linkRequest, setObject } from './operations.ts';
import type { AddrRecord, LinkRecord, LinkRequest, NetlinkTable } from './records.ts';

/** Requests by their names in ioctl_list(2). */
export const SIOC = {
  ADDRT: 0x890b, DELRT: 0x890c,
  GIFNAME: 0x8910, GIFCONF: 0x8912, GIFFLAGS: 0x8913, SIFFLAGS: 0x8914, GIFADDR: 0x8915, SIFADDR: 0x8916,
  GIFDSTADDR: 0x8917, SIFDSTADDR: 0x8918, GIFBRDADDR: 0x8919, SIFBRDADDR: 0x891a, GIFNETMASK: 0x891b,
  SIFNETMASK: 0x891c, GIFMETRIC: 0x891d, SIFMETRIC: 0x891e, GIFMTU: 0x8921, SIFMTU: 0x8922, SIFNAME: 0x8923,
  SIFHWADDR: 0x8924, GIFHWADDR: 0x8927, GIFINDEX: 0x8933, DIFADDR: 0x8936, GIFTXQLEN: 0x8942, SIFTXQLEN: 0x8943,
  DARP: 0x8953, GARP: 0x8954, SARP: 0x8955, GIFMAP: 0x8970,
} as const; // prettier-ignore

/** sizeof(struct ifreq) on 64-bit machines: a name and a union of 24 bytes. */
export const IFREQ_SIZE = 40;
const UNION = IFNAMSIZ;

/** The socket that a request of netdevice(7) is made on. */
export interface NetdeviceContext {
  /** Family of the socket: on AF_INET6 the address and route requests take other structures. AF_INET by default. */
  family?: number;
  /** SIOCADDRT and SIOCDELRT: the text that rt_dev points to in the caller's memory. */
  device?: string;
  /** Told what is changed, where the table does not tell by itself. */
  report?: Report;
}

/** Whether it is one of the ioctl(2) requests about networks, and not about the socket itself (linux/sockios.h). */
export const isNetdevice = (request: number): boolean => request >>> 8 === 0x89 && request >= 0x890b;

/** Bytes that the caller's argument has for `request`; undefined where it is none of these requests. */
export function argumentSize(request: number, family: number = FAMILY.INET): number | undefined {
  if (request === SIOC.ADDRT || request === SIOC.DELRT) return family === FAMILY.INET6 ? 80 : 120;
  if (request >= SIOC.DARP && request <= SIOC.SARP) return 68;
  if (request === SIOC.GIFCONF) return 16;
  return Object.values<number>(SIOC).includes(request) ? IFREQ_SIZE : undefined;
}

/** True for requests that change something, which need CAP_NET_ADMIN. */
export const ioctlChanges = (request: number): boolean =>
  ([
    SIOC.ADDRT, SIOC.DELRT, SIOC.SIFFLAGS, SIOC.SIFADDR, SIOC.SIFDSTADDR, SIOC.SIFBRDADDR, SIOC.SIFNETMASK,
    SIOC.SIFMETRIC, SIOC.SIFMTU, SIOC.SIFNAME, SIOC.SIFHWADDR, SIOC.DIFADDR, SIOC.SIFTXQLEN, SIOC.DARP, SIOC.SARP,
  ] as number[]).includes(request); // prettier-ignore

/** The text in a field of fixed size. */
function textIn(bytes: Uint8Array, at: number, size: number): string {
  const field = bytes.subarray(at, at + size);
  const end = field.indexOf(0);
  // The kernel overwrites the last byte of a name with a NUL.
  return Buffer.from(field.subarray(0, end < 0 ? size - 1 : end)).toString('latin1');
}

/** struct sockaddr_in, without a port. */
function sockaddrIn(address: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = FAMILY.INET;
  bytes.set(address, 4);
  return bytes;
}

/** The netmask of `prefixLength` bits. */
export const netmask = (prefixLength: number): Uint8Array =>
  Uint8Array.from({ length: 4 }, (_, i) => (0xff00 >> Math.min(8, Math.max(0, prefixLength - 8 * i))) & 0xff);

interface Subject {
  table: NetlinkTable;
  /** The name as given, which may be that of an alias ("eth0:1"). */
  name: string;
  link: LinkRecord;
  argument: Uint8Array;
  report: Report;
}

/** The IPv4 address that a name means: that of the alias, or the first of the interface. */
function addressOf({ table, name, link }: Subject): AddrRecord | undefined {
  const all = [...table.addr.get()].filter((a) => a.family === FAMILY.INET && a.index === link.index);
  return all.find((a) => a.label === name) ?? (name.includes(':') ? undefined : all[0]);
}

function requireAddress(subject: Subject): AddrRecord {
  const addr = addressOf(subject);
  if (!addr) throw new Errno('EADDRNOTAVAIL');
  return addr;
}

/** What SIOCG* puts into the union of struct ifreq. */
function readUnion(request: number, subject: Subject): Uint8Array {
  const { link } = subject;
  const result = new Uint8Array(24);
  const view = viewOf(result);
  switch (request) {
    case SIOC.GIFFLAGS:
      view.setUint16(0, link.flags & 0xffff, true);
      return result;
    case SIOC.GIFADDR:
      return sockaddrIn(requireAddress(subject).local);
    case SIOC.GIFDSTADDR: {
      const { peer, local } = requireAddress(subject);
      return sockaddrIn(peer ?? local);
    }
    case SIOC.GIFBRDADDR:
      return sockaddrIn(requireAddress(subject).broadcast ?? new Uint8Array(4));
    case SIOC.GIFNETMASK:
      return sockaddrIn(netmask(requireAddress(subject).prefixLength));
    case SIOC.GIFMTU:
      view.setInt32(0, link.mtu, true);
      return result;
    case SIOC.GIFHWADDR:
      view.setUint16(0, link.hardware, true);
      result.set(link.address.subarray(0, 14), 2);
      return result;
    case SIOC.GIFINDEX:
      view.setInt32(0, link.index, true);
      return result;
    case SIOC.GIFTXQLEN:
      view.setInt32(0, link.queueLength, true);
      return result;
    case SIOC.GIFMETRIC:
    case SIOC.GIFMAP:
      return result;
    default:
      throw new Errno('ENOTTY');
  }
}

/** What SIOCS* asks a link to become; undefined where the request is about something else. */
function linkChange(request: number, { argument, link }: Subject): Partial<LinkRequest> | undefined {
  const view = viewOf(argument);
  switch (request) {
    case SIOC.SIFFLAGS:
      return { flags: view.getUint16(UNION, true), change: 0xffff & ~IFF_.RUNNING };
    case SIOC.SIFMTU:
      return { mtu: view.getInt32(UNION, true) >>> 0 };
    case SIOC.SIFTXQLEN: {
      const queueLength = view.getInt32(UNION, true);
      if (queueLength < 0) throw new Errno('EINVAL');
      return { queueLength };
    }
    case SIOC.SIFNAME:
      return { name: textIn(argument, UNION, IFNAMSIZ) };
    case SIOC.SIFHWADDR:
      if (view.getUint16(UNION, true) !== link.hardware) throw new Errno('EINVAL');
      return { address: argument.slice(UNION + 2, UNION + 2 + link.address.length) };
    default:
      return undefined;
  }
}

/** Changes what is named; 0. */
function write(request: number, subject: Subject): number {
  const { table, link, name, argument, report } = subject;
  if (request === SIOC.SIFMETRIC) {
    if (viewOf(argument).getInt32(UNION, true) !== 0) throw new Errno('EOPNOTSUPP');
    return 0;
  }
  // To take an alias down is to remove it.
  const down = request === SIOC.SIFFLAGS && ((argument[UNION] ?? 0) & IFF_.UP) === 0;
  if (request === SIOC.SIFFLAGS && name.includes(':')) {
    if (down) deleteObject(table, { kind: 'addr', request: requireAddress(subject) }, report);
    return 0;
  }
  const change = linkChange(request, subject);
  if (change) {
    setObject(table, { kind: 'link', request: linkRequest(link.index, change) }, report);
    return 0;
  }
  if (viewOf(argument).getUint16(UNION, true) !== FAMILY.INET) throw new Errno('EINVAL');
  const value = argument.slice(UNION + 4, UNION + 8);
  setInetAddress(request, { table, link, label: name, current: addressOf(subject), report }, value);
  return 0;
}

/**
 * Serves one request. `structure` is the caller's, of {@link argumentSize} bytes (SIOCGIFCONF:
 * {@link interfaceList} instead), and is changed in place by the requests that read. Returns 0; throws Errno:
 * ENODEV, EADDRNOTAVAIL, ENOTTY for requests that are none of these, and what handlers refuse.
 */
export function netdeviceIoctl(
  table: NetlinkTable,
  request: number,
  structure: Uint8Array,
  context: NetdeviceContext = {},
): number {
  const argument = plain(structure);
  const { family = FAMILY.INET, report = () => {} } = context;
  const size = argumentSize(request, family);
  if (size === undefined || request === SIOC.GIFCONF) throw new Errno('ENOTTY');
  if (argument.length < size) throw new Errno('EFAULT');
  if (request === SIOC.ADDRT || request === SIOC.DELRT) {
    return routeIoctl(table, request === SIOC.ADDRT, argument, { ...context, family, report });
  }
  if (size === 68) return arpIoctl(table, request, argument, report);
  if (family === FAMILY.INET6 && (request === SIOC.SIFADDR || request === SIOC.DIFADDR)) {
    return inet6AddressIoctl(table, request === SIOC.SIFADDR, argument, report);
  }
  if (request === SIOC.GIFNAME) {
    const link = findLink(table, linkRequest(viewOf(argument).getInt32(UNION, true)));
    argument.fill(0, 0, IFNAMSIZ).set(Buffer.from(link.name, 'latin1'));
    return 0;
  }
  const name = textIn(argument, 0, IFNAMSIZ);
  const link = findLink(table, linkRequest(0, { name: name.split(':', 1)[0] ?? '' }));
  const subject = { table, name, link, argument, report };
  if (ioctlChanges(request)) return write(request, subject);
  argument.set(readUnion(request, subject), UNION);
  return 0;
}

/**
 * SIOCGIFCONF: the struct ifreq of all IPv4 addresses, as many whole ones as fit into `size` bytes; all of them
 * without `size`, whose length is what a null ifc_buf asks for.
 */
export function interfaceList(table: NetlinkTable, size = Infinity): Uint8Array {
  const names = new Map([...table.link.get()].map((link) => [link.index, link.name]));
  const entries = [...table.addr.get()]
    .filter((a) => a.family === FAMILY.INET)
    .sort((a, b) => a.index - b.index)
    .slice(0, Math.max(0, Math.min(Math.floor(size / IFREQ_SIZE), 1 << 20)));
  const bytes = new Uint8Array(IFREQ_SIZE * entries.length);
  entries.forEach((addr, i) => {
    const name = addr.label ?? names.get(addr.index) ?? '';
    bytes.set(Buffer.from(name.slice(0, IFNAMSIZ - 1), 'latin1'), IFREQ_SIZE * i);
    bytes.set(sockaddrIn(addr.local), IFREQ_SIZE * i + UNION);
  });
  return bytes;
}
