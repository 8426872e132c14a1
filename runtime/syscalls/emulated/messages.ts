/** sendto, recvfrom, sendmsg, recvmsg, sendmmsg and recvmmsg on sockets that are not the kernel's. */
import { Errno, check } from '../../errno.ts';
import type { Call } from '../../vm/call.ts';
import { PASS, type Answer, type Outcome } from '../outcome.ts';
import { readAddress, writeAddress } from './address.ts';
import { EAGAIN, receiveTimeout } from './connection.ts';
import { readable } from './events.ts';
import {
  gather,
  MSGHDR_SIZE,
  readControl,
  readMessageHeader,
  scatter,
  sizeOf,
  writeControl,
  writeMessageHeader,
  type MessageHeader,
} from './message.ts';
import { receiveError } from './error-queue.ts';
import { type Control, controlsOf, metaFor } from '../../ioth/lwip/meta.ts';
import { peerOf } from '../../ioth/lwip/netlink.ts';
import { type Received, sendNow, senderOf, takeNow } from '../../ioth/lwip/transfer.ts';
import { sendToPeer } from './netlink.ts';
import {
  emulated,
  isNetlink,
  isStream,
  nonBlocking,
  type EmulatedSocket,
  type SocketHandler,
} from './socket.ts';

const MSG_OOB = 1;
const MSG_CTRUNC = 8;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_ERRQUEUE = 0x2000;
const MSG_WAITFORONE = 0x10000;
const MMSGHDR_SIZE = 64;
/** Of IP, which counts with 16 bits. */
const LARGEST_DATAGRAM = 0xffff;
const MOST_MESSAGES = 1024;
/** Until a network that is full is tried again, in ms. */
const RETRY = 1;

// -- Sending ----------------------------------------------------------------------------------------------

/** Sends one message; a promise only where the caller waits for room. */
function send(
  call: Call,
  socket: EmulatedSocket,
  bytes: Buffer,
  name: Buffer | undefined,
  controls: readonly Control[],
  flags: number,
): number | Promise<number> {
  if ((flags & MSG_OOB) !== 0) throw new Errno('EOPNOTSUPP');
  const netlink = peerOf(socket);
  if (netlink) return sendToPeer(call, netlink, bytes, name);
  const meta = metaFor(name, controls);
  const once = (): number => sendNow(socket, bytes, meta, flags);
  const now = once();
  if (now !== EAGAIN) return check(now);
  if ((flags & MSG_DONTWAIT) !== 0 || nonBlocking(socket)) throw new Errno('EAGAIN');
  return sendLater(once, call.signal);
}

async function sendLater(once: () => number, signal: AbortSignal): Promise<number> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, RETRY));
    signal.throwIfAborted();
    const result = once();
    if (result !== EAGAIN) return check(result);
  }
}

const sendto: SocketHandler = (call, socket) => {
  const size = call.arg(2);
  if (size < 0) throw new Errno('EFAULT');
  if (size > LARGEST_DATAGRAM && !isStream(socket) && !isNetlink(socket)) throw new Errno('EMSGSIZE');
  const name = readAddress(call, call.arg(4), call.int(5));
  const bytes = call.read(call.arg(1), Math.min(size, 1 << 17));
  return send(call, socket, bytes, name, [], call.int(3));
};

function sendMessage(
  call: Call,
  socket: EmulatedSocket,
  header: MessageHeader,
  flags: number,
): number | Promise<number> {
  const name =
    header.name !== 0 && header.nameLength > 0
      ? readAddress(call, header.name, header.nameLength)
      : undefined;
  const bytes = gather(call, header);
  return send(call, socket, bytes, name, readControl(call, header), flags);
}

const sendmsg: SocketHandler = (call, socket) => {
  const header = readMessageHeader(call, call.arg(1));
  // Nothing in it names an address: the guest's own object does it.
  if (isStream(socket) && header.name === 0 && header.controlLength === 0) return PASS;
  return sendMessage(call, socket, header, call.int(2));
};

const sendmmsg: SocketHandler = async (call, socket) => {
  const count = Math.min(call.int(2) >>> 0, MOST_MESSAGES);
  let done = 0;
  try {
    for (; done < count; done++) {
      const at = call.arg(1) + done * MMSGHDR_SIZE;
      const sent = await sendMessage(call, socket, readMessageHeader(call, at), call.int(3));
      writeLength(call, at, sent);
    }
  } catch (error) {
    if (done === 0) throw error;
  }
  return done;
};

