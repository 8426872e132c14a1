/** Calls on netlink sockets of stacks that are not the kernel's: their peers in the supervisor answer (netlink(7)). */
import { type NetlinkSocket, peerOf } from '../../ioth/lwip/netlink.ts';
import type { Call } from '../../vm/call.ts';
import { ownerOf } from '../owner.ts';
import { readAddress } from './address.ts';
import type { SocketHandler } from './socket.ts';

/** `netlink` for netlink sockets, `others` for all others. */
export const byPeer =
  (netlink: (call: Call, peer: NetlinkSocket) => number, others: SocketHandler): SocketHandler =>
  (call, socket) => {
    const peer = peerOf(socket);
    return peer ? netlink(call, peer) : others(call, socket);
  };

export function bindPeer(call: Call, peer: NetlinkSocket): number {
  peer.bind(readAddress(call, call.arg(1), call.int(2)));
  return 0;
}

export function connectPeer(call: Call, peer: NetlinkSocket): number {
  peer.connect(readAddress(call, call.arg(1), call.int(2)));
  return 0;
}

/** Sends a message; the number of its bytes. */
export function sendToPeer(
  call: Call,
  peer: NetlinkSocket,
  bytes: Uint8Array,
  address: Uint8Array | undefined,
): number {
  peer.send(bytes, ownerOf(call), address);
  return bytes.length;
}
