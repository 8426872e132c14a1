/** One request of a client: what it changes, or the messages that answer it. */
import { Errno } from '../../../errno.ts';
import { logger } from '../../../log.ts';
import { type NetlinkMessage, WireError } from '../wire.ts';
import { decodeAddr, decodeNeigh, encodeAddr, encodeNeigh } from './codec-addr.ts';
import { decodeLink, decodeNames, encodeLink } from './codec-link.ts';
import { decodeRoute, encodeRoute } from './codec-route.ts';
import { FAMILY, RTEXT_FILTER_SKIP_STATS, RTM_BASE, RTM_MORE } from './constants.ts';
import { lookupRoute } from './lookup.ts';
import { type Order, type Report, deleteObject, findLink, putObject, setObject } from './operations.ts';
import type { NetlinkTable } from './records.ts';

const log = logger('ioth');

/** What a message type does to its object. */
const VERB = { NEW: 0, DEL: 1, GET: 2, SET: 3 } as const;

/** Splits the type of a message into the object's first type and the verb; undefined where it is no such type. */
export function splitType(type: number): { base: number; verb: number } | undefined {
  const base = type & ~3;
  if (!Object.values<number>(RTM_BASE).includes(base)) return undefined;
  // Only links have a message to set what is there.
  return (type & 3) === VERB.SET && base !== RTM_BASE.LINK ? undefined : { base, verb: type & 3 };
}

/** True for messages that only read, which anybody may send. */
export const onlyReads = (type: number): boolean => (type & 3) === VERB.GET;

/** Address families of guests that requests for changes may have. */
function requireFamily<T extends { family: number }>(request: T): T {
  if (request.family !== FAMILY.INET && request.family !== FAMILY.INET6) throw new Errno('EOPNOTSUPP');
  return request;
}

function orderOf(base: number, payload: Uint8Array): Order {
  switch (base) {
    case RTM_BASE.LINK:
      return { kind: 'link', request: decodeLink(payload).request };
    case RTM_BASE.ADDR:
      return { kind: 'addr', request: requireFamily(decodeAddr(payload)) };
    case RTM_BASE.ROUTE:
      return { kind: 'route', request: requireFamily(decodeRoute(payload)) };
    case RTM_BASE.NEIGH:
      return { kind: 'neigh', request: requireFamily(decodeNeigh(payload)) };
    default:
      throw new Errno('EOPNOTSUPP');
  }
}

function getOne(table: NetlinkTable, base: number, payload: Uint8Array, uid: number): Uint8Array {
  if (base === RTM_BASE.LINK) {
    const { request, extended } = decodeLink(payload);
    return encodeLink(findLink(table, request), (extended & RTEXT_FILTER_SKIP_STATS) === 0);
  }
  const { kind, request } = orderOf(base, payload);
  if (kind === 'route') {
    const source = request.source ?? new Uint8Array(request.destination.length);
    return encodeRoute(lookupRoute(table, request), { uid, source });
  }
  if (kind === 'neigh') {
    const neigh = table.neigh.search(request, 'get');
    if (!neigh) throw new Errno('ENOENT', 'Neighbour entry not found');
    return encodeNeigh(neigh);
  }
  // The kernel finds single addresses of IPv6 only.
  if (kind !== 'addr' || request.family !== FAMILY.INET6) throw new Errno('EOPNOTSUPP');
  const addr = table.addr.search(request, 'get');
  if (!addr) throw new Errno('EADDRNOTAVAIL');
  return encodeAddr(addr);
}

/** Alternative names are changed by messages of their own. */
function changeNames(table: NetlinkTable, { type, payload }: NetlinkMessage, report: Report): void {
  const link = findLink(table, decodeLink(payload).request);
  const names = decodeNames(payload);
  if (names.length === 0) throw new Errno('EINVAL', 'No alternative names');
  const change = type === RTM_MORE.NEWLINKPROP ? { addNames: names } : { removeNames: names };
  const request = { index: link.index, flags: 0, change: 0, hardware: 0, ...change };
  setObject(table, { kind: 'link', request }, report);
}

/**
 * Carries out a request that is no dump; the answer's message (without acknowledgement), undefined where the
 * acknowledgement is all. Throws Errno or WireError. `uid` is the client's user, which some answers repeat.
 */
export function serveRequest(
  table: NetlinkTable,
  message: NetlinkMessage,
  uid: number,
  report: Report,
): { type: number; payload: Uint8Array } | undefined {
  const { type, payload, flags } = message;
  if (type === RTM_MORE.NEWLINKPROP || type === RTM_MORE.DELLINKPROP) {
    changeNames(table, message, report);
    return undefined;
  }
  const { base, verb } = splitType(type) ?? {};
  if (base === undefined) throw new Errno('EOPNOTSUPP');
  if (verb === VERB.GET) return { type: base, payload: getOne(table, base, payload, uid) };
  const order = orderOf(base, payload);
  if (verb === VERB.NEW) {
    putObject(table, order, flags, report);
    return undefined;
  }
  // Links to set or to remove must be named.
  if (order.kind === 'link') findLink(table, order.request);
  if (verb === VERB.SET) setObject(table, order, report);
  else deleteObject(table, order, report);
  return undefined;
}

/** The errno and the text that a client gets for what a handler threw. */
export function refusalOf(error: unknown): { errno: number; text?: string } {
  if (error instanceof WireError) return { errno: new Errno('EINVAL').errno, text: error.message };
  if (error instanceof Errno) {
    const { errno, code, message } = error;
    return message === code ? { errno } : { errno, text: message };
  }
  log.error(
    `netlink: a handler failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
  return { errno: new Errno('EIO').errno };
}
