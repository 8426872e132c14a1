/** The raw ICMPv6 socket of router discovery (RFC 4861 §6.1.2). */
import { parseIp } from '../../netlink/index.ts';
import type { InetAddress } from '../../socket/address.ts';
import { IPPROTO, IPV6, SO, SOL } from '../../socket/constants.ts';
import { Socket } from '../../socket/socket.ts';
import type { IncomingMessage } from '../../socket/types.ts';
import { AF, SOCK } from '../../stack.ts';
import { isLinkLocal } from '../address6.ts';
import type { Interface } from '../source.ts';
import { ROUTER_ADVERTISEMENT } from './wire.ts';

const ICMP6_FILTER = 1;
/** Nobody outside of the link can send a packet that still has it. */
const HOPS = 255;

/** The sender of a message that may be an advertisement of a router of this link (RFC 4861 §6.1.2). */
export function advertiser({ data, address, control }: IncomingMessage): string | undefined {
  const hops = control.find(({ level, type }) => level === IPPROTO.IPV6 && type === IPV6.HOPLIMIT)?.data;
  const from = address as InetAddress | undefined;
  const ip = from && parseIp(from.address);
  if (data[0] !== ROUTER_ADVERTISEMENT || hops?.[0] !== HOPS || ip === undefined) return undefined;
  return isLinkLocal(ip.bytes) ? from?.address : undefined;
}

/** A socket that hears the advertisements of the link. */
export function openRouterSocket({ stack, index }: Interface): Socket {
  const fd = stack.socket(AF.INET6, SOCK.RAW | SOCK.NONBLOCK | SOCK.CLOEXEC, IPPROTO.ICMPV6);
  const socket = new Socket(fd, AF.INET6, SOCK.RAW, IPPROTO.ICMPV6);
  try {
    const filter = new Uint8Array(32).fill(0xff);
    filter[ROUTER_ADVERTISEMENT >> 3]! &= ~(1 << (ROUTER_ADVERTISEMENT & 7));
    socket.setsockopt(IPPROTO.ICMPV6, ICMP6_FILTER, filter);
    socket.setsockopt(IPPROTO.IPV6, IPV6.RECVHOPLIMIT, 1);
    socket.setsockopt(IPPROTO.IPV6, IPV6.MULTICAST_HOPS, HOPS);
    socket.setsockopt(SOL.SOCKET, SO.BINDTOIFINDEX, index);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}
