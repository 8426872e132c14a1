/** Random data for property tests, the same in each run, so that a failure can be seen again. */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** A number from 0 to below `limit` (mulberry32). */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  list<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.below(most + 1) }, make);
  }

  /** `bytes` with some of them changed, cut or repeated. */
  damage(bytes: Uint8Array): Uint8Array {
    const result = Uint8Array.from(bytes);
    for (let i = this.below(4); i >= 0 && result.length > 0; i--) {
      result[this.below(result.length)] = this.pick([0, 1, 0xc0, 0xff, this.below(256)]);
    }
    const kind = this.below(4);
    if (kind === 0) return result.subarray(0, this.below(result.length + 1));
    if (kind === 1) return Uint8Array.from([...result, ...this.bytes(this.below(20))]);
    return result;
  }
}
