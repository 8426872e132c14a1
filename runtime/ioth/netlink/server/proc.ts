/** The texts of /proc/net that programs read beside netlink, in the kernel's formats (proc(5)). */
import { formatIp, formatMac } from '../address.ts';
import { FAMILY, IFF_, NUD, RTN, RT_SCOPE, RT_TABLE } from './constants.ts';
import { arpFlags } from './netdevice-arp.ts';
import { netmask } from './netdevice.ts';
import type { LinkRecord, NetlinkTable, RouteRecord } from './records.ts';

const hex = (value: number, digits: number): string => (value >>> 0).toString(16).padStart(digits, '0');
const hexBytes = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
/** An IPv4 address as the number that its bytes are on a little endian machine. */
const word = (bytes: Uint8Array): string => hexBytes(bytes.slice().reverse()).toUpperCase();

const namesOf = (table: NetlinkTable): Map<number, string> =>
  new Map([...table.link.get()].map(({ index, name }) => [index, name]));

function deviceLine({ name, stats: s }: LinkRecord): string {
  const column = (value: number | undefined, width: number): string => String(value ?? 0).padStart(width);
  const receive = [
    column(s.rxBytes, 7), column(s.rxPackets, 7), column(s.rxErrors, 4), column(s.rxDropped, 4), column(0, 4),
    column(0, 5), column(0, 10), column(s.multicast, 9),
  ]; // prettier-ignore
  const transmit = [
    column(s.txBytes, 8), column(s.txPackets, 7), column(s.txErrors, 4), column(s.txDropped, 4), column(0, 4),
    column(s.collisions, 5), column(0, 7), column(0, 10),
  ]; // prettier-ignore
  return `${name.padStart(6)}: ${receive.join(' ')} ${transmit.join(' ')}\n`;
}

/** /proc/net/dev. */
export function procNetDev(table: NetlinkTable): string {
  const titles =
    'Inter-|   Receive                                                |  Transmit\n' +
    ' face |bytes    packets errs drop fifo frame compressed multicast' +
    '|bytes    packets errs drop fifo colls carrier compressed\n';
  return titles + [...table.link.get()].map(deviceLine).join('');
}

/** RTF_* of a route. */
function routeFlags(route: RouteRecord): number {
  const reject =
    route.type === RTN.UNREACHABLE || route.type === RTN.PROHIBIT || route.type === RTN.BLACKHOLE;
  return (route.gateway ? 2 : 0) | (reject ? 0x200 : 0);
}

/** Order of the kernel's tree: by destination, the shorter prefix first, then by metric. */
const byPrefix = (a: RouteRecord, b: RouteRecord): number =>
  Buffer.compare(a.destination, b.destination) || a.prefixLength - b.prefixLength || a.priority - b.priority;

/** /proc/net/route: the IPv4 routes of table main. */
export function procNetRoute(table: NetlinkTable): string {
  const names = namesOf(table);
  const titles = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT';
  const lines = [...table.route.get()]
    .filter((r) => r.family === FAMILY.INET && r.table === RT_TABLE.MAIN)
    .filter((r) => r.type !== RTN.BROADCAST && r.type !== RTN.MULTICAST)
    .sort(byPrefix)
    .map((route) => {
      const flags = 1 | routeFlags(route) | (route.prefixLength === 32 ? 4 : 0);
      return [
        names.get(route.outIndex) ?? '*',
        word(route.destination),
        word(route.gateway ?? new Uint8Array(4)),
        hex(flags, 4).toUpperCase(),
        '0\t0',
        route.priority,
        word(netmask(route.prefixLength)),
        '0\t0\t0',
      ].join('\t');
    });
  return [titles, ...lines].map((line) => `${line.padEnd(127)}\n`).join('');
}

/** The scope of an IPv6 address as the kernel numbers it there. */
const inet6Scope = (scope: number): number =>
  scope === RT_SCOPE.HOST ? 0x10 : scope === RT_SCOPE.LINK ? 0x20 : 0;

