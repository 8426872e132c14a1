/** Addresses and neighbours as rtnetlink(7) sends them. */
import { Errno } from '../../../errno.ts';
import {
  AttributeList,
  AttributeMap,
  addressSize,
  defined,
  headerOf,
  sameBytes,
  words,
} from './attributes.ts';
import { FAMILY, FOREVER, IFA_, IFA_F, IFNAMSIZ, NDA } from './constants.ts';
import type { AddrRecord, AddrRequest, NeighRecord, NeighRequest } from './records.ts';

/** struct ifaddrmsg and struct ndmsg. */
const IFADDRMSG = 8;
const NDMSG = 12;

function addrHeader(addr: AddrRecord): Uint8Array {
  // ifa_flags has 8 bits; all of them are in IFA_FLAGS.
  const header = words(0, addr.index);
  header.set([addr.family, addr.prefixLength, addr.flags & 0xff, addr.scope]);
  return header;
}

/** The payload of RTM_NEWADDR and RTM_DELADDR. */
export function encodeAddr(addr: AddrRecord): Uint8Array {
  const inet = addr.family === FAMILY.INET;
  const life = words(addr.preferred, addr.valid, addr.created, addr.updated);
  const list = new AttributeList();
  // IPv6 addresses have IFA_LOCAL only where there is another end.
  if (inet || addr.peer) list.bytes(IFA_.LOCAL, addr.local);
  return list
    .bytes(IFA_.ADDRESS, addr.peer ?? addr.local)
    .bytes(IFA_.BROADCAST, addr.broadcast)
    .text(IFA_.LABEL, inet ? addr.label : undefined)
    .word(IFA_.FLAGS, addr.flags)
    .word(IFA_.RT_PRIORITY, addr.metric || undefined)
    .byte(IFA_.PROTO, addr.protocol || undefined)
    .bytes(IFA_.CACHEINFO, life)
    .serialize(addrHeader(addr));
}

/** Reads a request about addresses; WireError when it is damaged. */
export function decodeAddr(payload: Uint8Array): AddrRequest {
  const view = headerOf(payload, IFADDRMSG);
  const family = view.getUint8(0);
  const size = addressSize(family);
  const map = new AttributeMap(payload, IFADDRMSG);
  const address = map.bytes(IFA_.ADDRESS, size);
  const local = map.bytes(IFA_.LOCAL, size) ?? address;
  const life = map.bytes(IFA_.CACHEINFO, 16);
  const lifetime = life && new DataView(life.buffer);
  return defined<AddrRequest>({
    family,
    prefixLength: view.getUint8(1),
    flags: map.word(IFA_.FLAGS) ?? view.getUint8(2),
    scope: view.getUint8(3),
    index: view.getUint32(4, true),
    local,
    peer: sameBytes(address, local) ? undefined : address,
    broadcast: map.bytes(IFA_.BROADCAST, size),
    label: map.text(IFA_.LABEL, IFNAMSIZ),
    metric: map.word(IFA_.RT_PRIORITY),
    protocol: map.byte(IFA_.PROTO),
    preferred: lifetime?.getUint32(0, true) ?? FOREVER,
    valid: lifetime?.getUint32(4, true) ?? FOREVER,
    anyPrefix: family === FAMILY.INET && !address ? true : undefined,
  });
}

/** Flags of an address that its maker decides. */
export const IFA_F_SETTABLE =
  IFA_F.NODAD | IFA_F.NOPREFIXROUTE | IFA_F.OPTIMISTIC | IFA_F.MANAGETEMPADDR | IFA_F.MCAUTOJOIN;

/** The payload of RTM_NEWNEIGH and RTM_DELNEIGH. */
export function encodeNeigh(neigh: NeighRecord): Uint8Array {
  const header = words(0, neigh.index, 0);
  header[0] = neigh.family;
  const view = new DataView(header.buffer);
  view.setUint16(8, neigh.state, true);
  view.setUint8(10, neigh.flags);
  view.setUint8(11, neigh.type);
  return new AttributeList()
    .bytes(NDA.DST, neigh.destination)
    .bytes(NDA.LLADDR, neigh.address)
    .word(NDA.PROBES, 0)
    .bytes(NDA.CACHEINFO, words(0, 0, 0, 0))
    .serialize(header);
}

/** Which neighbours a dump is to have; 0 is any. */
export interface NeighFilter {
  family: number;
  index: number;
  master: number;
  flags: number;
}

/** Reads a request for a dump of neighbours, which may be as short as a struct rtgenmsg. */
export function decodeNeighDump(payload: Uint8Array, strict: boolean): NeighFilter {
  const family = payload[0] ?? 0;
  if (payload.length < NDMSG) {
    if (strict) throw new Errno('EINVAL', 'Invalid header for neighbor dump request');
    return { family, index: 0, master: 0, flags: 0 };
  }
  const view = headerOf(payload, NDMSG);
  if (strict && (view.getInt32(4, true) !== 0 || view.getUint16(8, true) !== 0 || view.getUint8(11) !== 0)) {
    throw new Errno('EINVAL', 'Invalid values in header for neighbor dump request');
  }
  const map = new AttributeMap(payload, NDMSG);
  const [index = 0, master = 0] = [map.word(NDA.IFINDEX), map.word(NDA.MASTER)];
  return { family, index, master, flags: view.getUint8(10) };
}

/** Reads a request about one neighbour; WireError or Errno when it is damaged or names none. */
export function decodeNeigh(payload: Uint8Array): NeighRequest {
  const view = headerOf(payload, NDMSG);
  const family = view.getUint8(0);
  const map = new AttributeMap(payload, NDMSG);
  const destination = map.bytes(NDA.DST, addressSize(family));
  if (!destination) throw new Errno('EINVAL', 'Network address not specified');
  return defined<NeighRequest>({
    family,
    index: view.getInt32(4, true),
    destination,
    address: map.bytes(NDA.LLADDR),
    state: view.getUint16(8, true),
    flags: view.getUint8(10),
    type: view.getUint8(11),
  });
}
