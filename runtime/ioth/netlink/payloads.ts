/** What a client says about links, addresses and routes, as payloads of rtnetlink(7). */
import type { IpAddress } from './address.ts';
import { type Link, ROUTE, serializeAddress, serializeRoute } from './route.ts';
import { type Attribute, viewOf } from './wire.ts';

/** The default route, or a destination with its prefix length. */
export interface RouteTo {
  destination?: IpAddress;
  prefixLength?: number;
  gateway?: IpAddress;
  /** Index of the interface; 0 or absent: the stack finds it by the gateway. */
  index?: number;
  family: number;
}

/** How an address is added. */
export interface AddressOptions {
  /** How long it may be used and be preferred, in seconds; Infinity and absent mean for ever. */
  valid?: number;
  preferred?: number;
  /** Changes the address if it is there. */
  replace?: boolean;
  /** Whether the stack first finds out if somebody else has the address (IPv6). */
  detect?: boolean;
}

/** struct ifa_cacheinfo (linux/if_addr.h). */
export function lifetimes({ valid = Infinity, preferred = valid }: AddressOptions): Uint8Array {
  const bytes = new Uint8Array(16);
  const seconds = (value: number): number => (value === Infinity ? 0xffffffff : Math.floor(value));
  viewOf(bytes).setUint32(0, seconds(preferred), true);
  viewOf(bytes).setUint32(4, seconds(valid), true);
  return bytes;
}

/** A request that says nothing of a link but which one it is. */
export const emptyLink = (index: number): Link => ({ index, hardware: 0, flags: 0, change: 0, more: [] });

/** An address of a link, of scope universe. */
export function addressPayload(
  index: number,
  { family, bytes }: IpAddress,
  prefixLength: number,
  flags: number,
  more: Attribute[],
): Uint8Array {
  return serializeAddress({
    family,
    prefixLength,
    flags,
    scope: 0,
    index,
    local: bytes,
    address: bytes,
    more,
  });
}

/** A unicast route of table main (IOTH-FACTS §10.1). */
export function routePayload({ family, destination, prefixLength = 0, gateway, index }: RouteTo): Uint8Array {
  return serializeRoute({
    family,
    prefixLength,
    table: ROUTE.TABLE_MAIN,
    protocol: ROUTE.PROTO_BOOT,
    scope: 0,
    type: ROUTE.UNICAST,
    flags: 0,
    ...(prefixLength > 0 && destination ? { destination: destination.bytes } : {}),
    ...(gateway ? { gateway: gateway.bytes } : {}),
    ...(index ? { outIndex: index } : {}),
    more: [],
  });
}
