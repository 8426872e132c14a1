/** node:net on a stack: real net.Socket and net.Server objects, whose descriptors are the stack's. */
import net from 'node:net';
import { check } from '../../errno.ts';
import { AF, SOCK } from '../stack.ts';
import { inetAddress } from '../socket/address.ts';
import { callsOf } from '../socket/calls.ts';
import type { NodeContext } from './context.ts';
import { openBound, openFd, reachable } from './open.ts';
import { type StreamHandle, equipServer, newEmulatedSocket, openEmulated } from './stream-handle.ts';

/** As of net.connect, without paths. */
export type ConnectOptions = net.TcpNetConnectOpts & Omit<net.SocketConstructorOpts, 'fd'>;

function connectArguments(args: unknown[]): { options: ConnectOptions; listener?: () => void } {
  const last = args.at(-1);
  const listener = typeof last === 'function' ? (last as () => void) : undefined;
  const [first, host] = args;
  const options =
    typeof first === 'object' && first !== null
      ? (first as ConnectOptions)
      : { port: Number(first), ...(typeof host === 'string' ? { host } : {}) };
  if ('path' in options && options.path) throw new TypeError('a stack has no sockets with a path');
  return { options, ...(listener ? { listener } : {}) };
}

/** Gives the socket, which is about to connect, a descriptor of the stack for an address of `family` (4 or 6). */
function adopt(context: NodeContext, socket: net.Socket, family: number): void {
  const handle = (socket as unknown as { _handle: StreamHandle | null })._handle;
  if (handle === null) return; // it was destroyed meanwhile
  const fd = openFd(context.source, family === 6 ? AF.INET6 : AF.INET, SOCK.STREAM);
  const error = context.source.emulated ? openEmulated(handle, fd) : handle.open(fd);
  if (error !== 0) throw new Error(`cannot use descriptor ${fd} (${error})`);
}

/** net.connect. Of several addresses the first is taken that the stack has a route to. */
export function connect(context: NodeContext, ...args: unknown[]): net.Socket {
  const { options, listener } = connectArguments(args);
  const host = options.host ?? 'localhost';
  const socket = context.source.emulated ? newEmulatedSocket(options) : new net.Socket(options);
  context.track(socket);
  const lookup: net.TcpNetConnectOpts['lookup'] = (name, wanted, done) => {
    context.lookup(name, { ...wanted, all: true }, (error, found) => {
      if (error) return done(error, '', 0);
      const list = found as { address: string; family: number }[];
      const best = list.find(({ address }) => reachable(context.source, address)) ?? list[0]!;
      try {
        adopt(context, socket, best.family);
      } catch (problem) {
        return done(problem as NodeJS.ErrnoException, '', 0);
      }
      done(null, best.address, best.family);
    });
  };
  // Attempts with several addresses would make descriptors of their own, outside of the stack.
  socket.connect({ ...options, host, lookup, autoSelectFamily: false } as net.TcpNetConnectOpts, listener);
  const literal = net.isIP(host);
  try {
    // Node connects to a literal address in the next tick.
    if (literal !== 0) adopt(context, socket, literal);
  } catch (error) {
    socket.destroy(error as Error);
  }
  return socket;
}

/** Of Node. */
const BACKLOG = 511;

interface ListenArguments {
  options: net.ListenOptions & { fd?: number };
  backlog: number | undefined;
  listener: (() => void) | undefined;
}

function listenArguments(args: unknown[]): ListenArguments {
  const last = args.at(-1);
  const listener = typeof last === 'function' ? (last as () => void) : undefined;
  const [first, second, third] = args;
  const options: net.ListenOptions =
    typeof first === 'object' && first !== null
      ? first
      : {
          port: Number(typeof first === 'function' ? 0 : (first ?? 0)),
          ...(typeof second === 'string' ? { host: second } : {}),
        };
  const backlog = [options.backlog, second, third].find((each) => typeof each === 'number');
  return { options, backlog, listener };
}

/**
 * Makes `server`, any kind of net.Server (of node:http, node:tls, …), listen on the stack from now on. Without a host it
 * takes IPv6 and IPv4 where the stack has both.
 */
export function attachServer<S extends net.Server>(context: NodeContext, server: S): S {
  const listen = server.listen.bind(server) as (...args: unknown[]) => S;
  const open = (options: net.ListenOptions, host: string | undefined): number => {
    const port = options.port ?? 0;
    if (!Number.isInteger(port) || port < 0 || port > 65535) throw new RangeError(`${port} is not a port`);
    const settings = { reuse: true, v6only: options.ipv6Only ?? false };
    if (host !== undefined) return openBound(context.source, SOCK.STREAM, inetAddress(host, port), settings);
    try {
      return openBound(context.source, SOCK.STREAM, inetAddress('::', port), settings);
    } catch (error) {
      if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes((error as NodeJS.ErrnoException).code ?? ''))
        throw error;
      return openBound(context.source, SOCK.STREAM, inetAddress('0.0.0.0', port), settings);
    }
  };
  const start = ({ options, backlog }: ListenArguments, host: string | undefined): void => {
    try {
      const signal = options.signal ? { signal: options.signal } : {};
      const fd = open(options, host);
      const { emulated } = context.source;
      // Node's own listen(2) on an emulated socket just sets the backlog.
      if (emulated) check(callsOf(fd).listen(backlog ?? BACKLOG));
      listen({ fd, ...signal }, backlog ?? BACKLOG);
      if (emulated) equipServer(server);
    } catch (error) {
      process.nextTick(() => server.emit('error', error));
    }
  };
  const replacement = (...args: unknown[]): S => {
    const parsed = listenArguments(args);
    const { options, listener } = parsed;
    if (options.path !== undefined || options.fd !== undefined || '_handle' in options)
      return listen(...args);
    if (listener) server.once('listening', listener);
    const { host } = options;
    if (host === undefined || net.isIP(host.replace(/%.*/, '')) !== 0) start(parsed, host);
    else {
      context.lookup(host, {}, (error, address) => {
        if (error) server.emit('error', error);
        else start(parsed, address as string);
      });
    }
    return server;
  };
  context.track(server);
  return Object.assign(server, { listen: replacement });
}

/** node:net of a stack. */
export interface StackNet {
  connect(options: ConnectOptions, listener?: () => void): net.Socket;
  connect(port: number, host?: string, listener?: () => void): net.Socket;
  createConnection: StackNet['connect'];
  createServer(listener?: (socket: net.Socket) => void): net.Server;
  createServer(options: net.ServerOpts, listener?: (socket: net.Socket) => void): net.Server;
  /** Makes any server that was made elsewhere listen on the stack. */
  attach<S extends net.Server>(server: S): S;
}

export function stackNet(context: NodeContext): StackNet {
  const open = ((...args: unknown[]) => connect(context, ...args)) as StackNet['connect'];
  const create = net.createServer as (...args: unknown[]) => net.Server;
  return {
    connect: open,
    createConnection: open,
    createServer: (...args: unknown[]) => attachServer(context, create(...args)),
    attach: (server) => attachServer(context, server),
  };
}
