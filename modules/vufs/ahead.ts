/**
 * Copies of large files, made piece by piece before the call that needs them goes on, so that other guests do not wait
 * meanwhile. A copy belongs to what the file was when it was begun; it is thrown away if that has changed.
 */
import { asSelf } from '../../runtime/files/identity.ts';
import type { Layer } from '../../runtime/files/layer.ts';
import type { Place } from '../../runtime/vm/mounts.ts';
import { copyContent } from './copy.ts';
import { removeAll, type Whiteouts } from './whiteouts.ts';

/** Bytes from which on a file is large: what is smaller is copied in some milliseconds. */
export const LARGE = 16 << 20;
/** Finished copies that wait for their call, which may have been interrupted. */
const MOST_WAITING = 4;

interface Copy {
  /** Path in the upper directory. */
  readonly work: string;
  readonly done: Promise<void>;
  finished: boolean;
}

/** The copies that are made ahead for one mount. */
export class CopiesAhead {
  readonly #upper: Layer;
  readonly #whiteouts: Whiteouts;
  /** By what a file of the lower tree is. */
  readonly #copies = new Map<string, Copy>();
  #closed = false;

  constructor(upper: Layer, whiteouts: Whiteouts) {
    this.#upper = upper;
    this.#whiteouts = whiteouts;
  }

  /** Copies the content of `from`, known as `key`. Undefined where that has been done. Rejects with Errno. */
  start(key: string, from: Place, size: number): Promise<void> | undefined {
    const known = this.#copies.get(key);
    if (known) return known.finished ? undefined : known.done;
    const work = this.#whiteouts.workName();
    const copy: Copy = { work, finished: false, done: this.#make(from, work, size) };
    this.#copies.set(key, copy);
    return copy.done.then(
      () => {
        copy.finished = true;
        this.#forgetOldest();
      },
      (error: unknown) => {
        this.#drop(key);
        throw error;
      },
    );
  }

  /** The finished copy of the file `key`, whose place in the upper directory is then the caller's. */
  take(key: string): string | undefined {
    const copy = this.#copies.get(key);
    if (!copy?.finished) return undefined;
    this.#copies.delete(key);
    return copy.work;
  }

  close(): void {
    this.#closed = true;
    for (const key of [...this.#copies.keys()]) this.#drop(key);
  }

  async #make(from: Place, work: string, size: number): Promise<void> {
    const steps = asSelf(() => copyContent(from, { layer: this.#upper, path: work }, size));
    while (!asSelf(() => steps.next()).done) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#closed) return void steps.return();
    }
  }

  #forgetOldest(): void {
    const waiting = [...this.#copies].filter(([, { finished }]) => finished);
    for (const [key] of waiting.slice(0, Math.max(0, waiting.length - MOST_WAITING))) this.#drop(key);
  }

  #drop(key: string): void {
    const copy = this.#copies.get(key);
    this.#copies.delete(key);
    if (!copy) return;
    try {
      asSelf(() => removeAll(this.#upper, copy.work));
    } catch {
      // It had not been made yet. What is left is removed by the next mount.
    }
  }
}
