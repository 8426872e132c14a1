/** Sockets of stacks. */
export {
  type InetAddress,
  type NetlinkAddress,
  type PacketAddress,
  type SocketAddress,
  inetAddress,
} from './address.ts';
export { BasicSocket } from './basic.ts';
export { F, IP, IPPROTO, IPV6, MSG, SHUT, SO, SOL, TCP } from './constants.ts';
export type { ControlMessage } from './control.ts';
export type { CallOptions } from './queue.ts';
export { Socket } from './socket.ts';
export {
  type IncomingMessage,
  type OutgoingMessage,
  type ReceiveOptions,
  type SendOptions,
  type SocketOwner,
  truncated,
} from './types.ts';
