/** One query to one server and its answer, over UDP or TCP. */
import { randomInt } from 'node:crypto';
import { Errno } from '../../errno.ts';
import { lifeOf } from '../life.ts';
import { SOCK, type Stack } from '../stack.ts';
import type { InetAddress } from '../socket/address.ts';
import { Socket } from '../socket/socket.ts';
import type { DnsMessage } from './message.ts';
import { Port, type Query, identified, readReply } from './port.ts';

/** Makes sockets; a stack does. Where it can be closed, that ends what waits on its sockets. */
export type SocketSource = Pick<Stack, 'socket' | 'emulated'> & Partial<Pick<Stack, 'close'>>;

/** Asks servers through the sockets of a stack. */
export class Exchange {
  readonly #source: SocketSource;
  /** The port that asks each server now. */
  readonly #current = new Map<InetAddress, Port>();
  readonly #ports = new Set<Port>();
  readonly #streams = new Set<Socket>();
  readonly #life: AbortSignal | undefined;
  readonly #ended = (): void => this.close(this.#life?.reason as Error);
  #closed: Error | undefined;

  constructor(source: SocketSource) {
    this.#source = source;
    this.#life = source.close && lifeOf(source as Pick<Stack, 'close'>).signal;
  }

  /** Whether it was closed, itself or its stack. */
  get ended(): boolean {
    return this.#closed !== undefined || this.#life?.aborted === true;
  }

  /** Asks over UDP. Rejected with Timeout when no reply comes within `timeout` ms; throws Errno where nothing can be sent. */
  udp(server: InetAddress, query: Query, timeout: number, signal?: AbortSignal): Promise<DnsMessage> {
    return this.#port(server).ask(query, timeout, signal);
  }

  /** Asks over TCP. */
  async tcp(server: InetAddress, query: Query, signal: AbortSignal): Promise<DnsMessage> {
    const fd = this.#open(server.family, SOCK.STREAM);
    const socket = new Socket(fd, server.family, SOCK.STREAM, 0);
    this.#streams.add(socket);
    try {
      await socket.connect(server, { signal });
      const id = randomInt(0x10000);
      const bytes = identified(query, id);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      await socket.sendAll(Buffer.concat([length, bytes]), { signal });
      const size = (await readExactly(socket, 2, signal)).readUInt16BE(0);
      const reply = readReply(query.question, id, await readExactly(socket, size, signal));
      if (reply === undefined) throw new Errno('EPROTO', 'the answer over TCP is not one to the query');
      return reply;
    } finally {
      this.#streams.delete(socket);
      socket.close();
    }
  }

  /** Idempotent; queries that wait fail with `error`. */
  close(error: Error = new Errno('ECANCELED', 'the resolver was closed')): void {
    this.#closed ??= error;
    this.#life?.removeEventListener('abort', this.#ended);
    for (const socket of this.#streams) socket.close(error);
    for (const port of this.#ports) port.close(error);
  }

  #open(family: number, type: number): number {
    this.#life?.throwIfAborted();
    if (this.#closed) throw this.#closed;
    this.#life?.addEventListener('abort', this.#ended, { once: true });
    return this.#source.socket(family, type | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  }

  /** The port that asks `server` next. */
  #port(server: InetAddress): Port {
    const known = this.#current.get(server);
    if (known !== undefined && !known.exhausted) return known;
    const port = new Port(this.#open(server.family, SOCK.DGRAM), server, (closed) => {
      this.#ports.delete(closed);
      if (this.#current.get(server) === closed) this.#current.delete(server);
    });
    this.#ports.add(port);
    this.#current.set(server, port);
    return port;
  }
}

/** The next `length` bytes of a stream; ECONNRESET when it ends before. */
export async function readExactly(socket: Socket, length: number, signal?: AbortSignal): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  for (let at = 0; at < length;) {
    const count = await socket.readv([buffer.subarray(at)], signal ? { signal } : {});
    if (count === 0) throw new Errno('ECONNRESET', 'the connection ended within a message');
    at += count;
  }
  return buffer;
}
