/**
 * What a handler answers to a trapped call. There are four answers, and no fifth:
 *
 * - a number: the value that the call returns in the guest (zero or more);
 * - throw an {@link Errno}: the call fails with it;
 * - {@link PASS}: the kernel does the call, with whatever is then in the guest's memory, so PASS is never an
 *   answer on which isolation depends;
 * - {@link inject}: a copy of a descriptor is put into the guest, and the call returns its number there.
 *
 * A promise of one of these blocks the caller until it settles; see {@link Call.signal}.
 */

/** Let the kernel do the call. */
export const PASS = Symbol('PASS');

/** A descriptor of the supervisor that the guest gets a copy of. The dispatcher closes `fd` after that. */
export class Injection {
  readonly fd: number;
  readonly cloexec: boolean;
  constructor(fd: number, cloexec: boolean) {
    this.fd = fd;
    this.cloexec = cloexec;
  }
}

/** Answers with a copy of `fd`, which the dispatcher then closes. TypeError where a stack gave something else. */
export function inject(fd: number, cloexec: boolean): Injection {
  if (!Number.isInteger(fd) || fd < 0) throw new TypeError(`no descriptor: ${String(fd)}`);
  return new Injection(fd, cloexec);
}

export type Outcome = number | typeof PASS | Injection;
export type Answer = Outcome | Promise<Outcome>;
