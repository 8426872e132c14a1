/**
 * Sockets of one kind, made ahead of need: a broker round trip for each socket() of a guest would cost two context
 * switches. The batch grows from 8 to 32 while the pool runs low soon after it was filled, and what a burst left
 * over is closed when it is over.
 */
import { Errno } from '../../errno.ts';
import { closeFd } from './broker.ts';

const SMALL_BATCH = 8;
const LARGE_BATCH = 32;
/** A refill within this many ms after the last one is load. */
const BURST_MS = 100;
/** A pool that was not used for this long gives back what is more than a small batch, in ms. */
const IDLE_MS = 5000;

export class SocketPool {
  readonly #make: (count: number) => number[];
  readonly #fds: number[] = [];
  #batch = SMALL_BATCH;
  #filled = -Infinity;
  #used = 0;
  #refill: NodeJS.Immediate | undefined;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  /** `make` returns between one and `count` new descriptors, or throws. */
  constructor(make: (count: number) => number[]) {
    this.#make = make;
  }

  /** How many are in store. */
  get size(): number {
    return this.#fds.length;
  }

  /** A descriptor that nobody used, the caller's from now on. Throws what `make` throws when there is none. */
  take(): number {
    if (this.#fds.length === 0) this.#fill();
    const fd = this.#fds.pop();
    if (fd === undefined) throw new Errno('EMFILE');
    this.#used = performance.now();
    // The guest gets its answer first.
    if (this.#fds.length <= this.#batch / 4) this.#refill ??= setImmediate(() => this.#fillAhead());
    return fd;
  }

  close(): void {
    this.#closed = true;
    clearImmediate(this.#refill);
    clearTimeout(this.#idle);
    for (const fd of this.#fds.splice(0)) closeFd(fd);
  }

  #fillAhead(): void {
    this.#refill = undefined;
    if (this.#closed) return;
    try {
      this.#fill();
    } catch {
      // Not a failure of anybody's call: whoever needs a socket will hear of it.
    }
  }

  #fill(): void {
    const now = performance.now();
    if (now - this.#filled < BURST_MS) this.#grow();
    this.#filled = now;
    this.#fds.push(...this.#make(this.#batch));
  }

  #grow(): void {
    this.#batch = Math.min(2 * this.#batch, LARGE_BATCH);
    this.#idle ??= setTimeout(() => this.#shrink(), IDLE_MS).unref();
  }

  #shrink(): void {
    this.#idle = undefined;
    if (performance.now() - this.#used < IDLE_MS) {
      this.#idle = setTimeout(() => this.#shrink(), IDLE_MS).unref();
      return;
    }
    this.#batch = SMALL_BATCH;
    for (const fd of this.#fds.splice(SMALL_BATCH)) closeFd(fd);
  }
}
