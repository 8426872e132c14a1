/** A UDP port that asks one server, and the queries that wait there. */
import { randomFillSync } from 'node:crypto';
import { Errno } from '../../errno.ts';
import { WireError } from '../netlink/wire.ts';
import type { InetAddress } from '../socket/address.ts';
import { DatagramChannel } from '../socket/datagrams.ts';
import { Timeout } from '../time.ts';
import { type DnsMessage, type DnsQuestion, FLAG, parseMessage } from './message.ts';
import { sameName } from './name.ts';

/** After so many queries a server is asked from another port, so that guessing it is of little use (RFC 5452). */
export const QUERIES_PER_PORT = 64;
/** Larger answers come over TCP, because no query of ours allows them (EDNS_SIZE). */
const MAX_REPLY = 4096;

/** A query as it is sent: its first two bytes are the id, which each transmission chooses. */
export interface Query {
  readonly question: DnsQuestion;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Whether `reply` with this id answers the question (RFC 5452 §9.1); anything else is somebody else's, or forged. */
function answers(asked: DnsQuestion, id: number, reply: DnsMessage): boolean {
  const [question] = reply.questions;
  return (
    reply.id === id &&
    (reply.flags & FLAG.RESPONSE) !== 0 &&
    reply.opcode === 0 &&
    // A server that does not understand the query may leave the question out.
    (question === undefined
      ? reply.rcode !== 0
      : question.type === asked.type && sameName(question.name, asked.name))
  );
}

/** The reply in `bytes`, if it is one to the question. */
export function readReply(asked: DnsQuestion, id: number, bytes: Uint8Array): DnsMessage | undefined {
  try {
    const reply = parseMessage(bytes);
    return answers(asked, id, reply) ? reply : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** The bytes of a query with this id. */
export function identified({ bytes }: Query, id: number): Uint8Array<ArrayBuffer> {
  bytes[0] = id >> 8;
  bytes[1] = id;
  return bytes;
}

interface Pending {
  readonly question: DnsQuestion;
  readonly timeout: number;
  /** When it is given up, in the time of performance.now(). */
  readonly deadline: number;
  readonly resolve: (reply: DnsMessage) => void;
  readonly reject: (error: Error) => void;
  /** Ends listening to the signal. */
  readonly done: (() => void) | undefined;
}

/** A UDP port that asks one server. Nothing is said of it when it has asked often enough and nobody waits: then it closes. */
export class Port {
  readonly #channel: DatagramChannel;
  readonly #pending = new Map<number, Pending>();
  readonly #ids = randomFillSync(new Uint16Array(QUERIES_PER_PORT));
  readonly #onClose: (port: Port) => void;
  #queries = 0;
  /** One timer for all that wait: when it ends there may be nothing to give up, but it costs nothing to leave it. */
  #timer: NodeJS.Timeout | undefined;
  #due = Infinity;

  /** Owns `fd`, a UDP socket. Throws Errno. `onClose` is called once. */
  constructor(fd: number, server: InetAddress, onClose: (port: Port) => void) {
    this.#onClose = onClose;
    this.#channel = new DatagramChannel(fd, MAX_REPLY, {
      onMessage: (bytes) => this.#received(bytes),
      // All queries of this port go to the server that is not there.
      onError: (error) => this.#rejectAll(error),
    });
    try {
      this.#channel.connect(server);
    } catch (error) {
      this.#channel.close();
      throw error;
    }
  }

  /** Whether it has asked as often as it may. */
  get exhausted(): boolean {
    return this.#queries >= QUERIES_PER_PORT;
  }

  /** Asks. The promise is rejected with Timeout after `timeout` ms, with Errno, or with the reason of `signal`. */
  ask(query: Query, timeout: number, signal?: AbortSignal): Promise<DnsMessage> {
    return new Promise<DnsMessage>((resolve, reject) => {
      const id = this.#id();
      try {
        this.#channel.send(identified(query, id));
      } catch (error) {
        this.#rest();
        throw error; // rejects
      }
      const aborted = signal && ((): void => this.#end(id)?.reject(signal.reason as Error));
      if (aborted) signal.addEventListener('abort', aborted, { once: true });
      const deadline = performance.now() + timeout;
      const done = aborted && ((): void => signal.removeEventListener('abort', aborted));
      this.#pending.set(id, { question: query.question, timeout, deadline, resolve, reject, done });
      this.#channel.keepsAlive = true;
      if (deadline < this.#due) this.#arm(deadline, timeout);
    });
  }

  /** Idempotent; queries that wait fail with `error`. */
  close(error: Error): void {
    clearTimeout(this.#timer);
    this.#channel.close();
    this.#onClose(this);
    this.#rejectAll(error);
  }

  /** An id that nobody guesses. */
  #id(): number {
    let id = this.#ids[this.#queries++ % QUERIES_PER_PORT]!;
    while (this.#pending.has(id)) id = (id + 1) & 0xffff;
    return id;
  }

  /** Forgets a query, which the caller settles. */
  #end(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    pending.done?.();
    this.#rest();
    return pending;
  }

  #rest(): void {
    if (this.#pending.size > 0) return;
    this.#channel.keepsAlive = false;
    if (this.exhausted) this.close(new Errno('ECANCELED'));
  }

  #rejectAll(error: Error): void {
    for (const id of [...this.#pending.keys()]) this.#end(id)?.reject(error);
  }

  /** Takes what came; whether more is waited for. */
  #received(bytes: Buffer): boolean {
    const id = bytes.length >= 2 ? bytes.readUInt16BE(0) : -1;
    const pending = this.#pending.get(id);
    const reply = pending && readReply(pending.question, id, bytes);
    if (reply !== undefined) this.#end(id)?.resolve(reply);
    return this.#pending.size > 0;
  }

  #arm(due: number, delay: number): void {
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => this.#expire(), Math.ceil(delay)).unref();
  }

  /** Gives up what has waited long enough. */
  #expire(): void {
    const now = performance.now();
    let next = Infinity;
    this.#due = Infinity;
    for (const [id, { deadline, timeout }] of this.#pending) {
      if (deadline > now) next = Math.min(next, deadline);
      else this.#end(id)?.reject(new Timeout(`no answer within ${timeout} ms`));
    }
    if (next < Infinity) this.#arm(next, next - now);
  }
}
