/** Route netlink: codec and client. */
export { type AddressOptions, NetlinkClient, type RouteTo } from './client.ts';
export type { Channel } from './channel.ts';
export { type IpAddress, formatIp, formatMac, parseIp, parseMac } from './address.ts';
export { type Address, type Link, type Neighbor, type Route } from './route.ts';
export { type Attribute, WireError } from './wire.ts';
