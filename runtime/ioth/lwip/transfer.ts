/** Sending and receiving on sockets of stacks in user space, without waiting. */
import { Errno, check } from '../../errno.ts';
import { native } from '../../native.ts';
import { newMeta, senderIn } from './meta.ts';
import { peerOf } from './netlink.ts';
import { pendingError, takeError } from './options.ts';
import { isNetlink, isStream, lwip, type EmulatedSocket } from './socket.ts';

const SYS = { SENDTO: 44, RECVFROM: 45 } as const;
const MSG_OOB = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const EAGAIN = -11;
const ECONNRESET = -104;
const NAME_BYTES = 128;

/**
 * Sends what there is room for: the number of bytes, or a negated errno. `meta` as of metaFor(). Throws the error that
 * an earlier datagram has met.
 */
export function sendNow(
  socket: EmulatedSocket,
  bytes: Uint8Array,
  meta: Buffer | null,
  flags: number,
): number {
  if (!isStream(socket)) {
    const error = isNetlink(socket) ? 0 : pendingError(socket);
    if (error !== 0) throw new Errno(error);
    return lwip().send(socket.id, bytes, meta);
  }
  // An address in a call on a connected stream is ignored (tcp(7)).
  const quiet = (flags & ~MSG_OOB) | MSG_DONTWAIT | MSG_NOSIGNAL;
  return native().syscall(SYS.SENDTO, socket.fd, bytes, bytes.length, quiet, null, 0);
}

export interface Received {
  /** What fits into the room that the caller has; valid until the next call. */
  bytes: Buffer;
  /** Length of the whole message. */
  length: number;
  meta: Buffer;
}

const LARGEST = 1 << 17;
const scratch = Buffer.allocUnsafe(LARGEST);

/** Takes a message if one is there. Throws Errno. */
export function takeNow(
  socket: EmulatedSocket,
  room: number,
  flags: number,
  into: Buffer = scratch.subarray(0, Math.min(room, LARGEST)),
): Received | undefined {
  const meta = newMeta();
  const length = isStream(socket)
    ? native().syscall(SYS.RECVFROM, socket.fd, into, into.length, flags | MSG_DONTWAIT, null, null)
    : lwip().receive(socket.fd, into, flags, meta);
  if (length === EAGAIN) return undefined;
  if (length === ECONNRESET && !isStream(socket)) {
    // An error of the network is this for the AF_UNIX socket, whatever it is (show_error() of datagram.cc).
    const error = takeError(socket);
    if (error !== 0) throw new Errno(error);
    return takeNow(socket, room, flags, into);
  }
  check(length);
  return { bytes: into.subarray(0, Math.min(length, into.length)), length, meta };
}

/** The sender of a message, as a sockaddr. */
export function senderOf(socket: EmulatedSocket, { meta }: Received): Uint8Array {
  if (isStream(socket)) return new Uint8Array(0);
  const sender = senderIn(meta);
  if (sender.length > 0) return sender;
  const netlink = peerOf(socket);
  if (netlink) return netlink.peerName();
  const name = new Uint8Array(NAME_BYTES);
  const length = lwip().name(socket.id, true, name);
  return name.subarray(0, Math.max(0, length));
}
