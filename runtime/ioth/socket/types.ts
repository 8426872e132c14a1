/** What the calls of a Socket take and give. */
import type { SocketAddress } from './address.ts';
import type { BasicSocket } from './basic.ts';
import type { ControlMessage } from './control.ts';
import type { CallOptions } from './queue.ts';
import type { Socket } from './socket.ts';

export interface SendOptions extends CallOptions {
  /** Of {@link MSG}. */
  flags?: number;
}
export interface ReceiveOptions extends CallOptions {
  flags?: number;
}

/** What {@link Socket.sendmsg} sends. */
export interface OutgoingMessage {
  data: Uint8Array | readonly Uint8Array[];
  address?: SocketAddress;
  control?: readonly ControlMessage[];
}

/** What {@link Socket.recvmsg} received. */
export interface IncomingMessage {
  data: Buffer;
  /** Absent on a connected stream. */
  address?: SocketAddress;
  control: ControlMessage[];
  /** Of {@link MSG}: TRUNC where the datagram was longer than the room for it. */
  flags: number;
}

/** Makes one socket tell where it is when it is closed. */
export interface SocketOwner {
  /** Called once, before the descriptor is closed or handed on. */
  onClose?: (socket: BasicSocket) => void;
  /** Called for each socket that {@link Socket.accept} makes. */
  onAccept?: (socket: Socket) => void;
}

const MSG_TRUNC = 0x20;
/** True where a received message was longer than the room for it. */
export const truncated = ({ flags }: IncomingMessage): boolean => (flags & MSG_TRUNC) !== 0;
