/** Limits of time, and alarms that do not keep a program alive. */

/** Says that something took too long. */
export class Timeout extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Timeout';
  }
}

/** Gives `use` a signal that says Timeout after `ms`, or what `signal` says. */
export async function within<T>(
  ms: number,
  signal: AbortSignal | undefined,
  use: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new Timeout(`no answer within ${ms} ms`)), ms);
  const aborted = (): void => limit.abort(signal?.reason);
  signal?.addEventListener('abort', aborted, { once: true });
  try {
    return await use(limit.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', aborted);
  }
}

/**
 * Tries `attempt` up to `count` times, each time for at most `ms`; undefined when it took too long each time. Other errors
 * than {@link Timeout} end it.
 */
export async function tries<T>(
  count: number,
  ms: number,
  signal: AbortSignal | undefined,
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  for (let i = 0; i < count; i++) {
    try {
      return await within(ms, signal, attempt);
    } catch (error) {
      if (!(error instanceof Timeout)) throw error;
    }
  }
  return undefined;
}

/** Waits; rejects with what `signal` says. Keeps the program alive unless told otherwise. */
export function pause(ms: number, signal?: AbortSignal, keepsAlive = true): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const aborted = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', aborted);
      resolve();
    }, ms);
    if (!keepsAlive) timer.unref();
    signal?.addEventListener('abort', aborted, { once: true });
  });
}

/** Longest delay of a timer of Node. */
const LONGEST = 2 ** 31 - 1;

/** One thing to do later; setting it anew forgets the last one. */
export class Alarm {
  #timer: NodeJS.Timeout | undefined;

  /** Calls `action` in `ms`, which may be months; never for Infinity. */
  set(ms: number, action: () => void): void {
    this.clear();
    if (ms === Infinity) return;
    const next = Math.min(Math.max(ms, 0), LONGEST);
    this.#timer = setTimeout(() => (next < ms ? this.set(ms - next, action) : action()), next).unref();
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
