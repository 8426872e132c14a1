/** Routes and rules as rtnetlink(7) sends them. */
import { Errno } from '../../../errno.ts';
import { AttributeList, AttributeMap, addressSize, defined, headerOf, words } from './attributes.ts';
import { FAMILY, FRA, FR_ACT_TO_TBL, RTA_, RTM_F, RTPROT, RT_TABLE } from './constants.ts';
import type { RouteRecord, RouteRequest, RuleRecord } from './records.ts';

/** struct rtmsg and struct fib_rule_hdr. */
const RTMSG = 12;

/** Table numbers above 255 only fit into RTA_TABLE. */
const shortTable = (table: number): number => (table < 256 ? table : RT_TABLE.COMPAT);

function routeHeader(route: RouteRecord): Uint8Array {
  const header = words(0, 0, route.flags >>> 0);
  header.set([route.family, route.prefixLength, 0, route.tos]);
  header.set([shortTable(route.table), route.protocol, route.scope, route.type], 4);
  return header;
}

/** What only the answer to a lookup has. */
export interface LookupDetails {
  uid: number;
  /** Source address that was asked for; all zero where none was. */
  source: Uint8Array;
}

/** The payload of RTM_NEWROUTE and RTM_DELROUTE. */
export function encodeRoute(route: RouteRecord, lookup?: LookupDetails): Uint8Array {
  const inet6 = route.family === FAMILY.INET6;
  const cloned = (route.flags & RTM_F.CLONED) !== 0;
  const header = routeHeader(route);
  const from = inet6 ? lookup?.source : undefined;
  if (from) header[2] = 8 * from.length;
  return (
    new AttributeList()
      .word(RTA_.TABLE, route.table)
      .bytes(RTA_.DST, route.prefixLength > 0 ? route.destination : undefined)
      .bytes(RTA_.SRC, from)
      // IPv6 routes have a metric even if it is 0.
      .word(RTA_.PRIORITY, inet6 ? route.priority : route.priority || undefined)
      .bytes(RTA_.PREFSRC, route.preferredSource)
      .nested(RTA_.METRICS, route.metrics)
      .bytes(RTA_.GATEWAY, route.gateway)
      .word(RTA_.OIF, route.outIndex || undefined)
      .word(RTA_.UID, inet6 ? undefined : lookup?.uid)
      .bytes(RTA_.CACHEINFO, inet6 || cloned ? new Uint8Array(32) : undefined)
      .byte(RTA_.PREF, inet6 ? 0 : undefined)
      .serialize(header)
  );
}

/** Clears the bits of `address` behind its first `prefixLength`. */
export function masked(address: Uint8Array, prefixLength: number): Uint8Array {
  return address.map((byte, i) => {
    const bits = Math.min(8, Math.max(0, prefixLength - 8 * i));
    return byte & (0xff00 >> bits) & 0xff;
  });
}

/** Reads a request about one route; WireError when it is damaged. */
export function decodeRoute(payload: Uint8Array): RouteRequest {
  const view = headerOf(payload, RTMSG);
  const family = view.getUint8(0);
  const size = addressSize(family);
  const map = new AttributeMap(payload, RTMSG);
  const prefixLength = view.getUint8(1);
  if (prefixLength > 8 * size) throw new Errno('EINVAL', 'Invalid prefix length');
  if (map.has(RTA_.MULTIPATH))
    throw new Errno('EOPNOTSUPP', 'Routes with several next hops are not supported');
  return defined<RouteRequest>({
    family,
    prefixLength,
    tos: view.getUint8(3),
    table: map.word(RTA_.TABLE) ?? view.getUint8(4),
    protocol: view.getUint8(5),
    scope: view.getUint8(6),
    type: view.getUint8(7),
    flags: view.getUint32(8, true),
    destination: map.bytes(RTA_.DST, size) ?? new Uint8Array(size),
    source: map.bytes(RTA_.SRC, size),
    gateway: map.bytes(RTA_.GATEWAY, size),
    outIndex: map.word(RTA_.OIF) ?? 0,
    preferredSource: map.bytes(RTA_.PREFSRC, size),
    priority: map.word(RTA_.PRIORITY),
    metrics: map.nested(RTA_.METRICS)?.items.map(({ type, data }) => ({ type, data: data.slice() })),
  });
}

/** Which routes a dump is to have; 0 is any. */
export interface RouteFilter {
  family: number;
  table: number;
  protocol: number;
  type: number;
  outIndex: number;
  /** Only cached routes are wanted, of which there are none. */
  cloned: boolean;
}

/** Reads a request for a dump of routes. Only with `strict` does the kernel filter by more than the family. */
export function decodeRouteDump(payload: Uint8Array, strict: boolean): RouteFilter {
  const family = payload[0] ?? 0;
  const all = { family, table: 0, protocol: 0, type: 0, outIndex: 0, cloned: false };
  if (payload.length < RTMSG) {
    if (strict) throw new Errno('EINVAL', 'Invalid header for FIB dump request');
    return all;
  }
  const view = headerOf(payload, RTMSG);
  if (!strict) return all;
  if (view.getUint8(1) !== 0 || view.getUint8(2) !== 0 || view.getUint8(3) !== 0 || view.getUint8(6) !== 0) {
    throw new Errno('EINVAL', 'Invalid values in header for FIB dump request');
  }
  const map = new AttributeMap(payload, RTMSG);
  return {
    family,
    table: map.word(RTA_.TABLE) ?? view.getUint8(4),
    protocol: view.getUint8(5),
    type: view.getUint8(7),
    outIndex: map.word(RTA_.OIF) ?? 0,
    cloned: (view.getUint32(8, true) & RTM_F.CLONED) !== 0,
  };
}

/** The payload of RTM_NEWRULE for a rule that sends everything to a table. */
export function encodeRule(rule: RuleRecord): Uint8Array {
  const header = words(rule.family, 0, 0);
  header.set([shortTable(rule.table), 0, 0, FR_ACT_TO_TBL], 4);
  return new AttributeList()
    .word(FRA.TABLE, rule.table)
    .word(FRA.SUPPRESS_PREFIXLEN, 0xffffffff)
    .word(FRA.PRIORITY, rule.priority || undefined)
    .byte(FRA.PROTOCOL, RTPROT.KERNEL)
    .serialize(header);
}

/** The rules of a fresh kernel. */
export const DEFAULT_RULES: readonly RuleRecord[] = [
  { family: FAMILY.INET, priority: 0, table: RT_TABLE.LOCAL },
  { family: FAMILY.INET, priority: 32766, table: RT_TABLE.MAIN },
  { family: FAMILY.INET, priority: 32767, table: RT_TABLE.DEFAULT },
  { family: FAMILY.INET6, priority: 0, table: RT_TABLE.LOCAL },
  { family: FAMILY.INET6, priority: 32766, table: RT_TABLE.MAIN },
];
