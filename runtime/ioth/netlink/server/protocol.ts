/** A protocol of netlink(7): which requests a peer serves, and how. */
import { Errno } from '../../../errno.ts';
import type { NetlinkMessage } from '../wire.ts';
import { NLMSG_FLAG } from './constants.ts';
import { type Dump, canDump, startDump } from './dump.ts';
import type { Report } from './operations.ts';
import type { NetlinkTable } from './records.ts';
import { onlyReads, serveRequest } from './requests.ts';

/** The payload of an answer, and its type. */
export interface Answer {
  type: number;
  payload: Uint8Array;
}

/** What is spoken on the netlink sockets of one protocol number (netlink(7), NETLINK_ROUTE and its like). */
export interface Protocol {
  /** True for requests that change nothing, which anybody may send. */
  onlyReads(type: number): boolean;
  /** True for requests whose answers are many messages; throws Errno EOPNOTSUPP for those that cannot have such. */
  isDump(message: NetlinkMessage): boolean;
  /** `strict`: the client wants its filters to be looked at closely (NETLINK_GET_STRICT_CHK). */
  startDump(message: NetlinkMessage, strict: boolean): Dump;
  /** Carries out a request that is no dump; undefined where the acknowledgement is all. `uid` is the client's user. */
  serve(message: NetlinkMessage, uid: number, report: Report): Answer | undefined;
}

/** NETLINK_ROUTE. */
export const routeProtocol = (table: NetlinkTable): Protocol => ({
  onlyReads,
  isDump({ type, flags }) {
    if (!onlyReads(type) || (flags & NLMSG_FLAG.DUMP) === 0) return false;
    if (!canDump(type)) throw new Errno('EOPNOTSUPP');
    return true;
  },
  startDump: (message, strict) => startDump(table, message, strict),
  serve: (message, uid, report) => serveRequest(table, message, uid, report),
});
