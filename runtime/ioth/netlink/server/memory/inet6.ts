/** IPv6 addresses of a small host, and the routes that come and go with them (RFC 4862, without the waiting). */
import { Errno } from '../../../../errno.ts';
import { without } from '../attributes.ts';
import { masked } from '../codec-route.ts';
import {
  ARPHRD,
  FAMILY,
  FOREVER,
  IFA_F,
  IFAPROT,
  IFF_,
  METRIC,
  RTN,
  RTPROT,
  RT_SCOPE,
  RT_TABLE,
} from '../constants.ts';
import { IFA_F_SETTABLE } from '../codec-addr.ts';
import type { AddrRecord, AddrRequest, LinkRecord, RouteRecord } from '../records.ts';
import { type HostState, sameRoute } from './state.ts';

const isInet6 = ({ family }: { family: number }): boolean => family === FAMILY.INET6;

function route(
  type: number,
  index: number,
  destination: Uint8Array,
  length: number,
  metric: number,
): RouteRecord {
  return {
    family: FAMILY.INET6,
    table: type === RTN.UNICAST ? RT_TABLE.MAIN : RT_TABLE.LOCAL,
    destination: masked(destination, length),
    prefixLength: length,
    type,
    protocol: RTPROT.KERNEL,
    scope: RT_SCOPE.UNIVERSE,
    tos: 0,
    flags: 0,
    priority: metric,
    outIndex: index,
  };
}

const ownRoute = ({ index, local }: AddrRecord): RouteRecord => route(RTN.LOCAL, index, local, 128, 0);

/** The route to the prefix; the loopback address needs none. */
function prefixRoute({ index, local, peer, prefixLength, scope, flags, metric }: AddrRecord): RouteRecord[] {
  if (flags & IFA_F.NOPREFIXROUTE || scope === RT_SCOPE.HOST) return [];
  return [route(RTN.UNICAST, index, peer ?? local, prefixLength, metric || METRIC.PREFIX)];
}

function activate(state: HostState, addr: AddrRecord): void {
  prefixRoute(addr).forEach((r) => state.addRoute(r));
  if (state.detects(addr)) state.emit('addr', addr);
  else finishDetection(state, addr);
}

/** Nobody else has the address: it is used. */
export function finishDetection(state: HostState, addr: AddrRecord): void {
  addr.flags &= ~IFA_F.TENTATIVE;
  state.emit('addr', addr);
  state.addRoute(ownRoute(addr));
}

/** Somebody else has the address: it stays, and is of no use. */
export function failDetection(state: HostState, addr: AddrRecord): void {
  addr.flags |= IFA_F.TENTATIVE | IFA_F.DADFAILED;
  state.emit('addr', addr);
}

/** The link-local address of RFC 4291 appendix A. */
function linkLocal(mac: Uint8Array): Uint8Array {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac;
  return Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f);
}

/** The scope that an address has by its first bits; EINVAL and EADDRNOTAVAIL for those that no host can have. */
function scopeOf(local: Uint8Array): number {
  if (local[0] === 0xff) {
    throw new Errno('EINVAL', 'ipv6: Cannot assign multicast address without "IFA_F_MCAUTOJOIN" flag');
  }
  if (local.subarray(0, 15).every((byte) => byte === 0)) {
    if (local[15] === 0) throw new Errno('EADDRNOTAVAIL');
    if (local[15] === 1) return RT_SCOPE.HOST;
  }
  return local[0] === 0xfe && ((local[1] ?? 0) & 0xc0) === 0x80 ? RT_SCOPE.LINK : RT_SCOPE.UNIVERSE;
}

/** Adds an address. Nobody else is asked whether he has it: it is usable at once, or when the link comes up. */
export function addInet6(state: HostState, link: LinkRecord, request: AddrRequest, now: number): AddrRecord {
  const { local, prefixLength, valid, preferred } = request;
  if (!local) throw new Errno('EINVAL');
  if (prefixLength > 128) throw new Errno('EINVAL', 'ipv6: Invalid prefix length');
  if (valid === 0 || preferred > valid) throw new Errno('EINVAL', 'ipv6: address lifetime invalid');
  const scope = scopeOf(local);
  const permanent = valid === FOREVER ? IFA_F.PERMANENT : 0;
  const flags = (request.flags & IFA_F_SETTABLE) | permanent | IFA_F.TENTATIVE;
  const addr: AddrRecord = {
    ...without(request, 'anyPrefix'),
    local,
    scope,
    flags,
    created: now,
    updated: now,
  };
  // The newest address of a scope comes first, and the widest scope.
  const place = state.addrs.findIndex((a) => isInet6(a) && a.index === addr.index && a.scope >= scope);
  state.addrs.splice(place < 0 ? state.addrs.length : place, 0, addr);
  if (state.isUp(link.index)) activate(state, addr);
  else state.emit('addr', addr);
  return addr;
}

export function delInet6(state: HostState, addr: AddrRecord): void {
  const doomed = [ownRoute(addr), ...prefixRoute(addr)];
  state.dropAddr(addr);
  const needed = state.addrs.filter(isInet6).flatMap((a) => [ownRoute(a), ...prefixRoute(a)]);
  for (const gone of doomed) {
    if (!needed.some((r) => sameRoute(r, gone))) state.dropRoutes((r) => sameRoute(r, gone));
  }
}

/** A link came up: multicast, the addresses that it has, and a link-local one of its own. */
export function startInet6(state: HostState, link: LinkRecord, now: number): void {
  const own = state.addrs.filter((a) => isInet6(a) && a.index === link.index);
  const request = {
    family: FAMILY.INET6,
    index: link.index,
    scope: 0,
    flags: 0,
    preferred: FOREVER,
    valid: FOREVER,
  };
  if (link.flags & IFF_.LOOPBACK) {
    const local = Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? 1 : 0));
    if (own.length === 0)
      addInet6(state, link, { ...request, prefixLength: 128, local, protocol: IFAPROT.KERNEL_LO }, now);
  } else {
    const all = Uint8Array.from({ length: 16 }, (_, i) => (i === 0 ? 0xff : 0));
    state.addRoute(route(RTN.MULTICAST, link.index, all, 8, METRIC.PREFIX));
  }
  own.forEach((addr) => activate(state, addr));
  if (link.hardware !== ARPHRD.ETHER || link.addressMode !== 0) return;
  const local = linkLocal(link.address);
  if (own.some((a) => a.scope === RT_SCOPE.LINK)) return;
  addInet6(state, link, { ...request, prefixLength: 64, local, protocol: IFAPROT.KERNEL_LL }, now);
}

/** A link went down: it loses its IPv6 routes and addresses. */
export function stopInet6(state: HostState, link: LinkRecord): void {
  state.dropRoutes((r) => isInet6(r) && r.outIndex === link.index);
  state.addrs.filter((a) => isInet6(a) && a.index === link.index).forEach((a) => state.dropAddr(a));
}
