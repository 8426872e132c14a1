/**
 * Links, addresses and routes as rtnetlink(7) puts them into messages: parse and serialize are inverse.
 * Attributes that an object does not name are kept in `more`.
 */
import {
  type Attribute,
  WireError,
  parseAttributes,
  parseText,
  parseWord,
  serializeAttributes,
  serializeText,
  serializeWord,
  viewOf,
} from './wire.ts';
import {
  type Address, type Link, type Neighbor, type Route, IFA, IFLA, IFLA_INFO, NDA, RTA,
} from './route-types.ts'; // prettier-ignore

export * from './route-types.ts';

/** Gives the attributes whose type `known` has a reader for to it; returns the others. */
function take(attributes: Attribute[], known: Record<number, (attribute: Attribute) => void>): Attribute[] {
  return attributes.filter((attribute) => {
    const reader = known[attribute.type];
    reader?.(attribute);
    return reader === undefined;
  });
}

const some = (type: number, data: Uint8Array | undefined): Attribute[] =>
  data === undefined ? [] : [{ type, data }];
const someWord = (type: number, value: number | undefined): Attribute[] =>
  some(type, value === undefined ? undefined : serializeWord(value));
const someText = (type: number, text: string | undefined): Attribute[] =>
  some(type, text === undefined ? undefined : serializeText(text));

function headerOf(payload: Uint8Array, size: number, what: string): DataView {
  if (payload.length < size) throw new WireError(0, `${what} is cut short`);
  return viewOf(payload);
}

/** The payload of RTM_NEWLINK and its like. */
export function parseLink(payload: Uint8Array): Link {
  const view = headerOf(payload, 16, 'a link');
  const link: Link = {
    hardware: view.getUint16(2, true),
    index: view.getInt32(4, true),
    flags: view.getUint32(8, true),
    change: view.getUint32(12, true),
    more: [],
  };
  link.more = take(parseAttributes(payload, 16), {
    [IFLA.IFNAME]: (a) => (link.name = parseText(a)),
    [IFLA.MTU]: (a) => (link.mtu = parseWord(a)),
    [IFLA.ADDRESS]: (a) => (link.address = a.data),
    [IFLA.TXQLEN]: (a) => (link.queueLength = parseWord(a)),
    [IFLA.LINKINFO]: (a) =>
      take(parseAttributes(a.data), {
        [IFLA_INFO.KIND]: (kind) => (link.kind = parseText(kind)),
        [IFLA_INFO.DATA]: (data) => (link.kindData = parseAttributes(data.data)),
      }),
  });
  return link;
}

/** The inverse of {@link parseLink}. */
export function serializeLink(link: Link): Uint8Array {
  const header = new Uint8Array(16);
  const view = viewOf(header);
  view.setUint16(2, link.hardware, true);
  view.setInt32(4, link.index, true);
  view.setUint32(8, link.flags, true);
  view.setUint32(12, link.change, true);
  const info = [
    ...someText(IFLA_INFO.KIND, link.kind),
    ...some(IFLA_INFO.DATA, link.kindData && serializeAttributes(link.kindData)),
  ];
  return serializeAttributes(
    [
      ...someText(IFLA.IFNAME, link.name),
      ...someWord(IFLA.MTU, link.mtu),
      ...some(IFLA.ADDRESS, link.address),
      ...someWord(IFLA.TXQLEN, link.queueLength),
      ...some(IFLA.LINKINFO, info.length > 0 ? serializeAttributes(info) : undefined),
      ...link.more,
    ],
    header,
  );
}

/** The payload of RTM_NEWADDR and its like. */
export function parseAddress(payload: Uint8Array): Address {
  const view = headerOf(payload, 8, 'an address');
  const address: Address = {
    family: view.getUint8(0),
    prefixLength: view.getUint8(1),
    flags: view.getUint8(2),
    scope: view.getUint8(3),
    index: view.getUint32(4, true),
    more: [],
  };
  address.more = take(parseAttributes(payload, 8), {
    [IFA.LOCAL]: (a) => (address.local = a.data),
    [IFA.ADDRESS]: (a) => (address.address = a.data),
    [IFA.LABEL]: (a) => (address.label = parseText(a)),
  });
  return address;
}

/** The inverse of {@link parseAddress}. */
export function serializeAddress(address: Address): Uint8Array {
  const header = Uint8Array.of(
    address.family, address.prefixLength, address.flags, address.scope, 0, 0, 0, 0,
  ); // prettier-ignore
  viewOf(header).setUint32(4, address.index, true);
  return serializeAttributes(
    [
      ...some(IFA.LOCAL, address.local),
      ...some(IFA.ADDRESS, address.address),
      ...someText(IFA.LABEL, address.label),
      ...address.more,
    ],
    header,
  );
}

/** The payload of RTM_NEWROUTE and its like. */
export function parseRoute(payload: Uint8Array): Route {
  const view = headerOf(payload, 12, 'a route');
  const route: Route = {
    family: view.getUint8(0),
    prefixLength: view.getUint8(1),
    table: view.getUint8(4),
    protocol: view.getUint8(5),
    scope: view.getUint8(6),
    type: view.getUint8(7),
    flags: view.getUint32(8, true),
    more: [],
  };
  route.more = take(parseAttributes(payload, 12), {
    [RTA.DST]: (a) => (route.destination = a.data),
    [RTA.GATEWAY]: (a) => (route.gateway = a.data),
    [RTA.OIF]: (a) => (route.outIndex = parseWord(a)),
    [RTA.PRIORITY]: (a) => (route.priority = parseWord(a)),
  });
  return route;
}

/** The inverse of {@link parseRoute}. */
export function serializeRoute(route: Route): Uint8Array {
  const header = Uint8Array.of(
    route.family, route.prefixLength, 0, 0, route.table, route.protocol, route.scope, route.type, 0, 0, 0, 0,
  ); // prettier-ignore
  viewOf(header).setUint32(8, route.flags, true);
  return serializeAttributes(
    [
      ...some(RTA.DST, route.destination),
      ...some(RTA.GATEWAY, route.gateway),
      ...someWord(RTA.OIF, route.outIndex),
      ...someWord(RTA.PRIORITY, route.priority),
      ...route.more,
    ],
    header,
  );
}

/** The payload of RTM_NEWNEIGH and its like. */
export function parseNeighbor(payload: Uint8Array): Neighbor {
  const view = headerOf(payload, 12, 'a neighbour');
  const neighbor: Neighbor = {
    family: view.getUint8(0),
    index: view.getInt32(4, true),
    state: view.getUint16(8, true),
    flags: view.getUint8(10),
    type: view.getUint8(11),
    more: [],
  };
  neighbor.more = take(parseAttributes(payload, 12), {
    [NDA.DST]: (a) => (neighbor.destination = a.data),
    [NDA.LLADDR]: (a) => (neighbor.address = a.data),
  });
  return neighbor;
}

/** The inverse of {@link parseNeighbor}. */
export function serializeNeighbor(neighbor: Neighbor): Uint8Array {
  const header = new Uint8Array(12);
  const view = viewOf(header);
  view.setUint8(0, neighbor.family);
  view.setInt32(4, neighbor.index, true);
  view.setUint16(8, neighbor.state, true);
  view.setUint8(10, neighbor.flags);
  view.setUint8(11, neighbor.type);
  return serializeAttributes(
    [...some(NDA.DST, neighbor.destination), ...some(NDA.LLADDR, neighbor.address), ...neighbor.more],
    header,
  );
}
