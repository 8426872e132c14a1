/** Addresses of sockets, and the struct sockaddr_* of Linux that they stand for (ip(7), ipv6(7), netlink(7), packet(7)). */
import { Errno } from '../../errno.ts';
import { formatIp, parseIp } from '../netlink/address.ts';
import { viewOf } from '../netlink/wire.ts';
import { AF } from '../stack.ts';

/** AF_INET or AF_INET6. */
export interface InetAddress {
  family: typeof AF.INET | typeof AF.INET6;
  /** Numeric; names are the resolver's business. */
  address: string;
  port: number;
  /** Index of the interface of a link-local IPv6 address. */
  scopeId?: number;
  flowInfo?: number;
}

export interface NetlinkAddress {
  family: typeof AF.NETLINK;
  /** Port id; 0 in bind(2) lets the stack choose. */
  pid: number;
  /** Mask of multicast groups. */
  groups: number;
}

export interface PacketAddress {
  family: typeof AF.PACKET;
  /** Ethernet type, in host order (0x0800 is IPv4, 3 is ETH_P_ALL). */
  protocol: number;
  index: number;
  /** ARPHRD_*, as received. */
  hardware?: number;
  /** PACKET_HOST, PACKET_BROADCAST, …, as received. */
  packetType?: number;
  /** Hardware address. */
  address?: Uint8Array;
}

export type SocketAddress = InetAddress | NetlinkAddress | PacketAddress;

/** Room for any address (struct sockaddr_storage). */
export const ADDRESS_ROOM = 128;

const SIZE: Record<number, number> = { [AF.INET]: 8, [AF.INET6]: 24, [AF.NETLINK]: 12, [AF.PACKET]: 12 };

/** The address of `text` and `port`: EINVAL when the text is no IP address. A zone must be a number (`fe80::1%2`). */
export function inetAddress(text: string, port: number): InetAddress {
  const [bare = '', zone] = text.split('%');
  const parsed = parseIp(bare);
  if (parsed === undefined || (zone !== undefined && !/^[0-9]{1,9}$/.test(zone))) {
    throw new Errno('EINVAL', `«${text}» is not an IP address`);
  }
  return {
    family: parsed.family,
    address: bare,
    port,
    ...(zone === undefined ? {} : { scopeId: Number(zone) }),
  };
}

function parseInet(bytes: Uint8Array, view: DataView, family: number): InetAddress {
  const port = view.getUint16(2);
  if (family === AF.INET) {
    return { family: AF.INET, address: formatIp({ family: AF.INET, bytes: bytes.subarray(4, 8) }), port };
  }
  const address = formatIp({ family: AF.INET6, bytes: bytes.subarray(8, 24) });
  const flowInfo = view.getUint32(4);
  const scopeId = bytes.length >= 28 ? view.getUint32(24, true) : 0;
  return {
    family: AF.INET6, address, port, ...(flowInfo ? { flowInfo } : {}), ...(scopeId ? { scopeId } : {}),
  }; // prettier-ignore
}

/** Reads an address as the kernel returned it; undefined when there is none. EAFNOSUPPORT for other families. */
export function parseSocketAddress(bytes: Uint8Array): SocketAddress | undefined {
  if (bytes.length < 2) return undefined;
  const view = viewOf(bytes);
  const family = view.getUint16(0, true);
  const least = SIZE[family];
  if (least === undefined) throw new Errno('EAFNOSUPPORT', `an address of family ${family}`);
  if (bytes.length < least) throw new Errno('EINVAL', 'the address is cut short');
  if (family === AF.NETLINK) {
    return { family, pid: view.getUint32(4, true), groups: view.getUint32(8, true) };
  }
  if (family === AF.PACKET) {
    const length = Math.min(view.getUint8(11), bytes.length - 12);
    return {
      family,
      protocol: view.getUint16(2),
      index: view.getInt32(4, true),
      hardware: view.getUint16(8, true),
      packetType: view.getUint8(10),
      address: bytes.slice(12, 12 + length),
    };
  }
  return parseInet(bytes, view, family);
}

function inetBytes(address: InetAddress): Uint8Array {
  const ip = parseIp(address.address);
  const { port } = address;
  if (ip?.family !== address.family) {
    throw new Errno('EINVAL', `«${address.address}» is not an address of family ${address.family}`);
  }
  if (!Number.isInteger(port) || port < 0 || port > 0xffff)
    throw new Errno('EINVAL', `${port} is not a port`);
  const bytes = new Uint8Array(ip.family === AF.INET ? 16 : 28);
  const view = viewOf(bytes);
  view.setUint16(0, ip.family, true);
  view.setUint16(2, port);
  bytes.set(ip.bytes, ip.family === AF.INET ? 4 : 8);
  if (ip.family === AF.INET6) {
    view.setUint32(4, address.flowInfo ?? 0);
    view.setUint32(24, address.scopeId ?? 0, true);
  }
  return bytes;
}

/** The inverse of {@link parseSocketAddress}. EINVAL for what no address can be. */
export function serializeSocketAddress(address: SocketAddress): Uint8Array {
  if ('port' in address) return inetBytes(address);
  const bytes = new Uint8Array('pid' in address ? 12 : 20);
  const view = viewOf(bytes);
  view.setUint16(0, address.family, true);
  if ('pid' in address) {
    view.setUint32(4, address.pid, true);
    view.setUint32(8, address.groups, true);
    return bytes;
  }
  const hardware = address.address ?? new Uint8Array(0);
  if (hardware.length > 8) throw new Errno('EINVAL', 'a hardware address has at most 8 bytes');
  view.setUint16(2, address.protocol);
  view.setInt32(4, address.index, true);
  view.setUint16(8, address.hardware ?? 0, true);
  view.setUint8(10, address.packetType ?? 0);
  view.setUint8(11, hardware.length);
  bytes.set(hardware, 12);
  return bytes;
}
