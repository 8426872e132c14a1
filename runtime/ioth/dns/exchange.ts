/** One query to one server and its answer, over UDP or TCP. */
import { randomInt } from 'node:crypto';
import { Errno } from '../../errno.ts';
import { SOCK, type Stack } from '../stack.ts';
import type { InetAddress } from '../socket/address.ts';
import { Socket } from '../socket/socket.ts';
import { type DnsMessage, FLAG, parseMessage, serializeMessage } from './message.ts';
import { sameName } from './name.ts';
import { WireError } from '../netlink/wire.ts';
import { Timeout } from '../time.ts';

/** Makes sockets; a stack does. */
export type SocketSource = Pick<Stack, 'socket' | 'emulated'>;

/** After so many queries a server is asked from another port, so that guessing it is of little use (RFC 5452). */
const QUERIES_PER_PORT = 64;
/** Larger answers come over TCP, because no query of ours allows them (EDNS_SIZE). */
const MAX_REPLY = 4096;

interface Pending {
  query: DnsMessage;
  resolve: (reply: DnsMessage) => void;
  reject: (error: Error) => void;
}

/** Whether `reply` answers `query` (RFC 5452 §9.1); anything else is somebody else's, or forged. */
function answers(query: DnsMessage, reply: DnsMessage): boolean {
  const [asked] = query.questions;
  const [question] = reply.questions;
  return (
    reply.id === query.id &&
    (reply.flags & FLAG.RESPONSE) !== 0 &&
    reply.opcode === query.opcode &&
    asked !== undefined &&
    // A server that does not understand the query may leave the question out.
    (question === undefined
      ? reply.rcode !== 0
      : question.type === asked.type && sameName(question.name, asked.name))
  );
}

/** The reply in `bytes`, if it is one to `query`. */
function readReply(query: DnsMessage, bytes: Uint8Array): DnsMessage | undefined {
  try {
    const reply = parseMessage(bytes);
    return answers(query, reply) ? reply : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

const openSocket = (source: SocketSource, family: number, type: number): Socket =>
  new Socket(source.socket(family, type | SOCK.NONBLOCK | SOCK.CLOEXEC, 0), family, type, 0);

/** A UDP socket that is connected to one server, and the queries that wait on it. */
class Port {
  queries = 0;
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #room = Buffer.alloc(MAX_REPLY);

  constructor(socket: Socket) {
    this.#socket = socket.unref();
    void this.#listen();
  }

  get idle(): boolean {
    return this.#pending.size === 0;
  }

  has(id: number): boolean {
    return this.#pending.has(id);
  }

  async ask(query: DnsMessage, timeout: number, signal?: AbortSignal): Promise<DnsMessage> {
    this.queries++;
    await this.#socket.send(serializeMessage(query));
    return new Promise<DnsMessage>((resolve, reject) => {
      const timer = setTimeout(
        () => end(() => reject(new Timeout(`no answer within ${timeout} ms`))),
        timeout,
      );
      const aborted = (): void => end(() => reject(signal?.reason as Error));
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
        this.#pending.delete(query.id);
        if (this.idle) this.#socket.unref();
        settle();
      };
      signal?.addEventListener('abort', aborted, { once: true });
      if (this.idle) this.#socket.ref();
      this.#pending.set(query.id, {
        query,
        resolve: (reply) => end(() => resolve(reply)),
        reject: (error) => end(() => reject(error)),
      });
    });
  }

  /** Hears what the server says until the socket is closed. */
  async #listen(): Promise<void> {
    for (;;) {
      try {
        this.#received(this.#room.subarray(0, await this.#socket.readv([this.#room])));
      } catch (error) {
        for (const { reject } of [...this.#pending.values()]) reject(error as Error);
        // ECONNREFUSED: nobody listens there now. All queries of this port go to that server.
        if (this.#socket.fd < 0) return;
      }
    }
  }

  #received(bytes: Buffer): void {
    const pending = bytes.length >= 2 ? this.#pending.get(bytes.readUInt16BE(0)) : undefined;
    const reply = pending && readReply(pending.query, bytes);
    if (reply !== undefined) pending?.resolve(reply);
  }

  close(error: Error): void {
    this.#socket.close(error);
    for (const { reject } of [...this.#pending.values()]) reject(error);
  }
}

/** Asks servers through the sockets of a stack. */
export class Exchange {
  readonly #source: SocketSource;
  readonly #ports = new Map<InetAddress, Port>();
  readonly #retired = new Set<Port>();
  #closed: Error | undefined;

  constructor(source: SocketSource) {
    this.#source = source;
  }

  /** Asks over UDP; the id of `query` is chosen here. Throws Timeout when no reply comes within `timeout` ms. */
  async udp(
    server: InetAddress,
    query: DnsMessage,
    timeout: number,
    signal?: AbortSignal,
  ): Promise<DnsMessage> {
    const port = await this.#port(server);
    let id = randomInt(0x10000);
    while (port.has(id)) id = (id + 1) & 0xffff;
    try {
      return await port.ask({ ...query, id }, timeout, signal);
    } finally {
      if (this.#retired.has(port) && port.idle) this.#drop(port);
    }
  }

  async tcp(server: InetAddress, query: DnsMessage, signal: AbortSignal): Promise<DnsMessage> {
    if (this.#closed) throw this.#closed;
    const socket = openSocket(this.#source, server.family, SOCK.STREAM);
    try {
      const asked = { ...query, id: randomInt(0x10000) };
      await socket.connect(server, { signal });
      const bytes = serializeMessage(asked);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      await socket.sendAll(Buffer.concat([length, bytes]), { signal });
      const size = (await readExactly(socket, 2, signal)).readUInt16BE(0);
      const reply = readReply(asked, await readExactly(socket, size, signal));
      if (reply === undefined) throw new Errno('EPROTO', 'the answer over TCP is not one to the query');
      return reply;
    } finally {
      socket.close();
    }
  }

  close(error: Error = new Errno('ECANCELED', 'the resolver was closed')): void {
    this.#closed = error;
    for (const port of [...this.#ports.values(), ...this.#retired]) port.close(error);
    this.#ports.clear();
    this.#retired.clear();
  }

  async #port(server: InetAddress): Promise<Port> {
    if (this.#closed) throw this.#closed;
    const known = this.#ports.get(server);
    if (known !== undefined && known.queries < QUERIES_PER_PORT) return known;
    if (known !== undefined) {
      this.#retired.add(known);
      if (known.idle) this.#drop(known);
      this.#ports.delete(server);
    }
    const socket = openSocket(this.#source, server.family, SOCK.DGRAM);
    try {
      await socket.connect(server);
    } catch (error) {
      socket.close();
      throw error;
    }
    const port = new Port(socket);
    this.#ports.set(server, port);
    return port;
  }

  #drop(port: Port): void {
    this.#retired.delete(port);
    port.close(new Errno('ECANCELED'));
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
