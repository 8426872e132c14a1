/** The netdevice ioctls that set the parts of an IPv4 address one by one. */
import { Errno } from '../../../errno.ts';
import { sameBytes } from './attributes.ts';
import { FAMILY, FOREVER, IFF_, NLMSG_FLAG, RT_SCOPE } from './constants.ts';
import { type Report, deleteObject, putObject } from './operations.ts';
import type { AddrRecord, AddrRequest, LinkRecord, NetlinkTable } from './records.ts';

const SET = { ADDR: 0x8916, DSTADDR: 0x8918, BRDADDR: 0x891a, NETMASK: 0x891c } as const;

export interface InetSubject {
  table: NetlinkTable;
  link: LinkRecord;
  /** The name given: of the interface or of one alias. */
  label: string;
  current: AddrRecord | undefined;
  report: Report;
}

/** Prefix length of the class that an address was in before there was CIDR; undefined for classes D and E. */
function classOf(address: Uint8Array): number | undefined {
  const first = address[0] ?? 0;
  if (first === 0) return 0;
  if (first < 128) return 8;
  if (first < 192) return 16;
  return first < 224 ? 24 : undefined;
}

/** The last address of the prefix. */
export const broadcastOf = (address: Uint8Array, prefixLength: number): Uint8Array =>
  address.map((byte, i) => byte | (0xff >> Math.min(8, Math.max(0, prefixLength - 8 * i))));

/** The prefix length of a netmask; EINVAL when its bits are not in a row. */
export function prefixLengthOf(mask: Uint8Array): number {
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const length = bits.indexOf('0') < 0 ? bits.length : bits.indexOf('0');
  if (bits.slice(length).includes('1')) throw new Errno('EINVAL');
  return length;
}

function freshAddress({ link, label }: InetSubject, local: Uint8Array): AddrRequest {
  const prefixLength = link.flags & IFF_.POINTOPOINT ? 32 : classOf(local);
  if (prefixLength === undefined) throw new Errno('EINVAL');
  return {
    family: FAMILY.INET,
    index: link.index,
    prefixLength,
    scope: local[0] === 127 ? RT_SCOPE.HOST : RT_SCOPE.UNIVERSE,
    flags: 0,
    local,
    label,
    preferred: FOREVER,
    valid: FOREVER,
    ...(link.flags & IFF_.BROADCAST && prefixLength < 31
      ? { broadcast: broadcastOf(local, prefixLength) }
      : {}),
  };
}

/** The address as `request` wants it; undefined where it stays as it is. */
function changed(request: number, addr: AddrRecord, value: Uint8Array): AddrRequest | undefined {
  if (request === SET.DSTADDR) return sameBytes(addr.peer, value) ? undefined : { ...addr, peer: value };
  if (request === SET.BRDADDR)
    return sameBytes(addr.broadcast, value) ? undefined : { ...addr, broadcast: value };
  const prefixLength = prefixLengthOf(value);
  if (prefixLength === addr.prefixLength) return undefined;
  // A broadcast address that came from the old mask follows the new one.
  const derived = sameBytes(addr.broadcast, broadcastOf(addr.local, addr.prefixLength)) && prefixLength < 31;
  return { ...addr, prefixLength, ...(derived ? { broadcast: broadcastOf(addr.local, prefixLength) } : {}) };
}

/** SIOCSIFADDR, SIOCSIFDSTADDR, SIOCSIFBRDADDR, SIOCSIFNETMASK with `value` (4 bytes). */
export function setInetAddress(request: number, subject: InetSubject, value: Uint8Array): void {
  const { table, current, report } = subject;
  let next: AddrRequest | undefined;
  if (request === SET.ADDR) {
    if (current && sameBytes(current.local, value)) return;
    // The address 0.0.0.0 only takes the old one away.
    next = value.some((byte) => byte !== 0) ? freshAddress(subject, value) : undefined;
  } else if (request === SET.DSTADDR || request === SET.BRDADDR || request === SET.NETMASK) {
    if (!current) throw new Errno('EADDRNOTAVAIL');
    next = changed(request, current, value);
    if (!next) return;
  } else {
    throw new Errno('ENOTTY');
  }
  if (current) deleteObject(table, { kind: 'addr', request: current }, report);
  if (next) putObject(table, { kind: 'addr', request: next }, NLMSG_FLAG.CREATE, report);
}