/** /proc/net/if_inet6: the IPv6 addresses. */
export function procNetIfInet6(table: NetlinkTable): string {
  const names = namesOf(table);
  return [...table.addr.get()]
    .filter((a) => a.family === FAMILY.INET6)
    .map(({ local, index, prefixLength, scope, flags }) => {
      const numbers = [index, prefixLength, inet6Scope(scope), flags & 0xff].map((n) => hex(n, 2)).join(' ');
      return `${hexBytes(local)} ${numbers} ${(names.get(index) ?? '').padStart(8)}\n`;
    })
    .join('');
}

/** /proc/net/arp: the IPv4 neighbours. */
export function procNetArp(table: NetlinkTable): string {
  const links = new Map([...table.link.get()].map((link) => [link.index, link]));
  const lines = [...table.neigh.get()]
    .filter((n) => n.family === FAMILY.INET && (n.state & NUD.NOARP) === 0)
    .map((neigh) => {
      const link = links.get(neigh.index);
      const ip = formatIp({ family: FAMILY.INET, bytes: neigh.destination }).padEnd(16);
      const type = `0x${(link?.hardware ?? 0).toString(16).padEnd(10)}`;
      const flags = `0x${arpFlags(neigh.state).toString(16).padEnd(10)}`;
      return `${ip} ${type}${flags}${formatMac(neigh.address ?? new Uint8Array(6))}     *        ${link?.name ?? '*'}\n`;
    });
  return `IP address       HW type     Flags       HW address            Mask     Device\n${lines.join('')}`;
}

/** RTF_LOCAL, RTF_NONEXTHOP and RTF_REJECT as /proc/net/ipv6_route shows them. */
const RTF6 = { UP: 1, NO_NEXT_HOP: 0x00200000, REJECT: 0x200, LOCAL: 0x80000000 } as const;

function inet6Flags(route: RouteRecord): number {
  const flags = routeFlags(route);
  if (flags & RTF6.REJECT) return RTF6.REJECT | RTF6.NO_NEXT_HOP;
  return RTF6.UP | flags | (route.type === RTN.LOCAL ? RTF6.LOCAL | RTF6.NO_NEXT_HOP : 0);
}

function inet6Line(route: RouteRecord, name: string): string {
  const prefix = `${hexBytes(route.destination)} ${hex(route.prefixLength, 2)}`;
  const source = `${'0'.repeat(32)} 00`;
  const numbers = [route.priority, 1, 0, inet6Flags(route)].map((n) => hex(n, 8)).join(' ');
  return `${prefix} ${source} ${hexBytes(route.gateway ?? new Uint8Array(16))} ${numbers} ${name.padStart(8)}\n`;
}

/** /proc/net/ipv6_route: tables main and local, each with an entry for what has no route unless it has a default one. */
export function procNetIpv6Route(table: NetlinkTable): string {
  const names = namesOf(table);
  const loopback = [...table.link.get()].find((link) => link.flags & IFF_.LOOPBACK)?.name ?? 'lo';
  const none = {
    family: FAMILY.INET6, destination: new Uint8Array(16), prefixLength: 0, priority: 0xffffffff,
    type: RTN.UNREACHABLE, protocol: 2, scope: 0, tos: 0, flags: 0, outIndex: 0,
  }; // prettier-ignore
  return [RT_TABLE.MAIN, RT_TABLE.LOCAL]
    .flatMap((id) => {
      const routes = [...table.route.get()].filter((r) => r.family === FAMILY.INET6 && r.table === id);
      const open = routes.every((r) => r.prefixLength > 0);
      return [...routes.sort(byPrefix), ...(open ? [{ ...none, table: id }] : [])];
    })
    .map((route) => inet6Line(route, names.get(route.outIndex) ?? loopback))
    .join('');
}
