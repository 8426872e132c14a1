/**
 * The process of an isolated stack (native/isolated, docs/design/lwip.md). One that dies, does not answer in time or
 * tells nonsense is given up: it is killed, and its stack is down for good.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Errno, errnoName } from '../../../errno.ts';
import { logger } from '../../../log.ts';
import { type Readiness, READY, native, nativeDir } from '../../../native.ts';
import {
  EVENT_BYTES, MOST_BYTES, type Op, PROTOCOL_VERSION, REPLY_HEAD, type Request, parseEvent, serialize,
} from './protocol.ts'; // prettier-ignore

const log = logger('ioth');
const SYS_READ = 0;
const SYS_CLOSE = 3;
const SOCK_STREAM = 1;
const SOCK_SEQPACKET = 5;
/**
 * Longest time that an answer may take, in ms. Everything else waits meanwhile, and an answer takes some µs; but on a
 * machine that is overloaded the process may have to wait for its turn.
 */
const TIMEOUT_MS = 2000;
/** How long close() waits for the end of the process. */
const PATIENCE_MS = 1000;
/** The process has failed an assertion and has said so (native/isolated/status.h). */
const STATUS_FAILED = 3;
/** Longest list that is taken, in bytes: a hundred thousand connections are shorter. */
const LONGEST_LIST = 16 << 20;
/** Results are above it. */
const LEAST_ERRNO = -4096;
const ENETDOWN = -new Errno('ENETDOWN').errno;
const EAGAIN = -new Errno('EAGAIN').errno;

export const closeFd = (fd: number): void => void native().syscall(SYS_CLOSE, fd);

/** What an answer brings. `bytes` are valid until the next request. */
export interface Answer {
  /** Of the call; a negated errno below zero, ENETDOWN where the process is gone. */
  result: number;
  bytes: Buffer;
  /** A descriptor, the caller's; -1: none. */
  fd: number;
}

const nothing = (result: number): Answer => ({ result, bytes: Buffer.alloc(0), fd: -1 });

/** Shared by all: there is one request at a time. */
const reply = Buffer.alloc(REPLY_HEAD + MOST_BYTES);
const fds = new Int32Array(1);

/** What is told of a process. */
export interface ChildOwner {
  /** Something happened to a socket or to the stack. */
  event(id: number, event: number, value: number): void;
  /** It is gone, or was given up. Not told after close(). */
  gone(): void;
}

export class IsolatedChild {
  readonly #child: ChildProcess;
  readonly #owner: ChildOwner;
  readonly #readiness: Readiness;
  readonly #events: number;
  readonly #buffer = Buffer.alloc(64 * EVENT_BYTES);
  /** Bytes of an event that has not come as a whole. */
  #kept = 0;
  /** -1: closed. */
  #channel: number;
  /** Whether a person knows why it has ended. */
  #explained = false;
  /** Settled when the process has ended. */
  readonly ended: Promise<void>;
  /** The name of its sockets begins with it: `umvu-…-`. */
  readonly prefix: string;
  /** What the stack is called in events. */
  readonly stackId: number;

