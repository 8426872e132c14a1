/**
 * The decision rules of rtnetlink (IOTH-FACTS §10.2, with the error numbers of Linux): what becomes of a request
 * when its object exists and when it does not. Both netlink messages and netdevice ioctls go through here.
 */
import { Errno, type ErrnoName } from '../../../errno.ts';
import { FAMILY, NLMSG_FLAG } from './constants.ts';
import type {
  AddrRequest,
  Change,
  Handlers,
  Kind,
  LinkRecord,
  LinkRequest,
  NeighRequest,
  NetlinkTable,
  RouteRequest,
} from './records.ts';

/** A request to change something. */
export type Order =
  | { kind: 'link'; request: LinkRequest }
  | { kind: 'addr'; request: AddrRequest }
  | { kind: 'route'; request: RouteRequest }
  | { kind: 'neigh'; request: NeighRequest };

/** Told what was changed, when the table does not tell by itself. */
export type Report = (change: Change) => void;

/** The error of a change to an object that is not there. */
const MISSING: Record<Kind, ErrnoName> = {
  link: 'ENODEV',
  addr: 'EADDRNOTAVAIL',
  route: 'ESRCH',
  neigh: 'ENOENT',
};

type AnyHandlers = Handlers<Change['record'], Order['request']>;

/** The handlers of the object; the pairing of record and request types is that of {@link Order}. */
const handlersOf = (table: NetlinkTable, kind: Kind): AnyHandlers => table[kind];

/** Addresses are refused with a text that names the family. */
const addrText = (family: number, what: string): string =>
  family === FAMILY.INET ? `ipv4: Address ${what}` : `ipv6: address ${what}`;

const missing = ({ kind, request }: Order): Errno =>
  new Errno(MISSING[kind], kind === 'addr' ? addrText(request.family, 'not found') : undefined);
const unsupported = (): Errno => new Errno('EOPNOTSUPP');

/** An empty request for the link `index`. */
export const linkRequest = (index: number, more: Partial<LinkRequest> = {}): LinkRequest => ({
  index,
  flags: 0,
  change: 0,
  hardware: 0,
  ...more,
});

/** The link that `request` names; ENODEV when there is none, EINVAL when it names none. */
export function findLink(table: NetlinkTable, request: LinkRequest): LinkRecord {
  if (request.index <= 0 && request.name === undefined && request.alternativeName === undefined) {
    throw new Errno('EINVAL', 'No interface name or index specified');
  }
  const link = table.link.search(request, 'get');
  if (!link) throw new Errno('ENODEV');
  return link;
}

/** ENODEV unless the link that an address, route or neighbour names is there. */
function requireLink(table: NetlinkTable, order: Order): void {
  const { kind, request } = order;
  if (kind === 'link') return;
  const index = kind === 'route' ? request.outIndex : request.index;
  if (kind === 'route' && index === 0) return;
  if (index <= 0 || !table.link.search(linkRequest(index), 'get')) {
    throw new Errno('ENODEV');
  }
}

/** What NLM_F_CREATE, EXCL and REPLACE mean for a new object: make it, or change the one there is. */
function decide({ kind, request }: Order, exists: boolean, flags: number): 'new' | 'set' {
  const [excl, replace, create] = [NLMSG_FLAG.EXCL, NLMSG_FLAG.REPLACE, NLMSG_FLAG.CREATE].map(
    (flag) => (flags & flag) !== 0,
  );
  if (!exists) {
    // An address is made even without NLM_F_CREATE.
    if (kind === 'addr' || create) return 'new';
    throw new Errno(kind === 'link' ? 'ENODEV' : 'ENOENT');
  }
  if (kind === 'addr' && (excl || !replace)) {
    throw new Errno('EEXIST', addrText(request.family, 'already assigned'));
  }
  if (excl) throw new Errno('EEXIST');
  if (kind === 'link' && replace) throw unsupported();
  if (kind === 'route' && !replace) {
    // Several routes to one destination: the table refuses those that do not differ.
    if (create) return 'new';
    throw new Errno('ENOENT');
  }
  return 'set';
}

function changeOf(kind: Kind, record: Change['record'], deleted: boolean): Change {
  return { kind, record, deleted } as Change;
}

/** RTM_NEW*: makes or changes the object. */
export function putObject(table: NetlinkTable, order: Order, flags: number, report: Report): void {
  requireLink(table, order);
  const { kind, request } = order;
  const handlers = handlersOf(table, kind);
  const found = handlers.search(request, 'new');
  if (decide(order, found !== undefined, flags) === 'set') {
    if (!handlers.set || !found) throw unsupported();
    report(changeOf(kind, handlers.set(found, request), false));
  } else {
    if (!handlers.new) throw unsupported();
    report(changeOf(kind, handlers.new(request, (flags & NLMSG_FLAG.APPEND) !== 0), false));
  }
}

/** RTM_SETLINK: changes a link that must be there. */
export function setObject(table: NetlinkTable, order: Order, report: Report): void {
  const { kind, request } = order;
  const handlers = handlersOf(table, kind);
  const found = handlers.search(request, 'set');
  if (!found) throw missing(order);
  if (!handlers.set) throw unsupported();
  report(changeOf(kind, handlers.set(found, request), false));
}

/** RTM_DEL*: removes the object. */
export function deleteObject(table: NetlinkTable, order: Order, report: Report): void {
  requireLink(table, order);
  const { kind, request } = order;
  const handlers = handlersOf(table, kind);
  const found = handlers.search(request, 'del');
  if (!found) throw missing(order);
  if (!handlers.del) throw unsupported();
  handlers.del(found, request);
  report(changeOf(kind, found, true));
}
