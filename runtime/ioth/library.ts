/**
 * IoTh for programs: stacks with sockets, names and Node's own interfaces, without a virtual machine.
 *
 *     const stack = await newStack('vdestack', 'vde:///tmp/hub');
 *     await stack.config('eth,ip=10.0.0.1/24');
 *     const server = stack.net.createServer((socket) => socket.pipe(socket)).listen(7);
 */
import net from 'node:net';
import { readFileSync } from 'node:fs';
import { Errno } from '../errno.ts';
import { type ApplyOptions, applyConfig, parseConfig, resolvconfOf } from './config/index.ts';
import { StackDns } from './dns/promises.ts';
import type { IothHost } from './host.ts';
import { type InterfaceAddress, interfaceAddresses } from './ifaddrs.ts';
import { NetlinkClient } from './netlink/index.ts';
import { newStack as openStack, newStackFromConfig, sharedHost } from './newstack.ts';
import type { NodeContext } from './node/context.ts';
import { type StackDgram, stackDgram } from './node/dgram.ts';
import {
  type Dispatcher,
  type StackHttp,
  dispatcher,
  httpAgent,
  httpsAgent,
  stackHttp,
} from './node/http.ts';
import { type StackNet, stackNet } from './node/net.ts';
import { equipSocket } from './node/stream-handle.ts';
import type { BasicSocket } from './socket/basic.ts';
import { Socket } from './socket/socket.ts';
import { SOCK, type Stack } from './stack.ts';
import { splitInterface } from './vnl.ts';

function readHosts(): string {
  try {
    return readFileSync('/etc/hosts', 'utf8');
  } catch {
    return '';
  }
}

export type { InterfaceAddress } from './ifaddrs.ts';

/** A stack of a program (struct ioth). */
export class IothStack {
  /** The stack as its driver made it. */
  readonly stack: Stack;
  /** node:net, node:dgram and node:http, on this stack. */
  readonly net: StackNet;
  readonly dgram: StackDgram;
  readonly http: StackHttp;
  /** node:dns/promises, on this stack. It asks the servers of {@link resolvConf}, those of the host on the host's stack. */
  readonly dns: StackDns;
  readonly #defaultInterface: string;
  readonly #context: NodeContext;
  readonly #sockets = new Set<BasicSocket>();
  readonly #tracked = new Set<WeakRef<object>>();
  #dispatcher: Dispatcher | undefined;
  #closed = false;

