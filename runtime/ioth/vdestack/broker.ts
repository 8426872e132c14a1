/**
 * The broker process (native/broker) as the runtime sees it. One serves all stacks of a VM: it owns their network
 * namespaces, makes sockets in them, and removes what the supervisor left when that was killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Errno, check } from '../../errno.ts';
import { logger, once } from '../../log.ts';
import { native, nativeDir } from '../../native.ts';
import {
  type BrokerRequest,
  MAX_FDS,
  MAX_REPLY,
  OP,
  PROTOCOL_VERSION,
  parseReply,
  serializeRequest,
} from './protocol.ts';

const log = logger('broker');
const SYS_CLOSE = 3;
const SOCK_SEQPACKET = 5;
/** Longest time that a request may take, in ms. A broker that is slower is given up. */
const TIMEOUT_MS = 5000;
/** How long close() waits for the process: taking many interfaces down takes the kernel a while. */
const PATIENCE_MS = 3000;

/** Closes a descriptor of the supervisor. */
export const closeFd = (fd: number): void => void native().syscall(SYS_CLOSE, fd);

/** The process that makes the namespaces, links and sockets of stacks of the kernel. */
export class Broker {
  /** Its process id; /proc/PID/task/TID/net is a stack's /proc/net. */
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #channel: number;
  readonly #onEnd = new Set<() => void>();
  readonly #reply = new Uint8Array(MAX_REPLY);
  readonly #fds = new Int32Array(MAX_FDS);

  private constructor(child: ChildProcess, pid: number, channel: number) {
    this.#child = child;
    this.pid = pid;
    this.#channel = channel;
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        if (this.alive)
          log.error(`the broker ended unexpectedly (${signal ?? `status ${code}`}): its stacks are down`);
        this.#giveUp();
        resolve();
      });
    });
  }

  /** Starts the process. Throws Errno where that fails, with a reason for people. */
  static start(path = join(nativeDir, 'umvu-broker')): Broker {
    const pair = native().socketPair(SOCK_SEQPACKET);
    if (typeof pair === 'number') throw new Errno(pair, 'broker: socketpair failed');
    const [ours, theirs] = pair;
    // A session of its own, because the terminal's signals are for guests. No environment is needed.
    const child = spawn(path, [], {
      stdio: ['ignore', 'ignore', 'inherit', theirs],
      detached: true,
      env: {},
      cwd: '/',
    });
    closeFd(theirs);
    // Failures show in `pid`; without a listener the event would be an uncaught exception.
    child.on('error', () => undefined);
    if (child.pid === undefined) {
      closeFd(ours);
      throw new Errno('ENOENT', `the broker cannot be started (${path}): run «npm run build»`);
    }
    child.unref();
    const broker = new Broker(child, child.pid, ours);
    const { result } = broker.call(OP.PING);
    if (result === PROTOCOL_VERSION) return broker;
    broker.#giveUp();
    throw new Errno('EPROTO', 'the broker is of another version: run «npm run build»');
  }

  /** False from the moment it ended or was given up. */
  get alive(): boolean {
    return this.#channel >= 0;
  }

  /** Calls `callback` once when the broker ends; the result takes it back. */
  onEnd(callback: () => void): () => void {
    this.#onEnd.add(callback);
    return () => this.#onEnd.delete(callback);
  }

  /**
   * One request. The result, and the descriptors that came along (close-on-exec, the caller's); fewer than the
   * broker sent when this process has no room for more. Throws Errno: what the broker answered with its reason,
   * or ENETDOWN when it is gone.
   */
  call(op: number, request: BrokerRequest = {}): { result: number; fds: number[] } {
    if (!this.alive) throw new Errno('ENETDOWN', 'the broker is gone');
    const size = native().request(
      this.#channel,
      serializeRequest(op, request),
      this.#reply,
      this.#fds,
      TIMEOUT_MS,
    );
    const fds = size > 0 ? [...this.#fds].filter((fd) => fd >= 0) : [];
    const reply = size > 0 ? parseReply(this.#reply.subarray(0, size)) : undefined;
    if (reply === undefined) {
      fds.forEach(closeFd);
      // A late reply would be taken for that of the next request.
      log.error(`the broker does not answer (request ${op}, ${size}): its stacks are down`);
      this.#giveUp();
      throw new Errno(
        'ENETDOWN',
        size < 0 ? `the broker does not answer (${new Errno(size).code})` : 'bad reply',
      );
    }
    if (reply.result < 0) {
      fds.forEach(closeFd);
      throw new Errno(reply.result, reply.reason);
    }
    if (reply.fds > 0 && fds.length === 0) throw new Errno('EMFILE', 'too many open files in the supervisor');
    if (reply.reason !== '') once(log, reply.reason, `some things are restricted here: ${reply.reason}`);
    return { result: reply.result, fds };
  }

  /** As {@link call}, for requests that bring exactly one descriptor. */
  callForFd(op: number, request: BrokerRequest): { result: number; fd: number } {
    const { result, fds } = this.call(op, request);
    const [fd] = fds;
    if (fd === undefined) throw new Errno('EPROTO', 'the broker sent no descriptor');
    return { result, fd };
  }

  /** Makes the broker remove `path` when the supervisor ends without doing so itself; see native/broker/janitor.h. */
  ownPath(path: string): void {
    this.call(OP.OWN_PATH, { text: path });
  }

  /** Takes {@link ownPath} back. */
  disownPath(path: string): void {
    this.call(OP.DISOWN_PATH, { text: path });
  }

  /** Ends the process and waits for that, but not for ever: it may still be taking interfaces down. */
  async close(): Promise<void> {
    this.#shut();
    // Somebody may have stopped it.
    this.#child.kill('SIGCONT');
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise<void>((resolve) => (timer = setTimeout(resolve, PATIENCE_MS)));
    await Promise.race([this.#exited, enough]);
    clearTimeout(timer);
    this.#child.kill('SIGKILL');
  }

  /** The broker ends when it reads the end of file. */
  #shut(): void {
    if (!this.alive) return;
    check(native().syscall(SYS_CLOSE, this.#channel));
    this.#channel = -1;
  }

  #giveUp(): void {
    this.#shut();
    // The directories that it would remove are given to the next one.
    this.#child.kill('SIGKILL');
    this.#child.unref();
    const callbacks = [...this.#onEnd];
    this.#onEnd.clear();
    for (const callback of callbacks) callback();
  }
}
