/** The requests of arp(7): struct arpreq has the protocol address, the hardware address, flags and the device. */
import { Errno } from '../../../errno.ts';
import { viewOf } from '../wire.ts';
import { sameBytes } from './attributes.ts';
import { FAMILY, IFNAMSIZ, NLMSG_FLAG, NTF_PROXY, NUD, RTN } from './constants.ts';
import { type Report, deleteObject, findLink, linkRequest, putObject } from './operations.ts';
import { findRoute } from './lookup.ts';
import type { NeighRequest, NetlinkTable } from './records.ts';

const REQUEST = { DELETE: 0x8953, GET: 0x8954, SET: 0x8955 } as const;
/** Offsets in struct arpreq. */
const ARPREQ = { PROTOCOL: 0, HARDWARE: 16, FLAGS: 32, DEVICE: 52 } as const;
/** ATF_*: the address is known, the entry stays, the host answers for another. */
export const ATF = { COMPLETE: 2, PERMANENT: 4, PUBLISH: 8 } as const;
/** States in which the hardware address is known. */
const NUD_VALID = 0xde;

/** ATF_* of a neighbour's state. */
export function arpFlags(state: number): number {
  if (state & NUD.PERMANENT) return ATF.PERMANENT | ATF.COMPLETE;
  return state & NUD_VALID ? ATF.COMPLETE : 0;
}

/** The interface that the request names, or that the route to the address takes. */
function indexFor(table: NetlinkTable, argument: Uint8Array, destination: Uint8Array): number {
  const field = argument.subarray(ARPREQ.DEVICE, ARPREQ.DEVICE + IFNAMSIZ);
  const name = Buffer.from(field).toString('latin1').split('\0', 1)[0];
  if (name) return findLink(table, linkRequest(0, { name })).index;
  const route = findRoute([...table.route.get()], {
    family: FAMILY.INET,
    table: 0,
    destination,
    prefixLength: 32,
    type: RTN.UNSPEC,
    protocol: 0,
    scope: 0,
    tos: 0,
    flags: 0,
    outIndex: 0,
  });
  if (!route || route.outIndex === 0) throw new Errno('ENETUNREACH');
  return route.outIndex;
}

/** SIOCGARP, SIOCSARP and SIOCDARP; 0. ENXIO: there is no such entry. */
export function arpIoctl(table: NetlinkTable, request: number, argument: Uint8Array, report: Report): number {
  const view = viewOf(argument);
  if (view.getUint16(ARPREQ.PROTOCOL, true) !== FAMILY.INET) throw new Errno('EPFNOSUPPORT');
  const destination = argument.slice(ARPREQ.PROTOCOL + 4, ARPREQ.PROTOCOL + 8);
  const index = indexFor(table, argument, destination);
  const found = [...table.neigh.get()].find(
    (n) => n.family === FAMILY.INET && n.index === index && sameBytes(n.destination, destination),
  );
  const flags = view.getInt32(ARPREQ.FLAGS, true);
  if (request === REQUEST.SET) {
    const neigh: NeighRequest = {
      family: FAMILY.INET,
      index,
      destination,
      address: argument.slice(ARPREQ.HARDWARE + 2, ARPREQ.HARDWARE + 8),
      state: flags & ATF.PERMANENT ? NUD.PERMANENT : NUD.STALE,
      flags: flags & ATF.PUBLISH ? NTF_PROXY : 0,
      type: RTN.UNICAST,
    };
    putObject(table, { kind: 'neigh', request: neigh }, NLMSG_FLAG.CREATE | NLMSG_FLAG.REPLACE, report);
    return 0;
  }
  if (!found) throw new Errno('ENXIO');
  if (request === REQUEST.DELETE) {
    deleteObject(table, { kind: 'neigh', request: found }, report);
    return 0;
  }
  const link = findLink(table, linkRequest(index));
  view.setUint16(ARPREQ.HARDWARE, link.hardware, true);
  argument.fill(0, ARPREQ.HARDWARE + 2, ARPREQ.FLAGS).set(found.address ?? [], ARPREQ.HARDWARE + 2);
  view.setInt32(ARPREQ.FLAGS, arpFlags(found.state), true);
  argument.fill(0, ARPREQ.DEVICE, ARPREQ.DEVICE + IFNAMSIZ).set(Buffer.from(link.name), ARPREQ.DEVICE);
  return 0;
}
