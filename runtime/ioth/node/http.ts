/** node:http and node:https on a stack, and fetch: agents and a dispatcher whose connections are the stack's. */
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { NodeContext } from './context.ts';
import { type ConnectOptions, attachServer, connect } from './net.ts';

/** A TLS connection over one of the stack's. */
function connectTls(context: NodeContext, options: ConnectOptions & tls.ConnectionOptions): tls.TLSSocket {
  const socket = connect(context, { ...options, host: options.host ?? 'localhost' });
  const servername = options.servername || (net.isIP(options.host ?? '') ? undefined : options.host);
  return tls.connect({ ...options, socket, ...(servername ? { servername } : {}) });
}

/** An http.Agent whose connections go out of the stack. */
export function httpAgent(context: NodeContext, options: http.AgentOptions = {}): http.Agent {
  const agent = new http.Agent(options);
  const createConnection = (each: ConnectOptions): Duplex => connect(context, each);
  return Object.assign(agent, { createConnection });
}

/** An https.Agent whose connections go out of the stack. */
export function httpsAgent(context: NodeContext, options: https.AgentOptions = {}): https.Agent {
  const agent = new https.Agent(options);
  const createConnection = (each: ConnectOptions & tls.ConnectionOptions): Duplex =>
    connectTls(context, each);
  return Object.assign(agent, { createConnection });
}

/** node:http of a stack. */
export interface StackHttp {
  readonly agent: http.Agent;
  request: typeof http.request;
  get: typeof http.get;
  createServer: typeof http.createServer;
}

export function stackHttp(context: NodeContext): StackHttp {
  const agent = httpAgent(context, { keepAlive: true });
  /** Adds the agent to the arguments of http.request: (url, options, callback) or (options, callback). */
  const through = (args: unknown[]): unknown[] => {
    const rest = [...args];
    const at = typeof rest[0] === 'string' || rest[0] instanceof URL ? 1 : 0;
    if (typeof rest[at] === 'object' && rest[at] !== null) rest[at] = { agent, ...rest[at] };
    else rest.splice(at, 0, { agent });
    return rest;
  };
  const request = http.request as (...args: unknown[]) => http.ClientRequest;
  const get = http.get as (...args: unknown[]) => http.ClientRequest;
  const create = http.createServer as (...args: unknown[]) => http.Server;
  return {
    agent,
    request: (...args: unknown[]) => request(...through(args)),
    get: (...args: unknown[]) => get(...through(args)),
    createServer: (...args: unknown[]) => attachServer(context, create(...args)),
  };
}

/** What undici asks of a function that connects. */
interface UndiciConnect {
  hostname: string;
  protocol: string;
  port: string;
  servername?: string;
  localAddress?: string | null;
}
/** An undici Dispatcher, for the `dispatcher` option of fetch. */
export interface Dispatcher {
  close(): Promise<void>;
  destroy(error?: Error): Promise<void>;
}
type AgentClass = new (options: object) => Dispatcher;

/** The Agent of the undici that is part of Node: the class of what fetch uses when it is told nothing. */
function undiciAgent(): AgentClass {
  const symbol = Symbol.for('undici.globalDispatcher.1');
  const place = globalThis as unknown as Record<symbol, Dispatcher | undefined>;
  // Node loads undici when one of its classes is first looked at.
  if (place[symbol] === undefined) void globalThis.Response;
  const current = place[symbol];
  if (current === undefined) throw new Error('this Node has no undici: use the http agent of the stack');
  return current.constructor as AgentClass;
}

/** A dispatcher whose connections go out of the stack: `fetch(url, { dispatcher })`. */
export function dispatcher(context: NodeContext, options: tls.ConnectionOptions = {}): Dispatcher {
  const open = (to: UndiciConnect, done: (error: Error | null, socket?: net.Socket) => void): void => {
    const secure = to.protocol === 'https:';
    const host = to.hostname.replace(/^\[(.*)\]$/, '$1');
    const where = {
      host,
      port: Number(to.port || (secure ? 443 : 80)),
      ...(to.localAddress ? { localAddress: to.localAddress } : {}),
    };
    const named = to.servername ? { servername: to.servername } : {};
    const socket = secure
      ? connectTls(context, { ALPNProtocols: ['http/1.1'], ...options, ...where, ...named })
      : connect(context, { ...where, noDelay: true });
    const ready = secure ? 'secureConnect' : 'connect';
    const fail = (error: Error): void => done(error);
    socket.once('error', fail);
    socket.once(ready, () => {
      socket.off('error', fail);
      done(null, socket);
    });
  };
  return new (undiciAgent())({ connect: open });
}
