/** bind, connect, listen, accept, shutdown and the names of a socket. */
import { Errno, check } from '../../errno.ts';
import { LWIP_EVENT, native } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import { bindHandlers, connectHandlers } from '../connect.ts';
import { inject, type Outcome } from '../outcome.ts';
import { SYS } from '../table.ts';
import { readAddress, writeAddress } from './address.ts';
import { nextEvent, readable } from './events.ts';
import { bindPeer, byPeer, connectPeer } from './netlink.ts';
import { peerOf } from '../../ioth/lwip/netlink.ts';
import { emulated, isStream, lwip, nonBlocking, type EmulatedSocket, type SocketHandler } from './socket.ts';

const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const NAME_BYTES = 128;

const negative = (code: 'EINPROGRESS' | 'EALREADY' | 'EAGAIN'): number => -new Errno(code).errno;
const EINPROGRESS = negative('EINPROGRESS');
const EALREADY = negative('EALREADY');
export const EAGAIN = negative('EAGAIN');

/** SO_RCVTIMEO or SO_SNDTIMEO of the guest's socket, in ms; 0 where it waits for ever. */
function timeoutOf({ fd }: EmulatedSocket, option: number): number {
  const value = Buffer.alloc(16);
  const length = Buffer.from([16, 0, 0, 0]);
  if (native().syscall(SYS.getsockopt, fd, SOL_SOCKET, option, value, length) < 0) return 0;
  return Number(value.readBigInt64LE(0)) * 1000 + Math.ceil(Number(value.readBigInt64LE(8)) / 1000);
}
export const receiveTimeout = (socket: EmulatedSocket): number => timeoutOf(socket, SO_RCVTIMEO);

const bind: SocketHandler = (call, socket) =>
  check(lwip().bind(socket.id, socket.fd, readAddress(call, call.arg(1), call.int(2))));

const connect: SocketHandler = (call, socket) => {
  const address = readAddress(call, call.arg(1), call.int(2));
  const wait = !nonBlocking(socket);
  const result = lwip().connect(socket.id, socket.fd, address, wait);
  if (result === EALREADY && wait) return connected(call, socket);
  if (result !== EINPROGRESS) return check(result);
  if (!wait) throw new Errno('EINPROGRESS');
  // On a network of this process the handshake may be over already.
  if (lwip().name(socket.id, true, new Uint8Array(NAME_BYTES)) > 0) return 0;
  return connected(call, socket);
};

/** Waits for the end of an attempt to connect. */
async function connected(call: Call, socket: EmulatedSocket): Promise<Outcome> {
  const timeout = timeoutOf(socket, SO_SNDTIMEO);
  const told = nextEvent(socket.id, call.signal, timeout).catch((error: unknown) => {
    throw error instanceof Errno && error.code === 'ETIMEDOUT' ? new Errno('EINPROGRESS') : error;
  });
  const { event, value } = await told;
  if (event === LWIP_EVENT.failed) throw new Errno(value);
  return 0;
}

const listen: SocketHandler = (call, socket) => check(lwip().listen(socket.id, socket.fd, call.int(1)));

function acceptWith(flags: (call: Call) => number): SocketHandler {
  return (call, socket) => {
    if (!isStream(socket)) throw new Errno('EOPNOTSUPP');
    const wanted = flags(call);
    if ((wanted & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) throw new Errno('EINVAL');
    const now = takeConnection(call, socket, wanted);
    if (now !== undefined) return now;
    if (nonBlocking(socket)) throw new Errno('EAGAIN');
    return waitForConnection(call, socket, wanted);
  };
}

/** The next connection, or undefined where none waits. */
function takeConnection(call: Call, socket: EmulatedSocket, flags: number): Outcome | undefined {
  const name = new Uint8Array(1 + NAME_BYTES);
  const fd = lwip().accept(socket.fd, flags & SOCK_NONBLOCK, name);
  if (fd === EAGAIN) return undefined;
  check(fd);
  try {
    writeAddress(call, call.arg(1), call.arg(2), name.subarray(1, 1 + name[0]!));
  } catch (error) {
    native().syscall(SYS.close, fd);
    throw error;
  }
  return inject(fd, (flags & SOCK_CLOEXEC) !== 0);
}

async function waitForConnection(call: Call, socket: EmulatedSocket, flags: number): Promise<Outcome> {
  const timeout = receiveTimeout(socket);
  for (;;) {
    if (!(await readable(socket.fd, call.signal, timeout))) throw new Errno('EAGAIN');
    const connection = takeConnection(call, socket, flags);
    if (connection !== undefined) return connection;
  }
}

const nameWith =
  (peer: boolean): SocketHandler =>
  (call, socket) => {
    const netlink = peerOf(socket);
    writeAddress(
      call,
      call.arg(1),
      call.arg(2),
      netlink ? (peer ? netlink.peerName() : netlink.name()) : internetName(socket, peer),
    );
    return 0;
  };

function internetName(socket: EmulatedSocket, peer: boolean): Uint8Array {
  const name = new Uint8Array(NAME_BYTES);
  return name.subarray(0, check(lwip().name(socket.id, peer, name)));
}

const shutdown: SocketHandler = (call, socket) => check(lwip().shutdown(socket.id, socket.fd, call.int(1)));

export const connectionHandlers = {
  bind: emulated(byPeer(bindPeer, bind), bindHandlers.bind),
  connect: emulated(byPeer(connectPeer, connect), connectHandlers.connect),
  listen: emulated(listen),
  accept: emulated(acceptWith(() => 0)),
  accept4: emulated(acceptWith((call) => call.int(3))),
  getsockname: emulated(nameWith(false)),
  getpeername: emulated(nameWith(true)),
  shutdown: emulated(shutdown),
} as const;
