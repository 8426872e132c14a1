/** Dumps (NLM_F_DUMP): which records of which objects, filtered as the kernel filters them. */
import { Errno } from '../../../errno.ts';
import type { NetlinkMessage } from '../wire.ts';
import { headerOf } from './attributes.ts';
import { decodeAddr, decodeNeighDump, encodeAddr, encodeNeigh } from './codec-addr.ts';
import { type LinkQuery, decodeLink, encodeLink } from './codec-link.ts';
import { DEFAULT_RULES, decodeRouteDump, encodeRoute, encodeRule } from './codec-route.ts';
import { FAMILY, RTEXT_FILTER_SKIP_STATS, RTM_BASE, RT_TABLE } from './constants.ts';
import { linkRequest } from './operations.ts';
import type { NetlinkTable } from './records.ts';

/** A dump in progress: the payloads to come, all of message type `type`. */
export interface Dump {
  type: number;
  payloads: Iterator<Uint8Array, void>;
  /** Why nothing comes: a filter names what is not there. */
  failure?: Errno;
  /** True where NLM_F_DUMP_FILTERED is to tell the client that less than everything comes. */
  filtered: boolean;
}

function* encoded<T>(items: readonly T[], encode: (item: T) => Uint8Array): Generator<Uint8Array, void> {
  for (const item of items) yield encode(item);
}

/** The records are read at once, so that a change in the middle of a dump does not tear it; bytes as needed. */
function dumpOf<T>(
  type: number,
  items: readonly T[],
  encode: (item: T) => Uint8Array,
  filtered = false,
): Dump {
  return { type, payloads: encoded(items, encode), filtered };
}

const nothing = (type: number, failure: Errno): Dump => ({
  type,
  payloads: encoded([], encodeLink),
  filtered: true,
  failure,
});

const matches = (wanted: number, value: number | undefined): boolean => wanted === 0 || wanted === value;

/** PF_UNSPEC asks for all families, and so does one that the server has no table for. */
const familyOf = (family: number): number =>
  family === FAMILY.INET || family === FAMILY.INET6 ? family : FAMILY.UNSPEC;

/** The old clients (glibc's getifaddrs) send a struct rtgenmsg in place of the whole header. */
function linkQuery(payload: Uint8Array, strict: boolean): LinkQuery {
  if (payload.length < 16 && !strict) {
    return { family: payload[0] ?? 0, extended: 0, request: linkRequest(0) };
  }
  const view = headerOf(payload, 16);
  if (strict && (view.getUint16(2, true) || view.getUint32(8, true) || view.getUint32(12, true))) {
    throw new Errno('EINVAL', 'Invalid values in header for link dump request');
  }
  if (strict && view.getInt32(4, true)) {
    throw new Errno('EINVAL', 'Filter by device index not supported for link dumps');
  }
  return decodeLink(payload);
}

function dumpLinks(table: NetlinkTable, payload: Uint8Array, strict: boolean): Dump {
  const { family, extended, request } = linkQuery(payload, strict);
  const { master = 0, kind } = request;
  // PF_BRIDGE asks for ports of bridges, which a table does not have.
  const links = family === FAMILY.BRIDGE ? [] : [...table.link.get()];
  const wanted = links.filter(
    (link) => matches(master, link.master) && (kind === undefined || kind === link.kind),
  );
  const stats = (extended & RTEXT_FILTER_SKIP_STATS) === 0;
  return dumpOf(RTM_BASE.LINK, wanted, (link) => encodeLink(link, stats), master !== 0 || kind !== undefined);
}

