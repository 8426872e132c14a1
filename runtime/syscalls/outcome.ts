/**
 * What a handler answers to a trapped call. There are five answers, and no sixth:
 *
 * - a number: the value that the call returns in the guest (zero or more);
 * - throw an {@link Errno}: the call fails with it;
 * - {@link PASS}: the kernel does the call, with whatever is then in the guest's memory, so PASS is never an
 *   answer on which isolation depends;
 * - {@link inject}: a copy of a descriptor is put into the guest, and the call returns its number there;
 * - {@link rewrite}: the caller does another system call instead, and the call returns what that returns.
 *
 * A promise of one of these blocks the caller until it settles; see {@link Call.signal}.
 */

import { Errno } from '../errno.ts';
import type { Substitute } from '../native.ts';

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

/** In the arguments of {@link rewrite}: the number that the lent descriptor has in the guest. */
export const LENT = Symbol('LENT');

/** Another call that the caller does; see {@link rewrite}. */
export class Rewriting {
  readonly substitute: Substitute;
  /** The negated errno of a caller that another tracer holds. */
  readonly refused: number;
  constructor(substitute: Substitute, refused: number) {
    this.substitute = substitute;
    this.refused = refused;
  }
}

/** What {@link rewrite} can be told beside the call. */
export interface RewriteOptions {
  /** A descriptor of ours that the caller has for the time of the call; the dispatcher then closes `lend`. */
  lend?: number;
  /** See Substitute; the dispatcher closes its descriptor too. */
  program?: NonNullable<Substitute['program']>;
  /** What the call fails with where the caller has a tracer of its own (strace, gdb): EPERM. */
  refused?: Errno;
}

/**
 * Answers by letting the caller do system call `nr` with `args` instead: `rewrite(SYS.fchdir, [LENT], { lend: fd })`.
 * The caller must be able to do it at once, without waiting for anybody.
 */
export function rewrite(
  nr: number,
  args: readonly (number | bigint | typeof LENT)[],
  { lend = -1, program, refused = new Errno('EPERM') }: RewriteOptions = {},
): Rewriting {
  const numbers = new BigUint64Array(6);
  args.forEach((arg, index) => (numbers[index] = arg === LENT ? 0n : BigInt.asUintN(64, BigInt(arg))));
  return new Rewriting({ nr, args: numbers, fd: lend, fdArg: args.indexOf(LENT), program }, -refused.errno);
}

export type Outcome = number | typeof PASS | Injection | Rewriting;
export type Answer = Outcome | Promise<Outcome>;
