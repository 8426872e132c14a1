/** node:dgram on a stack. */
import dgram from 'node:dgram';
import net from 'node:net';
import { SOCK } from '../stack.ts';
import { inetAddress } from '../socket/address.ts';
import type { NodeContext } from './context.ts';
import { emulateDatagrams } from './datagram-handle.ts';
import { closeFd, openBound } from './open.ts';

interface BindArguments {
  port?: number;
  address?: string;
  fd?: number;
}

function bindArguments(args: unknown[]): { options: BindArguments; listener: (() => void) | undefined } {
  const last = args.at(-1);
  const listener = typeof last === 'function' ? (last as () => void) : undefined;
  const [first, second] = args;
  if (typeof first === 'object' && first !== null) return { options: first, listener };
  const options = {
    ...(typeof first === 'number' ? { port: first } : {}),
    ...(typeof second === 'string' ? { address: second } : {}),
  };
  return { options, listener };
}

/** dgram.createSocket; the socket is the stack's from bind() on, which send() and others do when it is due. */
export function createSocket(
  context: NodeContext,
  given: dgram.SocketType | dgram.SocketOptions,
  listener?: (message: Buffer, from: dgram.RemoteInfo) => void,
): dgram.Socket {
  const options = typeof given === 'string' ? { type: given } : given;
  const socket = dgram.createSocket(
    { ...options, lookup: context.lookup as NonNullable<dgram.SocketOptions['lookup']> },
    listener,
  );
  context.track(socket);
  if (context.source.emulated) {
    emulateDatagrams(context.source, socket, options.type);
    return socket;
  }
  const bind = socket.bind.bind(socket) as (options: { fd: number }) => dgram.Socket;
  const wildcard = options.type === 'udp6' ? '::' : '0.0.0.0';
  const settings = { reuse: options.reuseAddr ?? false, v6only: options.ipv6Only ?? false };
  let binding = false;
  const start = (port: number, address: string): void => {
    let fd = -1;
    try {
      fd = openBound(context.source, SOCK.DGRAM, inetAddress(address, port), settings);
      bind({ fd });
    } catch (error) {
      if (fd >= 0) closeFd(fd);
      binding = false;
      socket.emit('error', error);
    }
  };
  const replacement = (...args: unknown[]): dgram.Socket => {
    const { options: wanted, listener: ready } = bindArguments(args);
    if (wanted.fd !== undefined) return bind(wanted as { fd: number });
    // Node itself calls bind() with null as its listener before it sends, again as long as it is not done.
    if (binding && args[1] === null) return socket;
    if (binding)
      throw Object.assign(new Error('Socket is already bound'), { code: 'ERR_SOCKET_ALREADY_BOUND' });
    binding = true;
    if (ready) socket.once('listening', ready);
    const { port = 0, address = wildcard } = wanted;
    // As in Node nothing is told before bind() has returned.
    if (net.isIP(address.replace(/%.*/, '')) !== 0) process.nextTick(start, port, address);
    else {
      context.lookup(address, options.type === 'udp6' ? 6 : 4, (error, found) => {
        if (error) socket.emit('error', error);
        else start(port, found as string);
      });
    }
    return socket;
  };
  return Object.assign(socket, { bind: replacement });
}

/** node:dgram of a stack. */
export interface StackDgram {
  createSocket(
    options: dgram.SocketType | dgram.SocketOptions,
    listener?: (message: Buffer, from: dgram.RemoteInfo) => void,
  ): dgram.Socket;
}

export const stackDgram = (context: NodeContext): StackDgram => ({
  createSocket: (options, listener) => createSocket(context, options, listener),
});
