/** Links as rtnetlink(7) sends them: records to RTM_NEWLINK, requests from any RTM_*LINK. */
import type { Attribute } from '../wire.ts';
import { viewOf } from '../wire.ts';
import { AttributeList, AttributeMap, defined, headerOf, textOf, words } from './attributes.ts';
import { ALTIFNAMSIZ, FAMILY, IFLA_, IFLA_INET6, IFNAMSIZ } from './constants.ts';
import type { LinkRecord, LinkRequest, LinkStats } from './records.ts';

const INFO = { KIND: 1, DATA: 2 } as const;
/** struct ifinfomsg. */
const HEADER = 16;
/** Counters in struct rtnl_link_stats and rtnl_link_stats64. */
const COUNTERS = { OLD: 24, NEW: 25 } as const;
/** IF_READY: the interface takes part in IPv6. */
const IF_READY = 0x80000000;

const counters = (s: LinkStats): number[] => [
  s.rxPackets ?? 0,
  s.txPackets ?? 0,
  s.rxBytes ?? 0,
  s.txBytes ?? 0,
  s.rxErrors ?? 0,
  s.txErrors ?? 0,
  s.rxDropped ?? 0,
  s.txDropped ?? 0,
  s.multicast ?? 0,
  s.collisions ?? 0,
];

function stats64(stats: LinkStats): Uint8Array {
  const bytes = new Uint8Array(8 * COUNTERS.NEW);
  counters(stats).forEach((value, i) => viewOf(bytes).setBigUint64(8 * i, BigInt(value), true));
  return bytes;
}

function stats32(stats: LinkStats): Uint8Array {
  const bytes = new Uint8Array(4 * COUNTERS.OLD);
  // The old counters wrap at 32 bits.
  counters(stats).forEach((value, i) => viewOf(bytes).setUint32(4 * i, value % 2 ** 32, true));
  return bytes;
}

function linkInfo({ kind, kindData }: LinkRecord): Attribute[] {
  return new AttributeList().text(INFO.KIND, kind).nested(INFO.DATA, kindData).items;
}

/** IFLA_AF_SPEC, whose attributes are address families. */
function families({ addressMode }: LinkRecord): Attribute[] | undefined {
  if (addressMode === undefined) return undefined;
  const inet6 = new AttributeList();
  inet6.word(IFLA_INET6.FLAGS, IF_READY).byte(IFLA_INET6.ADDR_GEN_MODE, addressMode);
  return new AttributeList().nested(FAMILY.INET6, inet6.items).items;
}

/** The payload of RTM_NEWLINK; `stats` says whether the counters are part of it. */
export function encodeLink(link: LinkRecord, stats = true): Uint8Array {
  const header = new Uint8Array(HEADER);
  const view = viewOf(header);
  view.setUint16(2, link.hardware, true);
  view.setInt32(4, link.index, true);
  view.setUint32(8, link.flags, true);
  const names = new AttributeList();
  for (const name of link.alternativeNames) names.text(IFLA_.ALT_IFNAME, name);
  const list = new AttributeList()
    .text(IFLA_.IFNAME, link.name)
    .word(IFLA_.TXQLEN, link.queueLength)
    .byte(IFLA_.OPERSTATE, link.operState)
    .byte(IFLA_.LINKMODE, 0)
    .word(IFLA_.MTU, link.mtu)
    .word(IFLA_.MIN_MTU, link.minMtu)
    .word(IFLA_.MAX_MTU, link.maxMtu)
    .word(IFLA_.GROUP, link.group)
    .word(IFLA_.PROMISCUITY, 0)
    .word(IFLA_.ALLMULTI, 0)
    .word(IFLA_.NUM_TX_QUEUES, 1)
    .word(IFLA_.NUM_RX_QUEUES, 1)
    .word(IFLA_.LINK, link.parent)
    .word(IFLA_.MASTER, link.master)
    .byte(IFLA_.CARRIER, link.carrier ? 1 : 0)
    .text(IFLA_.QDISC, link.qdisc)
    .word(IFLA_.CARRIER_CHANGES, 0)
    .byte(IFLA_.PROTO_DOWN, 0)
    .bytes(IFLA_.MAP, new Uint8Array(32))
    .bytes(IFLA_.ADDRESS, link.address)
    .bytes(IFLA_.BROADCAST, link.broadcast)
    .bytes(IFLA_.STATS64, stats ? stats64(link.stats) : undefined)
    .bytes(IFLA_.STATS, stats ? stats32(link.stats) : undefined)
    .nested(IFLA_.LINKINFO, linkInfo(link))
    .nested(IFLA_.AF_SPEC, families(link))
    .nested(IFLA_.PROP_LIST, names.items);
  return list.serialize(header);
}

/** RTM_DELLINK, and RTM_NEWLINK that tells just which link: header and name. */
export function encodeLinkName(link: LinkRecord): Uint8Array {
  const header = words(0, link.index, link.flags, 0);
  viewOf(header).setUint16(2, link.hardware, true);
  return new AttributeList().text(IFLA_.IFNAME, link.name).serialize(header);
}

/** What a message about links says besides the request itself. */
export interface LinkQuery {
  family: number;
  /** RTEXT_FILTER_*. */
  extended: number;
  request: LinkRequest;
}

/** Reads a request about links; WireError when it is damaged. */
export function decodeLink(payload: Uint8Array): LinkQuery {
  const view = headerOf(payload, HEADER);
  const map = new AttributeMap(payload, HEADER);
  const info = map.nested(IFLA_.LINKINFO);
  const inet6 = map.nested(IFLA_.AF_SPEC)?.nested(FAMILY.INET6);
  return {
    family: view.getUint8(0),
    extended: map.word(IFLA_.EXT_MASK) ?? 0,
    request: defined<LinkRequest>({
      hardware: view.getUint16(2, true),
      index: view.getInt32(4, true),
      flags: view.getUint32(8, true),
      change: view.getUint32(12, true),
      name: map.text(IFLA_.IFNAME, IFNAMSIZ),
      alternativeName: map.text(IFLA_.ALT_IFNAME, ALTIFNAMSIZ),
      mtu: map.word(IFLA_.MTU),
      queueLength: map.word(IFLA_.TXQLEN),
      group: map.word(IFLA_.GROUP),
      address: map.bytes(IFLA_.ADDRESS),
      broadcast: map.bytes(IFLA_.BROADCAST),
      master: map.word(IFLA_.MASTER),
      kind: info?.text(INFO.KIND, IFNAMSIZ * 4),
      kindData: info?.nested(INFO.DATA)?.items.map(({ type, data }) => ({ type, data: data.slice() })),
      addressMode: inet6?.byte(IFLA_INET6.ADDR_GEN_MODE),
    }),
  };
}

/** The alternative names in RTM_NEWLINKPROP and RTM_DELLINKPROP. */
export function decodeNames(payload: Uint8Array): string[] {
  const names = new AttributeMap(payload, HEADER).nested(IFLA_.PROP_LIST)?.items ?? [];
  return names.filter(({ type }) => type === IFLA_.ALT_IFNAME).map(({ data }) => textOf(data, ALTIFNAMSIZ));
}
