/** Answering queries: what a name server on a stack needs besides its data. */
import { Errno } from '../../errno.ts';
import { WireError } from '../netlink/wire.ts';
import type { SocketAddress } from '../socket/address.ts';
import type { Socket } from '../socket/socket.ts';
import {
  type DnsMessage, FLAG, RCODE, ednsRecord, makeReply, parseMessage, serializeMessage, udpSize,
} from './message.ts'; // prettier-ignore
import { readExactly } from './exchange.ts';

/** Who asks. */
export interface DnsClient {
  address: SocketAddress | undefined;
  protocol: 'udp' | 'tcp';
}

/** Makes the reply to a query ({@link makeReply} starts one); undefined says nothing at all. */
export type DnsHandler = (
  query: DnsMessage,
  client: DnsClient,
) => DnsMessage | undefined | Promise<DnsMessage | undefined>;

/** How {@link serveUdp} and {@link serveTcp} serve. */
export interface ServeOptions {
  /** Ends serving. */
  signal?: AbortSignal;
  /** Told of errors of the handler, which the client learns as SERVFAIL. */
  onError?: (error: unknown) => void;
  /** How long an idle TCP connection is kept, in ms. */
  idleTimeout?: number;
}

const IDLE_TIMEOUT = 60_000;

/** The query in `bytes`, or the reply that says what is wrong with it. */
function readQuery(bytes: Uint8Array): { query?: DnsMessage; reply?: DnsMessage } {
  try {
    const query = parseMessage(bytes);
    if ((query.flags & FLAG.RESPONSE) !== 0) return {}; // two servers would answer each other for ever
    if (query.opcode !== 0) return { reply: makeReply(query, RCODE.NOT_IMPLEMENTED) };
    if (query.questions.length !== 1) return { reply: makeReply(query, RCODE.FORMAT) };
    return { query };
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    if (bytes.length < 12 || (bytes[2]! & 0x80) !== 0) return {};
    const empty = { opcode: (bytes[2]! >> 3) & 0xf, rcode: RCODE.FORMAT, questions: [], answers: [] };
    const id = (bytes[0]! << 8) | bytes[1]!;
    return { reply: { id, flags: FLAG.RESPONSE, ...empty, authorities: [], additionals: [] } };
  }
}

/**
 * The bytes that answer `bytes`; undefined when nothing is to be said. What does not fit into what the client takes over
 * UDP becomes an empty reply that is marked as truncated.
 */
export async function answerQuery(
  bytes: Uint8Array,
  client: DnsClient,
  handler: DnsHandler,
  onError?: (error: unknown) => void,
): Promise<Uint8Array | undefined> {
  const { query, reply: early } = readQuery(bytes);
  if (query === undefined) return early && serializeMessage(early);
  const withEdns = (reply: DnsMessage): DnsMessage => {
    const edns = query.additionals.some(({ type }) => type === 'OPT');
    const own = reply.additionals.some(({ type }) => type === 'OPT');
    return edns && !own ? { ...reply, additionals: [...reply.additionals, ednsRecord()] } : reply;
  };
  try {
    const reply = await handler(query, client);
    if (reply === undefined) return undefined;
    const full = serializeMessage(withEdns(reply));
    if (client.protocol === 'tcp' || full.length <= Math.min(udpSize(query), 4096)) return full;
    const flags = (reply.flags & ~FLAG.AUTHORITATIVE) | FLAG.TRUNCATED;
    return serializeMessage(withEdns({ ...reply, flags, answers: [], authorities: [], additionals: [] }));
  } catch (error) {
    onError?.(error);
    return serializeMessage(withEdns(makeReply(query, RCODE.FAILURE)));
  }
}

/** Answers the queries that come to a UDP socket, until `signal` or the end of the socket. */
export async function serveUdp(
  socket: Socket,
  handler: DnsHandler,
  options: ServeOptions = {},
): Promise<void> {
  const { signal, onError } = options;
  for (;;) {
    let received;
    try {
      received = await socket.recvfrom(65535, signal ? { signal } : {});
    } catch (error) {
      if (signal?.aborted || socket.fd < 0) return;
      if (error instanceof Errno && error.code === 'ECONNREFUSED') continue; // of an earlier answer
      throw error;
    }
    const { data, address } = received;
    if (address === undefined) continue;
    void answerQuery(data, { address, protocol: 'udp' }, handler, onError)
      .then((answer) => answer && socket.sendto(answer, address))
      .catch((error: unknown) => onError?.(error));
  }
}

async function serveConnection(
  socket: Socket,
  client: DnsClient,
  handler: DnsHandler,
  options: ServeOptions,
): Promise<void> {
  const { signal, onError, idleTimeout = IDLE_TIMEOUT } = options;
  const close = (): void => socket.close();
  signal?.addEventListener('abort', close, { once: true });
  try {
    for (;;) {
      const timer = setTimeout(close, idleTimeout);
      let bytes: Buffer;
      try {
        bytes = await readExactly(socket, (await readExactly(socket, 2)).readUInt16BE(0));
      } finally {
        clearTimeout(timer);
      }
      const answer = await answerQuery(bytes, client, handler, onError);
      if (answer === undefined) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      await socket.sendAll(Buffer.concat([length, answer]));
    }
  } catch {
    // The client went away.
  } finally {
    signal?.removeEventListener('abort', close);
    socket.close();
  }
}

/** Answers the queries of the TCP connections to a listening socket, until `signal` or the end of the socket. */
export async function serveTcp(
  listener: Socket,
  handler: DnsHandler,
  options: ServeOptions = {},
): Promise<void> {
  for (;;) {
    try {
      const { socket, address } = await listener.accept(options.signal ? { signal: options.signal } : {});
      void serveConnection(socket, { address, protocol: 'tcp' }, handler, options);
    } catch (error) {
      if (options.signal?.aborted || listener.fd < 0) return;
      throw error;
    }
  }
}
