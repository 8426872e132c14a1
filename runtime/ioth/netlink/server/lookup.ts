/** Which route a destination takes: longest prefix first, lowest metric among equals (ip-route(8)). */
import { Errno, type ErrnoName } from '../../../errno.ts';
import { sameBytes } from './attributes.ts';
import { masked } from './codec-route.ts';
import { FAMILY, RTCF, RTM_F, RTN, RT_SCOPE, RT_TABLE } from './constants.ts';
import type { AddrRecord, NetlinkTable, RouteRecord, RouteRequest } from './records.ts';

/** The errors of routes that lead nowhere. */
const NOWHERE: Record<number, ErrnoName> = {
  [RTN.BLACKHOLE]: 'EINVAL',
  [RTN.UNREACHABLE]: 'EHOSTUNREACH',
  [RTN.PROHIBIT]: 'EACCES',
};

const contains = (route: RouteRecord, destination: Uint8Array): boolean =>
  sameBytes(masked(destination, route.prefixLength), route.destination);

/** True where `a` is to be taken rather than `b`. */
const better = (a: RouteRecord, b: RouteRecord): boolean =>
  a.prefixLength !== b.prefixLength ? a.prefixLength > b.prefixLength : a.priority < b.priority;

function bestIn(
  routes: readonly RouteRecord[],
  table: number,
  wanted: RouteRequest,
): RouteRecord | undefined {
  let best: RouteRecord | undefined;
  for (const route of routes) {
    if (route.table !== table || route.family !== wanted.family) continue;
    // A socket bound to an interface only takes routes through that one.
    if (wanted.outIndex !== 0 && route.outIndex !== wanted.outIndex) continue;
    if (contains(route, wanted.destination) && (!best || better(route, best))) best = route;
  }
  return best;
}

/** The route as it stands in its table; undefined when nothing leads to the destination. */
export function findRoute(routes: readonly RouteRecord[], wanted: RouteRequest): RouteRecord | undefined {
  for (const table of [RT_TABLE.LOCAL, RT_TABLE.MAIN, RT_TABLE.DEFAULT]) {
    const route = bestIn(routes, table, wanted);
    if (route && route.type !== RTN.THROW) return route;
  }
  return undefined;
}

/** Length of the prefix that two addresses have in common, in bits. */
function commonBits(a: Uint8Array, b: Uint8Array): number {
  let bits = 0;
  while (bits < 8 * a.length && sameBytes(masked(a, bits + 1), masked(b, bits + 1))) bits++;
  return bits;
}

/** The own address that a packet through `index` would have (for IPv6 a part of RFC 6724: scope, then prefix). */
function sourceFor(table: NetlinkTable, route: RouteRecord, destination: Uint8Array): Uint8Array | undefined {
  const target = route.gateway ?? destination;
  const rank = ({ scope, local, prefixLength }: AddrRecord): number => {
    if (scope > RT_SCOPE.LINK) return -1;
    if (route.family === FAMILY.INET) {
      return sameBytes(masked(local, prefixLength), masked(target, prefixLength)) ? 1 : 0;
    }
    const linkLocal = destination[0] === 0xfe && ((destination[1] ?? 0) & 0xc0) === 0x80;
    return (linkLocal === (scope === RT_SCOPE.LINK) ? 1000 : 0) + commonBits(local, destination);
  };
  let best: AddrRecord | undefined;
  for (const addr of table.addr.get()) {
    if (addr.family !== route.family || addr.index !== route.outIndex) continue;
    if (rank(addr) >= 0 && (!best || rank(addr) > rank(best))) best = addr;
  }
  return best?.local;
}

/** Index of the loopback interface, through which a host reaches itself. */
function loopback(table: NetlinkTable): number {
  for (const link of table.link.get()) if (link.flags & 8) return link.index;
  return 1;
}

/** Answers `ip route get`: the route as Linux describes it to one destination; ENETUNREACH and the like. */
export function lookupRoute(table: NetlinkTable, wanted: RouteRequest): RouteRecord {
  if (table.route.lookup) return table.route.lookup(wanted);
  const route = findRoute([...table.route.get()], wanted);
  if (!route) throw new Errno('ENETUNREACH');
  const error = NOWHERE[route.type];
  if (error) throw new Errno(error);
  if (wanted.flags & RTM_F.FIB_MATCH) return route;
  const inet = wanted.family === FAMILY.INET;
  const own = route.type === RTN.LOCAL;
  const broadcast = inet && route.type === RTN.BROADCAST;
  const source =
    wanted.source ??
    (own && !inet ? wanted.destination : route.preferredSource) ??
    (own ? wanted.destination : sourceFor(table, route, wanted.destination));
  const answer: RouteRecord = {
    ...route,
    destination: wanted.destination,
    prefixLength: inet ? 32 : 128,
    outIndex: own ? loopback(table) : route.outIndex,
    flags: RTM_F.CLONED | (own || broadcast ? RTCF.LOCAL : 0) | (broadcast ? RTCF.BROADCAST : 0),
    ...(source ? { preferredSource: source } : {}),
  };
  // An answer about IPv4 is a route of the cache: no protocol, scope or metric, and always of table main.
  return inet
    ? { ...answer, protocol: 0, scope: RT_SCOPE.UNIVERSE, priority: 0, table: RT_TABLE.MAIN }
    : { ...answer, flags: 0 };
}
