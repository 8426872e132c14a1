/** What getifaddrs(3) tells, of a stack. */
import { type IpAddress, type NetlinkClient, formatIp, formatMac } from './netlink/index.ts';
import { AF } from './stack.ts';

/** One entry of {@link IothStack.getifaddrs}. */
export interface InterfaceAddress {
  name: string;
  index: number;
  /** AF.PACKET for the link itself, whose address is that of its hardware. */
  family: number;
  /** IFF_* of the link. */
  flags: number;
  address: string;
  prefixLength?: number;
}

/** All links, then their addresses (ioth_getifaddrs(3)). */
export function interfaceAddresses(client: NetlinkClient): InterfaceAddress[] {
  const links = client.links();
  const byIndex = new Map(links.map((link) => [link.index, link]));
  const own = links.map((link) => ({
    name: link.name ?? '',
    index: link.index,
    family: AF.PACKET,
    flags: link.flags,
    address: formatMac(link.address ?? new Uint8Array(6)),
  }));
  const addresses = client.addresses().map((each) => ({
    name: byIndex.get(each.index)?.name ?? '',
    index: each.index,
    family: each.family,
    flags: byIndex.get(each.index)?.flags ?? 0,
    address: formatIp({ family: each.family as IpAddress['family'], bytes: (each.local ?? each.address)! }),
    prefixLength: each.prefixLength,
  }));
  return [...own, ...addresses];
}
