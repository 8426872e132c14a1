/** SIOCADDRT and SIOCDELRT with struct rtentry and struct in6_rtmsg, and the address requests of AF_INET6. */
import { Errno } from '../../../errno.ts';
import { viewOf } from '../wire.ts';
import { FAMILY, FOREVER, NLMSG_FLAG, RTN, RTPROT, RT_SCOPE, RT_TABLE } from './constants.ts';
import { prefixLengthOf } from './netdevice-inet.ts';
import { type Report, deleteObject, findLink, linkRequest, putObject } from './operations.ts';
import type { AddrRequest, NetlinkTable, RouteRequest } from './records.ts';

/** RTF_* of linux/route.h. */
const RTF = { GATEWAY: 2, HOST: 4, REJECT: 0x200 } as const;
/** Offsets in struct rtentry (64 bits): sockaddrs of 16 bytes, then words. */
const RTENTRY = { DST: 8, GATEWAY: 24, MASK: 40, FLAGS: 56, METRIC: 80 } as const;
/** Offsets in struct in6_rtmsg. */
const IN6_RTMSG = { DST: 0, GATEWAY: 32, DST_LENGTH: 52, METRIC: 56, FLAGS: 72, INDEX: 76 } as const;

interface RouteContext {
  family: number;
  device?: string;
  report: Report;
}

const unicast = (flags: number): Pick<RouteRequest, 'table' | 'tos' | 'flags' | 'protocol' | 'type'> => ({
  table: RT_TABLE.MAIN,
  tos: 0,
  flags: 0,
  protocol: RTPROT.BOOT,
  type: flags & RTF.REJECT ? RTN.UNREACHABLE : RTN.UNICAST,
});

/** The address in a sockaddr_in; undefined where its family is 0; EAFNOSUPPORT for another one. */
function addressAt(entry: Uint8Array, at: number): Uint8Array | undefined {
  const family = viewOf(entry).getUint16(at, true);
  if (family === 0) return undefined;
  if (family !== FAMILY.INET) throw new Errno('EAFNOSUPPORT');
  return entry.slice(at + 4, at + 8);
}

function fromRtentry(table: NetlinkTable, entry: Uint8Array, device: string | undefined): RouteRequest {
  const view = viewOf(entry);
  const flags = view.getUint16(RTENTRY.FLAGS, true);
  const metric = view.getInt16(RTENTRY.METRIC, true);
  const gateway = flags & RTF.GATEWAY ? addressAt(entry, RTENTRY.GATEWAY) : undefined;
  if (flags & RTF.GATEWAY && !gateway) throw new Errno('EINVAL');
  // A rejecting route has no interface, though route(8) names lo.
  const reject = (flags & RTF.REJECT) !== 0;
  const outIndex =
    device === undefined || reject ? 0 : findLink(table, linkRequest(0, { name: device })).index;
  return {
    ...unicast(flags),
    family: FAMILY.INET,
    destination: addressAt(entry, RTENTRY.DST) ?? new Uint8Array(4),
    prefixLength: flags & RTF.HOST ? 32 : prefixLengthOf(entry.slice(RTENTRY.MASK + 4, RTENTRY.MASK + 8)),
    scope: reject ? RT_SCOPE.HOST : gateway ? RT_SCOPE.UNIVERSE : RT_SCOPE.LINK,
    outIndex,
    // rt_metric is one more than the metric; 0 names none.
    ...(metric > 0 ? { priority: metric - 1 } : {}),
    ...(gateway && !reject ? { gateway } : {}),
  };
}

function fromIn6Rtmsg(entry: Uint8Array): RouteRequest {
  const view = viewOf(entry);
  const flags = view.getUint32(IN6_RTMSG.FLAGS, true);
  const prefixLength = view.getUint16(IN6_RTMSG.DST_LENGTH, true);
  if (prefixLength > 128) throw new Errno('EINVAL');
  const metric = view.getUint32(IN6_RTMSG.METRIC, true);
  const gateway = entry.slice(IN6_RTMSG.GATEWAY, IN6_RTMSG.GATEWAY + 16);
  return {
    ...unicast(flags),
    family: FAMILY.INET6,
    destination: entry.slice(IN6_RTMSG.DST, IN6_RTMSG.DST + 16),
    prefixLength,
    scope: RT_SCOPE.UNIVERSE,
    outIndex: view.getInt32(IN6_RTMSG.INDEX, true),
    ...(metric > 0 ? { priority: metric } : {}),
    ...(flags & RTF.GATEWAY ? { gateway } : {}),
  };
}

/** SIOCADDRT (`add`) and SIOCDELRT; 0. */
export function routeIoctl(
  table: NetlinkTable,
  add: boolean,
  entry: Uint8Array,
  { family, device, report }: RouteContext,
): number {
  const request = family === FAMILY.INET6 ? fromIn6Rtmsg(entry) : fromRtentry(table, entry, device);
  if (add) {
    putObject(table, { kind: 'route', request }, NLMSG_FLAG.CREATE | NLMSG_FLAG.EXCL, report);
  } else {
    const any = { ...request, protocol: RTPROT.UNSPEC, scope: RT_SCOPE.NOWHERE };
    deleteObject(table, { kind: 'route', request: any }, report);
  }
  return 0;
}

/** SIOCSIFADDR (`add`) and SIOCDIFADDR on a socket of AF_INET6, with a struct in6_ifreq; 0. */
export function inet6AddressIoctl(
  table: NetlinkTable,
  add: boolean,
  argument: Uint8Array,
  report: Report,
): number {
  const view = viewOf(argument);
  const prefixLength = view.getUint32(16, true);
  if (prefixLength > 128) throw new Errno('EINVAL');
  const request: AddrRequest = {
    family: FAMILY.INET6,
    index: view.getInt32(20, true),
    prefixLength,
    scope: RT_SCOPE.UNIVERSE,
    flags: 0,
    local: argument.slice(0, 16),
    preferred: FOREVER,
    valid: FOREVER,
  };
  if (add) putObject(table, { kind: 'addr', request }, NLMSG_FLAG.CREATE, report);
  else deleteObject(table, { kind: 'addr', request }, report);
  return 0;
}