function writeLength(call: Call, at: number, length: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(length);
  call.write(at + MSGHDR_SIZE, bytes);
}

// -- Receiving --------------------------------------------------------------------------------------------

/** Receives a message and hands it to `use`; a promise only where the caller waits. */
function receive(
  call: Call,
  socket: EmulatedSocket,
  room: number,
  flags: number,
  use: (received: Received) => number,
): Answer {
  if ((flags & MSG_ERRQUEUE) !== 0) throw new Errno('EAGAIN');
  if ((flags & MSG_OOB) !== 0 && isStream(socket)) throw new Errno('EINVAL');
  peerOf(socket)?.beforeReceive(room);
  const now = takeNow(socket, room, flags);
  if (now) return use(now);
  if ((flags & MSG_DONTWAIT) !== 0 || nonBlocking(socket)) throw new Errno('EAGAIN');
  return receiveLater(call, socket, room, flags, use);
}

async function receiveLater(
  call: Call,
  socket: EmulatedSocket,
  room: number,
  flags: number,
  use: (received: Received) => number,
): Promise<Outcome> {
  const timeout = receiveTimeout(socket);
  for (;;) {
    if (!(await readable(socket.fd, call.signal, timeout))) throw new Errno('EAGAIN');
    const received = takeNow(socket, room, flags);
    if (received) return use(received);
  }
}

const resultOf = ({ bytes, length }: Received, flags: number): number =>
  (flags & MSG_TRUNC) !== 0 ? length : bytes.length;

const recvfrom: SocketHandler = (call, socket) => {
  const [buffer, size, flags] = [call.arg(1), call.arg(2), call.int(3)];
  if (size < 0) throw new Errno('EFAULT');
  return receive(call, socket, size, flags, (received) => {
    if (received.bytes.length > 0) call.write(buffer, received.bytes);
    writeAddress(call, call.arg(4), call.arg(5), senderOf(socket, received));
    return resultOf(received, flags);
  });
};

function receiveMessage(call: Call, socket: EmulatedSocket, header: MessageHeader, flags: number): Answer {
  return receive(call, socket, sizeOf(header), flags, (received) => {
    scatter(call, header, received.bytes);
    const sender = header.name === 0 ? new Uint8Array(0) : senderOf(socket, received);
    if (sender.length > 0 && header.nameLength > 0)
      call.write(header.name, sender.subarray(0, header.nameLength));
    const wanted = header.controlLength > 0 && !isStream(socket);
    const control = wanted
      ? writeControl(call, header, controlsOf(socket, received.meta, received.length))
      : { cut: false, used: 0 };
    const cut = received.length > received.bytes.length && !isStream(socket);
    writeMessageHeader(
      call,
      header,
      sender.length,
      control.used,
      (cut ? MSG_TRUNC : 0) | (control.cut ? MSG_CTRUNC : 0),
    );
    return resultOf(received, flags);
  });
}

const recvmsg: SocketHandler = (call, socket) => {
  const header = readMessageHeader(call, call.arg(1));
  const flags = call.int(2);
  if ((flags & MSG_ERRQUEUE) !== 0) return receiveError(call, socket, header);
  if (isStream(socket) && header.name === 0 && (flags & MSG_OOB) === 0) return PASS;
  return receiveMessage(call, socket, header, flags);
};

const recvmmsg: SocketHandler = async (call, socket) => {
  const count = Math.min(call.int(2) >>> 0, MOST_MESSAGES);
  const flags = call.int(3);
  let done = 0;
  try {
    for (; done < count; done++) {
      const at = call.arg(1) + done * MMSGHDR_SIZE;
      const more = done > 0 && (flags & MSG_WAITFORONE) !== 0 ? MSG_DONTWAIT : 0;
      const got = await receiveMessage(
        call,
        socket,
        readMessageHeader(call, at),
        (flags & ~MSG_WAITFORONE) | more,
      );
      writeLength(call, at, got as number);
    }
  } catch (error) {
    if (done === 0) throw error;
  }
  return done;
};

export const messageHandlers = {
  sendto: emulated(sendto),
  recvfrom: emulated(recvfrom),
  sendmsg: emulated(sendmsg),
  recvmsg: emulated(recvmsg),
  sendmmsg: emulated(sendmmsg),
  recvmmsg: emulated(recvmmsg),
} as const;