  /** `defaultInterface` is the one that a configuration means when it names none. */
  constructor(stack: Stack, defaultInterface = 'vde0') {
    this.stack = stack;
    this.#defaultInterface = defaultInterface;
    const conf = (): string | undefined => stack.resolvConf ?? (stack.isHost ? readHostConf() : undefined);
    this.dns = new StackDns(stack, { conf, hosts: readHosts() });
    this.#context = {
      source: stack,
      lookup: (...args) => this.dns.lookupCallback(...args),
      track: (object) => this.#track(object),
    };
    this.net = stackNet(this.#context);
    this.dgram = stackDgram(this.#context);
    this.http = stackHttp(this.#context);
  }

  /** The text of resolv.conf(5) that the configuration of this stack amounts to (ioth_resolvconf(3)). */
  get resolvConf(): string | undefined {
    return this.stack.resolvConf;
  }

  /** Opens a socket (ioth_msocket(3)). Throws Errno. */
  msocket(domain: number, type: number, protocol = 0): Socket {
    if (this.#closed) throw new Errno('ENETDOWN', 'the stack is closed');
    const flags = SOCK.NONBLOCK | SOCK.CLOEXEC;
    const fd = this.stack.socket(domain, (type & SOCK.TYPE_MASK) | flags, protocol);
    const socket = new Socket(fd, domain, type, protocol, {
      onClose: (each) => this.#sockets.delete(each),
      onAccept: (each) => this.#sockets.add(each),
    });
    this.#sockets.add(socket);
    return socket;
  }

  /** A net.Socket of a connected stream socket, which it owns from then on. */
  toNetSocket(socket: Socket, options: { allowHalfOpen?: boolean } = {}): net.Socket {
    const stream = new net.Socket({ ...options, fd: socket.release(), readable: true, writable: true });
    if (this.stack.emulated) equipSocket(stream);
    this.#track(stream);
    return stream;
  }

  /** Configures the stack (ioth_config(3)); the result is a mask of CONFIGURED. */
  config(text: string, options: ApplyOptions = {}): Promise<number> {
    return applyConfig(this.stack, text, { fallback: this.#defaultInterface, ...options });
  }

  /** As ioth_resolvconf(3): the text when it has changed since the last call, otherwise undefined. */
  resolvconf(): string | undefined {
    return resolvconfOf(this.stack);
  }

  /** Does what `use` asks of the stack's configuration: the calls of nlinline, ioth_getifaddrs(3) and their like. */
  netlink<T>(use: (client: NetlinkClient) => T): T {
    return NetlinkClient.with(this.stack, use);
  }

  /** Links, then their addresses (ioth_getifaddrs(3)). */
  getifaddrs(): InterfaceAddress[] {
    return this.netlink(interfaceAddresses);
  }

  /** An http.Agent or https.Agent of this stack, with options of its own. */
  httpAgent(options?: Parameters<typeof httpAgent>[1]): ReturnType<typeof httpAgent> {
    return httpAgent(this.#context, options);
  }

  httpsAgent(options?: Parameters<typeof httpsAgent>[1]): ReturnType<typeof httpsAgent> {
    return httpsAgent(this.#context, options);
  }

  /** An undici Dispatcher for the `dispatcher` option of fetch. */
  get dispatcher(): Dispatcher {
    return (this.#dispatcher ??= dispatcher(this.#context));
  }

  /** A dispatcher with TLS options of its own. */
  newDispatcher(options: Parameters<typeof dispatcher>[1]): Dispatcher {
    return dispatcher(this.#context, options);
  }

  /** fetch, out of this stack. */
  fetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    return fetch(input, { ...init, dispatcher: this.dispatcher } as RequestInit);
  }

  /**
   * Closes the stack and what was opened on it (ioth_delstack(3)): calls that wait fail with ENETDOWN. Unlike libioth an
   * open socket is no reason to refuse. Idempotent.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const error = new Errno('ENETDOWN', 'the stack was closed');
    for (const socket of [...this.#sockets]) socket.close(error);
    this.dns.close(error);
    this.http.agent.destroy();
    await this.#dispatcher?.destroy(error).catch(() => undefined);
    for (const each of this.#tracked) shut(each.deref(), error);
    this.#tracked.clear();
    await this.stack.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #track(object: object): void {
    const reference = new WeakRef(object);
    this.#tracked.add(reference);
    (object as net.Socket).once?.('close', () => this.#tracked.delete(reference));
  }
}

function shut(object: unknown, error: Error): void {
  try {
    // A program that closed the stack itself need not listen to errors for that.
    if (object instanceof net.Socket) object.destroy(object.listenerCount('error') > 0 ? error : undefined);
    else (object as { close(): void } | undefined)?.close();
  } catch {
    // It was closed already.
  }
}

function readHostConf(): string | undefined {
  try {
    return readFileSync('/etc/resolv.conf', 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Opens a stack (ioth_newstack(3), ioth_newstackl(3)): `newStack('vdestack', 'vde:///tmp/hub', 'wan:hub:///tmp/wan')`. The
 * name of an interface may stand before its network, `vdeN` otherwise. '' is the kernel's own stack.
 */
export async function newStack(driver: string, ...vnls: string[]): Promise<IothStack> {
  return newStackOn(sharedHost(), driver, ...vnls);
}

/** As {@link newStack}, with the networks and drivers of `host`. */
export async function newStackOn(host: IothHost, driver: string, ...vnls: string[]): Promise<IothStack> {
  const interfaces = vnls.map(splitInterface);
  return new IothStack(await openStack(driver, interfaces, {}, host), interfaces[0]?.name);
}

/** Opens and configures a stack (ioth_newstackc(3)): `stack=vdestack,vnl=hub://,eth,ip=10.0.0.1/24`. */
export async function newStackc(config: string, host: IothHost = sharedHost()): Promise<IothStack> {
  const first = parseConfig(config, true).vnls[0];
  const name = first === undefined ? undefined : splitInterface(first).name;
  return new IothStack(await newStackFromConfig(config, host), name);
}

let defaultStack: IothStack | undefined;

/** Sets the stack of {@link socket} (ioth_set_defstack(3)); undefined is the kernel's own again. */
export function setDefaultStack(stack: IothStack | undefined): void {
  defaultStack = stack;
}

/** The default stack of this program (ioth_get_defstack(3)): the kernel's own unless another was set. */
export async function getDefaultStack(): Promise<IothStack> {
  return defaultStack ?? (kernelStack ??= await newStack(''));
}
let kernelStack: IothStack | undefined;

/** A socket of the default stack (ioth_socket(3)). */
export async function socket(domain: number, type: number, protocol = 0): Promise<Socket> {
  return (await getDefaultStack()).msocket(domain, type, protocol);
}