function dumpAddresses(table: NetlinkTable, payload: Uint8Array, strict: boolean): Dump {
  const family = familyOf(payload[0] ?? 0);
  let index = 0;
  if (strict) {
    const view = headerOf(payload, 8);
    if (view.getUint8(1) || view.getUint8(2) || view.getUint8(3)) {
      throw new Errno(
        'EINVAL',
        `${family === FAMILY.INET ? 'ipv4' : 'ipv6'}: Invalid values in header for address dump request`,
      );
    }
    index = decodeAddr(payload).index;
    if (index !== 0 && !table.link.search(linkRequest(index), 'get')) {
      return nothing(RTM_BASE.ADDR, new Errno('ENODEV'));
    }
  }
  const wanted = [...table.addr.get()].filter((a) => matches(family, a.family) && matches(index, a.index));
  return dumpOf(RTM_BASE.ADDR, wanted, encodeAddr, index !== 0);
}

function dumpRoutes(table: NetlinkTable, payload: Uint8Array, strict: boolean): Dump {
  const filter = decodeRouteDump(payload, strict);
  const family = familyOf(filter.family);
  const routes = filter.cloned ? [] : [...table.route.get()];
  const known = filter.table <= RT_TABLE.LOCAL && filter.table >= RT_TABLE.DEFAULT;
  if (
    family &&
    filter.table &&
    !known &&
    !routes.some((r) => r.family === family && r.table === filter.table)
  ) {
    return nothing(
      RTM_BASE.ROUTE,
      new Errno('ENOENT', `${family === FAMILY.INET ? 'ipv4' : 'ipv6'}: FIB table does not exist`),
    );
  }
  const wanted = routes.filter(
    (route) =>
      matches(family, route.family) &&
      matches(filter.table, route.table) &&
      matches(filter.protocol, route.protocol) &&
      matches(filter.type, route.type) &&
      matches(filter.outIndex, route.outIndex),
  );
  const filtered = (filter.table || filter.protocol || filter.type || filter.outIndex) !== 0;
  return dumpOf(RTM_BASE.ROUTE, wanted, (route) => encodeRoute(route), filtered);
}

function dumpNeighbours(table: NetlinkTable, payload: Uint8Array, strict: boolean): Dump {
  const { index, master, flags, ...filter } = decodeNeighDump(payload, strict);
  const family = familyOf(filter.family);
  const wanted = [...table.neigh.get()].filter(
    (neigh) =>
      matches(family, neigh.family) &&
      matches(index, neigh.index) &&
      // Proxy entries are listed only when they are asked for, and then alone.
      ((neigh.flags ^ flags) & 8) === 0 &&
      (master === 0 || table.link.search(linkRequest(neigh.index), 'get')?.master === master),
  );
  return dumpOf(RTM_BASE.NEIGH, wanted, encodeNeigh, index !== 0 || master !== 0);
}

function dumpRules(table: NetlinkTable, payload: Uint8Array): Dump {
  const family = familyOf(payload[0] ?? 0);
  const rules = [...(table.rules?.() ?? DEFAULT_RULES)].filter((rule) => matches(family, rule.family));
  return dumpOf(RTM_BASE.RULE, rules, encodeRule);
}

/** True for the message types that a dump can be of. */
export const canDump = (type: number): boolean => Object.values<number>(RTM_BASE).includes(type - 2);

/** Starts the dump that `message` asks for; throws Errno or WireError when it cannot be. */
export function startDump(table: NetlinkTable, { type, payload }: NetlinkMessage, strict: boolean): Dump {
  switch (type - 2) {
    case RTM_BASE.LINK:
      return dumpLinks(table, payload, strict);
    case RTM_BASE.ADDR:
      return dumpAddresses(table, payload, strict);
    case RTM_BASE.ROUTE:
      return dumpRoutes(table, payload, strict);
    case RTM_BASE.NEIGH:
      return dumpNeighbours(table, payload, strict);
    case RTM_BASE.RULE:
      return dumpRules(table, payload);
    case RTM_BASE.QDISC:
      // Queueing is the stack's own affair.
      return dumpOf(RTM_BASE.QDISC, [], () => new Uint8Array(0));
    default:
      throw new Errno('EOPNOTSUPP');
  }
}
