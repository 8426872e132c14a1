/** Routes of a small host: what may be added, and where its next hop lies. */
import { Errno } from '../../../../errno.ts';
import { sameBytes, without } from '../attributes.ts';
import { masked } from '../codec-route.ts';
import { FAMILY, METRIC, RTN, RTNH_F_ONLINK, RTPROT, RT_SCOPE, RT_TABLE } from '../constants.ts';
import { findRoute } from '../lookup.ts';
import type { Purpose, RouteHandlers, RouteRecord, RouteRequest } from '../records.ts';
import { type HostState, sameDestination, sameRoute } from './state.ts';

const isInet = ({ family }: { family: number }): boolean => family === FAMILY.INET;
const leadsNowhere = (type: number): boolean => type >= RTN.BLACKHOLE && type <= RTN.THROW;

/** The record that `request` asks for, before its next hop is looked at. */
function recordOf(request: RouteRequest): RouteRecord {
  const { priority = 0, ...rest } = without(request, 'source');
  const inet = isInet(request);
  return {
    ...rest,
    table: rest.table === RT_TABLE.UNSPEC ? RT_TABLE.MAIN : rest.table,
    type: rest.type === RTN.UNSPEC ? RTN.UNICAST : rest.type,
    protocol: inet ? rest.protocol : rest.protocol || RTPROT.BOOT,
    scope: inet ? rest.scope : RT_SCOPE.UNIVERSE,
    flags: rest.flags & RTNH_F_ONLINK,
    tos: inet ? rest.tos : 0,
    destination: inet ? rest.destination : masked(rest.destination, rest.prefixLength),
    priority: inet ? priority : priority || METRIC.USER,
  };
}

const invalidGateway = (code: 'ENETUNREACH' | 'EINVAL'): Errno =>
  new Errno(code, 'Nexthop has invalid gateway');

/** The interface through which an IPv4 gateway is reached: a route of narrower scope leads there (fib semantics). */
function inetGateway(state: HostState, route: RouteRecord, gateway: Uint8Array): number {
  if (route.scope >= RT_SCOPE.LINK) throw new Errno('EINVAL', 'Nexthop has invalid scope');
  if (route.flags & RTNH_F_ONLINK) {
    if (!state.isUp(route.outIndex)) throw new Errno('ENETDOWN', 'Nexthop device is not up');
    return route.outIndex;
  }
  const narrower = state.routes.filter((r) => r.scope > route.scope);
  const way = findRoute(narrower, { ...route, destination: gateway });
  if (!way) throw invalidGateway('ENETUNREACH');
  if (way.type !== RTN.UNICAST && way.type !== RTN.LOCAL) throw invalidGateway('EINVAL');
  return way.outIndex;
}

/** The same for IPv6: the gateway is a link-local address or lies in the prefix of an interface. */
function inet6Gateway(state: HostState, route: RouteRecord, gateway: Uint8Array): number {
  const own = state.addrs.some(
    (a) => sameBytes(a.local, gateway) && (!route.outIndex || a.index === route.outIndex),
  );
  if (own) throw new Errno('EINVAL', 'Gateway can not be a local address');
  const linkLocal = gateway[0] === 0xfe && ((gateway[1] ?? 0) & 0xc0) === 0x80;
  if (linkLocal || route.flags & RTNH_F_ONLINK) {
    if (route.outIndex === 0) throw new Errno('EINVAL', 'Egress device not specified');
    return route.outIndex;
  }
  const direct = state.routes.filter((r) => r.gateway === undefined && !leadsNowhere(r.type));
  const way = findRoute(direct, { ...route, destination: gateway });
  if (!way) throw new Errno('EHOSTUNREACH');
  return way.outIndex;
}

/** Fills in the interface, and refuses a next hop that cannot be one. */
function resolve(state: HostState, route: RouteRecord): RouteRecord {
  const inet = isInet(route);
  if (leadsNowhere(route.type)) {
    if (inet && (route.gateway || route.outIndex)) {
      throw new Errno('EINVAL', 'Gateway, device and nexthop can not be specified for this route type');
    }
    return inet ? route : { ...route, outIndex: state.loopback()?.index ?? 1 };
  }
  const { gateway } = route;
  if (gateway) {
    const outIndex = (inet ? inetGateway : inet6Gateway)(state, route, gateway);
    if (!inet && !state.isUp(outIndex)) throw new Errno('ENETDOWN', 'Nexthop device is not up');
    return { ...route, outIndex };
  }
  if (route.outIndex === 0) throw new Errno('ENODEV');
  if (!state.isUp(route.outIndex)) {
    throw new Errno('ENETDOWN', inet ? 'Device for nexthop is not up' : 'Nexthop device is not up');
  }
  return route;
}

function prepare(state: HostState, request: RouteRequest): RouteRecord {
  const route = recordOf(request);
  const { destination, prefixLength, preferredSource } = route;
  if (!sameBytes(destination, masked(destination, prefixLength))) {
    throw new Errno('EINVAL', 'Invalid prefix for given prefix length');
  }
  if (preferredSource && !state.addrs.some((a) => sameBytes(a.local, preferredSource))) {
    throw new Errno('EINVAL', isInet(route) ? 'Invalid prefsrc address' : 'Invalid source address');
  }
  return resolve(state, route);
}

/** What a request to remove a route says about it holds for `route`. */
function fits(route: RouteRecord, request: RouteRequest): boolean {
  const { type, protocol, scope, priority, gateway, outIndex, preferredSource } = request;
  const wanted = recordOf(request);
  return (
    sameDestination(route, { ...wanted, priority: route.priority }) &&
    (type === RTN.UNSPEC || route.type === type) &&
    (protocol === RTPROT.UNSPEC || route.protocol === protocol) &&
    (!isInet(route) || scope === RT_SCOPE.NOWHERE || route.scope === scope) &&
    (!priority || route.priority === priority) &&
    (!gateway || sameBytes(route.gateway, gateway)) &&
    (outIndex === 0 || route.outIndex === outIndex) &&
    (!preferredSource || sameBytes(route.preferredSource, preferredSource))
  );
}

/** Order of the kernel's tree; the default route of IPv6 comes last. */
function byPrefix(a: RouteRecord, b: RouteRecord): number {
  const last = (r: RouteRecord): number => (!isInet(r) && r.prefixLength === 0 ? 1 : 0);
  return (
    a.family - b.family ||
    a.table - b.table ||
    last(a) - last(b) ||
    Buffer.compare(a.destination, b.destination) ||
    a.prefixLength - b.prefixLength ||
    a.priority - b.priority
  );
}

export const routeHandlers = (state: HostState): RouteHandlers => ({
  get: () => [...state.routes].sort(byPrefix),
  search: (request: RouteRequest, purpose: Purpose) =>
    purpose === 'new'
      ? state.routes.find((route) => sameDestination(route, recordOf(request)))
      : state.routes.find((route) => fits(route, request)),
  new: (request, append) => {
    const route = prepare(state, request);
    if (state.routes.some((r) => sameRoute(r, route))) throw new Errno('EEXIST');
    // Among equals, the first one is taken.
    if (append) state.routes.push(route);
    else state.routes.unshift(route);
    state.emit('route', route);
    return route;
  },
  set: (old, request) => {
    const route = prepare(state, request);
    state.routes = state.routes.map((r) => (r === old ? route : r));
    state.emit('route', route);
    return route;
  },
  del: (route) => state.dropRoutes((r) => r === route),
});
