/** The calls of a socket that wait, in the order in which they were made; one queue for each direction. */
import { Errno } from '../../errno.ts';
import { READY, type Readiness, native } from '../../native.ts';

const EAGAIN = -11;
const EINTR = -4;
/** How many calls in a row may succeed at once before the event loop gets a turn. */
const BURST = 64;

/** One try of a call: a result, or a negated errno. */
type Attempt = () => number;

interface Call {
  attempt: Attempt;
  settle: (result: number) => void;
  fail: (error: Error) => void;
}

/** What a call may be given to be called off; the promise is rejected with the signal's reason. */
export interface CallOptions {
  signal?: AbortSignal;
}

/** Tries a call until it is not interrupted. */
function tryOnce(attempt: Attempt): number {
  for (;;) {
    const result = attempt();
    if (result !== EINTR) return result;
  }
}

export class CallQueue {
  readonly #fd: number;
  readonly #calls: Record<'read' | 'write', Call[]> = { read: [], write: [] };
  #readiness: Readiness | undefined;
  #ended: Error | undefined;
  #burst = 0;
  #keepsAlive = true;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Does what `attempt` does, when that is possible: at once, or as soon as the socket is ready for `direction` and the
   * calls before it are done. `what` names the call in errors. The result; throws Errno.
   */
  async run(
    direction: 'read' | 'write',
    what: string,
    attempt: Attempt,
    options: CallOptions = {},
  ): Promise<number> {
    options.signal?.throwIfAborted();
    if (this.#ended) throw this.#ended;
    let result = EAGAIN;
    // A loop of calls that always succeed would keep timers and other sockets from their turn.
    if (this.#calls[direction].length === 0 && ++this.#burst < BURST) result = tryOnce(attempt);
    if (result === EAGAIN) result = await this.#wait(direction, attempt, options.signal);
    if (result < 0) throw failed(what, result);
    return result;
  }

  /** Whether a call that waits keeps the program alive. */
  keepAlive(yes: boolean): void {
    this.#keepsAlive = yes;
    if (this.#readiness) this.#update();
  }

  /** Rejects all calls, now and later, with `error`. Idempotent. */
  end(error: Error): void {
    this.#ended ??= error;
    this.#readiness?.close();
    this.#readiness = undefined;
    for (const call of [...this.#calls.read.splice(0), ...this.#calls.write.splice(0)]) call.fail(error);
  }

  #wait(direction: 'read' | 'write', attempt: Attempt, signal?: AbortSignal): Promise<number> {
    this.#burst = 0;
    const calls = this.#calls[direction];
    return new Promise<number>((resolve, reject) => {
      const aborted = (): void => {
        const at = calls.indexOf(call);
        if (at >= 0) calls.splice(at, 1);
        this.#update();
        reject(signal!.reason as Error);
      };
      const call: Call = {
        attempt,
        settle: (result) => {
          signal?.removeEventListener('abort', aborted);
          resolve(result);
        },
        fail: (error) => {
          signal?.removeEventListener('abort', aborted);
          reject(error);
        },
      };
      calls.push(call);
      signal?.addEventListener('abort', aborted, { once: true });
      this.#update();
    });
  }

  #update(): void {
    const { read, write } = this.#calls;
    const wanted = (read.length > 0 ? READY.READ : 0) | (write.length > 0 ? READY.WRITE : 0);
    if (wanted !== 0) this.#readiness ??= new (native().Readiness)(this.#fd, (events) => this.#ready(events));
    this.#readiness?.want(wanted, this.#keepsAlive);
  }

  #ready(events: number): void {
    if ((events & READY.READ) !== 0) this.#retry(this.#calls.read);
    if ((events & READY.WRITE) !== 0) this.#retry(this.#calls.write);
    if (!this.#ended) this.#update();
  }

  #retry(calls: Call[]): void {
    for (let call = calls[0]; call !== undefined; call = calls[0]) {
      const result = tryOnce(call.attempt);
      if (result === EAGAIN) return;
      calls.shift();
      call.settle(result);
    }
  }
}

/** The Errno of a failed call, with its name in the text. */
export function failed(what: string, result: number): Errno {
  const error = new Errno(result);
  return new Errno(result, `${what}: ${error.code}`);
}
