/**
 * node:net on stacks in user space. Their sockets are AF_UNIX sockets for libuv, so net.Socket and net.Server get a Pipe
 * handle of Node; what a TCP handle can do besides (addresses, connecting, options) is added to it here.
 */
import net from 'node:net';
import { Errno } from '../../errno.ts';
import { native } from '../../native.ts';
import { inetAddress, parseSocketAddress, serializeSocketAddress, ADDRESS_ROOM } from '../socket/address.ts';
import { type SocketCalls, callsOf } from '../socket/calls.ts';
import { IPPROTO, SO, SOL, SYS, TCP } from '../socket/constants.ts';
import { Socket } from '../socket/socket.ts';
import { AF, SOCK } from '../stack.ts';
import { closeFd } from './open.ts';

const F_DUPFD_CLOEXEC = 1030;

/** What getsockname and getpeername of a handle fill in. */
export interface HandleAddress {
  address?: string;
  family?: string;
  port?: number;
}

/** A request to connect; the handle tells its end. */
interface ConnectRequest {
  oncomplete(
    status: number,
    handle: StreamHandle,
    request: unknown,
    readable: boolean,
    writable: boolean,
  ): void;
}

type Bind = (address: string, port: number) => number;
type Connect = (request: ConnectRequest, address: string, port: number) => number;

/** The handle of libuv below a net.Socket or net.Server, with the methods of a TCP handle. Results: 0 or a negated errno. */
export interface StreamHandle {
  readonly fd: number;
  open(fd: number): number;
  onconnection?: (status: number, client?: StreamHandle) => unknown;
  bind?: Bind;
  bind6?: Bind;
  connect?: Connect;
  connect6?: Connect;
  getsockname?: (out: HandleAddress) => number;
  getpeername?: (out: HandleAddress) => number;
  setNoDelay?: (on: boolean) => number;
  setKeepAlive?: (on: boolean, seconds: number) => number;
}

const int = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);

/** getsockname or getpeername of a handle. */
export function addressOf(calls: SocketCalls, peer: boolean): (out: HandleAddress) => number {
  return (out) => {
    const name = new Uint8Array(ADDRESS_ROOM);
    const length = calls.name(peer, name);
    if (length < 0) return length;
    const found = parseSocketAddress(name.subarray(0, length));
    if (found === undefined || !('port' in found)) return -new Errno('ENOTCONN').errno;
    const { family, address, port } = found;
    Object.assign(out, { address, family: family === AF.INET ? 'IPv4' : 'IPv6', port });
    return 0;
  };
}

/** Adds to an open handle what it needs to look like one of TCP. */
function equip(handle: StreamHandle): void {
  const calls = callsOf(handle.fd);
  Object.assign(handle, {
    getsockname: addressOf(calls, false),
    getpeername: addressOf(calls, true),
    setNoDelay: (on: boolean) => calls.setOption(IPPROTO.TCP, TCP.NODELAY, int(Number(on))),
    setKeepAlive(on: boolean, seconds: number) {
      const result = calls.setOption(SOL.SOCKET, SO.KEEPALIVE, int(Number(on)));
      return !on || result < 0 || !(seconds >= 1)
        ? result
        : calls.setOption(IPPROTO.TCP, TCP.KEEPIDLE, int(seconds));
    },
  });
}

/** The handle of an object of node:net, which has no public name. */
const handleOf = (object: net.Socket | net.Server): StreamHandle | null =>
  (object as unknown as { _handle: StreamHandle | null })._handle;

let pipe: (new (type: number) => StreamHandle) | undefined;

/** A Pipe of Node that is not open. Its class is that of the handle of any socket with an AF_UNIX descriptor. */
function newPipe(): StreamHandle {
  if (pipe === undefined) {
    const fd = native().syscall(SYS.SOCKET, AF.UNIX, SOCK.STREAM | SOCK.CLOEXEC, 0);
    const example = new net.Socket({ fd, manualStart: true } as net.SocketConstructorOpts);
    pipe = handleOf(example)!.constructor as NonNullable<typeof pipe>;
    example.destroy();
  }
  return new pipe(0);
}

/** Connects the descriptor of `handle` with a copy of it, because libuv watches the handle's own. */
function connectCopy(handle: StreamHandle, request: ConnectRequest, address: string, port: number): number {
  const to = inetAddress(address, port);
  const copy = native().syscall(SYS.FCNTL, handle.fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return copy;
  const socket = new Socket(copy, to.family, SOCK.STREAM, 0);
  const done = (status: number): void => {
    socket.close();
    request.oncomplete(status, handle, request, true, true);
  };
  socket.connect(to).then(
    () => done(0),
    (error: unknown) => done(error instanceof Errno ? -error.errno : -new Errno('EIO').errno),
  );
  return 0;
}

/** A net.Socket that is going to connect; {@link openEmulated} gives it its descriptor. */
export function newEmulatedSocket(options: net.SocketConstructorOpts): net.Socket {
  const handle = newPipe();
  const bind: Bind = (address, port) =>
    callsOf(handle.fd).bind(serializeSocketAddress(inetAddress(address, port)));
  const connect: Connect = (request, address, port) => connectCopy(handle, request, address, port);
  Object.assign(handle, { bind, bind6: bind, connect, connect6: connect });
  const socket = new net.Socket({ ...options, handle, manualStart: true } as net.SocketConstructorOpts);
  return socket;
}

/** Opens `handle` on `fd`, which it owns from then on. */
export function openEmulated(handle: StreamHandle, fd: number): number {
  const result = handle.open(fd);
  if (result === 0) equip(handle);
  else closeFd(fd);
  return result;
}

/** Gives `object`, which is open, the addresses and options of the socket of the stack. */
export function equipSocket(object: net.Socket): void {
  const handle = handleOf(object);
  if (handle) equip(handle);
}

/** As {@link equipSocket}, for the server and its connections. */
export function equipServer(server: net.Server): void {
  const handle = handleOf(server);
  if (handle === null) return; // listen() has failed, and told it
  equip(handle);
  const accepted = handle.onconnection!;
  handle.onconnection = function (this: StreamHandle, status, client) {
    if (client) equip(client);
    return accepted.call(this, status, client);
  };
}