  /** Starts the process; its stack may use `memory` bytes (0: as many as usual). Throws Errno, with a reason for people. */
  constructor(owner: ChildOwner, path = join(nativeDir, 'umvu-lwip'), memory = 0) {
    this.#owner = owner;
    const [channel, theirChannel] = pair(SOCK_SEQPACKET);
    const [events, theirEvents] = pair(SOCK_STREAM);
    // A session of its own, because the terminal's signals are for guests. TMPDIR: see native/src/lwip/place.h.
    this.#child = spawn(path, [], {
      stdio: ['ignore', 'ignore', 'inherit', theirChannel, theirEvents],
      detached: true,
      env: process.env['TMPDIR'] === undefined ? {} : { TMPDIR: process.env['TMPDIR'] },
      cwd: '/',
    });
    closeFd(theirChannel);
    closeFd(theirEvents);
    // Failures show in `pid`; without a listener the event would be an uncaught exception.
    this.#child.on('error', () => undefined);
    this.#channel = channel;
    this.#events = events;
    this.ended = this.#follow();
    this.#readiness = new (native().Readiness)(events, () => this.#readEvents());
    this.#readiness.want(READY.READ, false);
    ({ prefix: this.prefix, stackId: this.stackId } = this.#greet(path, memory));
  }

  /** Process id; 0 where there is none. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** False from the moment it ended or was given up. */
  get alive(): boolean {
    return this.#channel >= 0;
  }

  /** One request, with a copy of descriptor `fd` where that is given. */
  call(op: Op, request: Request = {}, fd = -1): Answer {
    if (!this.alive) return nothing(ENETDOWN);
    const bytes = serialize(op, request);
    if (bytes === undefined) return nothing(-new Errno('EMSGSIZE').errno);
    const size = native().request(this.#channel, bytes, reply, fds, TIMEOUT_MS, fd);
    const result = size >= REPLY_HEAD ? reply.readInt32LE(0) : 0;
    if (size >= REPLY_HEAD && result > LEAST_ERRNO)
      return { result, bytes: reply.subarray(REPLY_HEAD, size), fd: fds[0]! };
    if (size >= 0 && fds[0]! >= 0) closeFd(fds[0]!);
    if (size >= 0) this.giveUp('tells nonsense (a reply)');
    // EPIPE: it has ended, and the exit status tells how.
    else this.giveUp(errnoName(-size) === 'EPIPE' ? undefined : `does not answer (${errnoName(-size)})`);
    return nothing(ENETDOWN);
  }

  /** A request whose result is all that is wanted. */
  result(op: Op, request: Request = {}, fd = -1): number {
    const answer = this.call(op, request, fd);
    if (answer.fd >= 0) closeFd(answer.fd);
    return answer.result;
  }

  /** All bytes of a list; undefined where there is none. */
  list(op: Op): Buffer | undefined {
    const parts: Buffer[] = [];
    for (let size = 0, next: Op = op; ; next = 'more') {
      const { result, bytes, fd } = this.call(next);
      if (fd >= 0) closeFd(fd);
      if (result < 0) return undefined;
      const more = reply.readUInt32LE(4);
      parts.push(Buffer.from(bytes));
      size += bytes.length;
      if (more === 0) return Buffer.concat(parts);
      if (bytes.length === 0 || size + more > LONGEST_LIST) {
        this.giveUp('tells nonsense (a list without an end)');
        return undefined;
      }
    }
  }

  /** The process cannot be used any more; `why` completes «the process of an isolated stack …». */
  giveUp(why?: string): void {
    if (!this.alive) return;
    if (why !== undefined) this.#explain(why);
    this.#shut();
    this.#child.kill('SIGKILL');
    this.#owner.gone();
  }

  /** Ends the process; {@link ended} says when that is done. */
  close(): void {
    // Whoever waits for its end must not end before.
    this.#child.ref();
    if (!this.alive) return;
    const { result } = this.call('close');
    this.#explained = true;
    this.#shut();
    if (result < 0) this.#child.kill('SIGKILL');
    else setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE_MS).unref();
  }

  #greet(path: string, memory: number): { prefix: string; stackId: number } {
    this.#explained = true;
    if (this.#child.pid === undefined) {
      this.#shut();
      throw new Errno('ENOENT', `an isolated stack cannot be started (${path}): run «npm run build»`);
    }
    const { result, bytes } = this.call('hello', { a: PROTOCOL_VERSION, id: memory });
    const prefix = bytes.toString('latin1');
    if (result > 0 && /^umvu-\d{1,20}-$/.test(prefix)) {
      this.#explained = false;
      return { prefix, stackId: result };
    }
    this.#shut();
    this.#child.kill('SIGKILL');
    throw new Errno(result < 0 ? result : -new Errno('EPROTO').errno, 'an isolated stack did not start');
  }

  #follow(): Promise<void> {
    this.#child.unref();
    return new Promise((resolve) => {
      this.#child.once('error', () => resolve());
      this.#child.once('exit', (code, signal) => {
        if (code !== STATUS_FAILED) this.#explain(`has ended (${signal ?? `status ${code}`})`);
        this.giveUp();
        resolve();
      });
    });
  }

  #explain(why: string): void {
    if (!this.#explained) log.error(`the process ${this.pid} of an isolated stack ${why}: the stack is down`);
    this.#explained = true;
  }

  #shut(): void {
    if (!this.alive) return;
    this.#readiness.close();
    closeFd(this.#channel);
    closeFd(this.#events);
    this.#channel = -1;
  }

  #readEvents(): void {
    if (!this.alive) return;
    const got = native().syscall(
      SYS_READ,
      this.#events,
      this.#buffer.subarray(this.#kept),
      this.#buffer.length - this.#kept,
    );
    if (got === EAGAIN) return;
    // Its end: how it ended, the exit status tells soon.
    if (got <= 0) return this.#readiness.want(0, false);
    const size = this.#kept + got;
    const whole = size - (size % EVENT_BYTES);
    // A copy: what an event leads to may read further ones.
    const bytes = Buffer.from(this.#buffer.subarray(0, whole));
    this.#buffer.copyWithin(0, whole, size);
    this.#kept = size - whole;
    for (let at = 0; at < whole && this.alive; at += EVENT_BYTES) {
      const event = parseEvent(bytes.subarray(at, at + EVENT_BYTES));
      if (event === undefined) return this.giveUp('tells nonsense (an event)');
      this.#owner.event(event.id, event.event, event.value);
    }
  }
}

/** A pair of sockets of AF_UNIX. */
export function pair(type: number): [number, number] {
  const made = native().socketPair(type);
  if (typeof made === 'number') throw new Errno(made, 'socketpair');
  return made;
}
