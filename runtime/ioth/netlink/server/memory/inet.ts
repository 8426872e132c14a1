/** IPv4 addresses of a small host, and the routes that come and go with them. */
import { Errno } from '../../../../errno.ts';
import { sameBytes, without } from '../attributes.ts';
import { masked } from '../codec-route.ts';
import { FAMILY, FOREVER, IFA_F, IFF_, RTN, RTPROT, RT_SCOPE, RT_TABLE } from '../constants.ts';
import { broadcastOf } from '../netdevice-inet.ts';
import type { AddrRecord, AddrRequest, LinkRecord, RouteRecord } from '../records.ts';
import { type HostState, sameRoute } from './state.ts';

const isInet = ({ family }: { family: number }): boolean => family === FAMILY.INET;
const samePrefix = (a: AddrRecord, b: AddrRecord): boolean =>
  a.prefixLength === b.prefixLength &&
  sameBytes(masked(a.peer ?? a.local, a.prefixLength), masked(b.peer ?? b.local, b.prefixLength));

const onLink = (state: HostState, index: number): AddrRecord[] =>
  state.addrs.filter((a) => isInet(a) && a.index === index);

/** The first address of the prefix, whose own the routes of all others name as source. */
function primaryOf(state: HostState, addr: AddrRecord): AddrRecord {
  const first = onLink(state, addr.index).find(
    (a) => (a.flags & IFA_F.SECONDARY) === 0 && samePrefix(a, addr),
  );
  return addr.flags & IFA_F.SECONDARY && first ? first : addr;
}

/** The routes that an address needs: to itself always, to its prefix and broadcast address while the link is up. */
function routesOf(state: HostState, addr: AddrRecord): RouteRecord[] {
  const link = state.links.get(addr.index);
  const { local, prefixLength, index } = addr;
  const preferredSource = primaryOf(state, addr).local;
  const route = (type: number, destination: Uint8Array, length: number, priority = 0): RouteRecord => ({
    family: FAMILY.INET,
    table: type === RTN.UNICAST ? RT_TABLE.MAIN : RT_TABLE.LOCAL,
    destination,
    prefixLength: length,
    type,
    protocol: RTPROT.KERNEL,
    scope: type === RTN.LOCAL ? RT_SCOPE.HOST : RT_SCOPE.LINK,
    tos: 0,
    flags: 0,
    priority,
    outIndex: index,
    preferredSource,
  });
  const routes = [route(RTN.LOCAL, local, 32)];
  if (!link || !state.isUp(index)) return routes;
  const prefix = masked(addr.peer ?? local, prefixLength);
  const hostOnly = prefixLength === 32 && sameBytes(prefix, local);
  if (addr.broadcast && !addr.broadcast.every((byte) => byte === 255)) {
    routes.push(route(RTN.BROADCAST, addr.broadcast, 32));
  }
  if (hostOnly || addr.flags & IFA_F.SECONDARY || prefix[0] === 0) return routes;
  const type = link.flags & IFF_.LOOPBACK ? RTN.LOCAL : RTN.UNICAST;
  if ((addr.flags & IFA_F.NOPREFIXROUTE) === 0) routes.push(route(type, prefix, prefixLength, addr.metric));
  if (prefixLength < 31) routes.push(route(RTN.BROADCAST, broadcastOf(prefix, prefixLength), 32));
  return routes;
}

/** Adds the routes of all addresses of a link that has come up. */
export function routeInet(state: HostState, link: LinkRecord): void {
  for (const addr of onLink(state, link.index))
    routesOf(state, addr).forEach((route) => state.addRoute(route));
}

/** A link went down: what leads out of it is gone, and Linux does not say so. Its own addresses stay reachable. */
export function unrouteInet(state: HostState, link: LinkRecord): void {
  state.dropRoutes((r) => isInet(r) && r.outIndex === link.index && r.scope !== RT_SCOPE.HOST, false);
}

/** Refuses what no host can have as an address. */
function requireSound({ local, prefixLength, preferred, valid }: AddrRequest): Uint8Array {
  if (!local) throw new Errno('EINVAL', 'ipv4: Local address is not supplied');
  if (prefixLength > 32) throw new Errno('EINVAL', 'ipv4: Invalid prefix length');
  if (valid === 0) throw new Errno('EINVAL', 'ipv4: address lifetime invalid');
  if (preferred > valid) throw new Errno('EINVAL', 'ipv4: Invalid address lifetime');
  return local;
}

/** Adds an address; the address 0.0.0.0 is none, and nothing happens. */
export function addInet(state: HostState, link: LinkRecord, request: AddrRequest, now: number): AddrRecord {
  const local = requireSound(request);
  const addr: AddrRecord = {
    label: link.name,
    ...without(request, 'anyPrefix'),
    local,
    created: now,
    updated: now,
  };
  addr.flags &= ~(IFA_F.SECONDARY | IFA_F.PERMANENT | IFA_F.TENTATIVE);
  if (addr.valid === FOREVER) addr.flags |= IFA_F.PERMANENT;
  if (local.every((byte) => byte === 0)) return addr;
  if (onLink(state, link.index).some((a) => samePrefix(a, addr))) addr.flags |= IFA_F.SECONDARY;
  state.addrs.push(addr);
  state.emit('addr', addr);
  routesOf(state, addr).forEach((route) => state.addRoute(route));
  return addr;
}

/** Removes an address with the routes that no other one needs; with the first one of a prefix go the others. */
export function delInet(state: HostState, addr: AddrRecord): void {
  if ((addr.flags & IFA_F.SECONDARY) === 0) {
    onLink(state, addr.index)
      .filter((a) => a !== addr && a.flags & IFA_F.SECONDARY && samePrefix(a, addr))
      .forEach((a) => delInet(state, a));
  }
  // In the kernel's order of announcing: prefix, broadcast, the address itself.
  const [own, ...others] = routesOf(state, addr);
  state.dropAddr(addr);
  const needed = state.addrs.filter(isInet).flatMap((a) => routesOf(state, a));
  const order = [...others.sort((a, b) => a.type - b.type), ...(own ? [own] : [])];
  for (const route of order) {
    if (!needed.some((r) => sameRoute(r, route))) state.dropRoutes((r) => sameRoute(r, route));
  }
  // A link without addresses takes no part in IPv4.
  if (onLink(state, addr.index).length === 0) {
    state.dropRoutes((r) => isInet(r) && r.outIndex === addr.index, false);
  }
  if (state.addrs.some((a) => isInet(a) && sameBytes(a.local, addr.local))) return;
  state.dropRoutes((r) => isInet(r) && sameBytes(r.preferredSource, addr.local), false);
}
