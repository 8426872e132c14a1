/**
 * From the system-call table to the seccomp filter of a guest tree.
 *
 * Every call has one of three fates: trapped (a user notification), left to the kernel, or refused with
 * ENOSYS, as a kernel does that does not have the call. Refused are
 *
 * - calls that would walk round the view (io_uring: its requests never pass a filter);
 * - numbers that the table does not have: a call of a newer kernel may name things in a way that no module
 *   knows, and its callers have to live with older kernels. The x32 calls (bit 30 set) are among these;
 * - foreign architectures: 32-bit calls on x86-64, by `int $0x80` or of a 32-bit program. Killing the process
 *   would hit programs that only try; ENOSYS lets them go on or give up by themselves. To give up they need
 *   exit and exit_group (musl repeats a failing exit for ever), so these two are left to the kernel.
 *
 * -1 is left to the kernel too: a tracer (strace, gdb, rr) sets it to skip a call, and its result is to stay.
 *
 * The program is a binary search over intervals of numbers with the same fate. Of calls that it allows
 * whatever their arguments, the kernel (5.11 and later) keeps a bitmap and does not run it at all, which is
 * why only leaves read arguments.
 */
import { constants } from 'node:os';
import { byName, SYSCALLS, trappable, type Arch, type ArgTest, type SyscallName } from '../syscalls/table.ts';
import { ACTION, argOffset, AUDIT_ARCH, CODE, DATA, encode, JUMP, MAX_INSTRUCTIONS } from './bpf.ts';
import type { Instruction } from './bpf.ts';

export interface FilterRequest {
  /** Calls that are to become user notifications. */
  readonly trap: readonly SyscallName[];
  readonly arch: Arch;
}

/** A piece of program that ends in returns on all of its ways. */
export type Code = readonly Instruction[];

const U32 = 2 ** 32 - 1;
/** Farthest conditional jump: jt and jf are bytes. */
const FAR = 255;

const load = (offset: number): Instruction => ({ code: CODE.LD_ABS, jt: 0, jf: 0, k: offset });
const ret = (result: number): Code => [{ code: CODE.RET_K, jt: 0, jf: 0, k: result }];

const ALLOW = ret(ACTION.ALLOW);
const NOTIFY = ret(ACTION.USER_NOTIF);
const REFUSE = ret(ACTION.ERRNO | constants.errno.ENOSYS);

/** The native architecture, and the 32-bit one that its processors run too, with its numbers of exit and exit_group. */
const ARCHES: Record<Arch, { native: number; compat: number; exits: readonly [number, number] }> = {
  x64: { native: AUDIT_ARCH.X86_64, compat: AUDIT_ARCH.I386, exits: [1, 252] },
  arm64: { native: AUDIT_ARCH.AARCH64, compat: AUDIT_ARCH.ARM, exits: [1, 248] },
};

/** `yes` when the comparison of A with `k` holds, else `no`. Jumps go forward only, and a far one needs a JA. */
function branch(code: number, k: number, yes: Code, no: Code): Code {
  if (no.length <= FAR) return [{ code, jt: no.length, jf: 0, k }, ...no, ...yes];
  const skip = { code: CODE.JA, jt: 0, jf: 0, k: no.length };
  return [{ code, jt: 0, jf: 1, k }, skip, ...no, ...yes];
}

/** An interval of the values of A: from `from` to the next interval. */
interface Interval {
  readonly from: number;
  readonly code: Code;
}

/** Decides on A by binary search. The first interval starts at 0. */
function search(intervals: readonly Interval[]): Code {
  const [first, second, third] = intervals;
  if (!second) return first!.code;
  if (!third && second.from === 1) return branch(JUMP.JEQ, 0, first!.code, second.code);
  if (intervals.length === 3 && third!.from === second.from + 1 && third!.code === first!.code) {
    return branch(JUMP.JEQ, second.from, second.code, first!.code);
  }
  const middle = intervals.length >> 1;
  const [below, above] = [intervals.slice(0, middle), intervals.slice(middle)];
  return branch(JUMP.JGE, above[0]!.from, search(above), search(below));
}

/** Values of A, `first` to `last`, that share a fate. */
interface Values {
  readonly first: number;
  readonly last: number;
  readonly code: Code;
}

/**
 * Decides on A: `values`, which do not overlap, have fates of their own, and all others `otherwise`. Neighbours
 * with the same fate are joined. (Exported for the test of long programs.)
 */
export function decide(values: readonly Values[], otherwise: Code): Code {
  const intervals: Interval[] = [];
  const add = (from: number, code: Code): void => {
    if (from <= U32 && intervals.at(-1)?.code !== code) intervals.push({ from, code });
  };
  let next = 0;
  for (const { first, last, code } of values.toSorted((a, b) => a.first - b.first)) {
    if (first > next) add(next, otherwise);
    add(first, code);
    next = last + 1;
  }
  add(next, otherwise);
  return search(intervals);
}

/** Loads an argument and goes to `hit` when `test` holds, else lets the kernel do the call. */
function testArgument(test: ArgTest, hit: Code): Code {
  const low = argOffset(test.arg);
  if (test.kind === 'range') {
    const inside = test.ranges.map(([first, last]) => ({ first, last, code: test.inside ? hit : ALLOW }));
    return [load(low), ...decide(inside, test.inside ? ALLOW : hit)];
  }
  const highIsZero = [load(low + 4), ...decide([{ first: 0, last: 0, code: ALLOW }], hit)];
  return [load(low), ...decide([{ first: 0, last: 0, code: highIsZero }], hit)];
}

/** Fate of a trapped call: a notification when all of its tests hold. */
const trapped = (tests: readonly ArgTest[]): Code =>
  tests.reduceRight<Code>((hit, test) => testArgument(test, hit), NOTIFY);

/** Instructions of the filter. */
function buildProgram({ trap, arch }: FilterRequest): Code {
  for (const name of trap) {
    const spec = byName.get(name);
    if (!spec) throw new TypeError(`unknown system call ${name}`);
    if (!trappable(spec))
      throw new TypeError(`${name} cannot be trapped: docs/syscalls.md says «${spec.support}»`);
  }
  const wanted = new Set(trap);
  const fates = SYSCALLS.flatMap((spec) => {
    const nr = spec.numbers[arch];
    if (nr === undefined) return [];
    const code = wanted.has(spec.name) ? trapped(spec.only) : spec.support === 'enosys' ? REFUSE : ALLOW;
    return [{ first: nr, last: nr, code }];
  });
  const calls = [load(DATA.nr), ...decide([...fates, { first: U32, last: U32, code: ALLOW }], REFUSE)];

  const { native, compat, exits } = ARCHES[arch];
  const leave = exits.map((nr) => ({ first: nr, last: nr, code: ALLOW }));
  const foreign = branch(JUMP.JEQ, compat, [load(DATA.nr), ...decide(leave, REFUSE)], REFUSE);
  return [load(DATA.arch), ...branch(JUMP.JEQ, native, calls, foreign)];
}

/**
 * The filter that traps `trap`, as an array of struct sock_filter. Throws TypeError for a call that the table
 * does not have or does not let trap, RangeError when the program is too long for the kernel.
 */
export function buildFilter(request: FilterRequest): Uint8Array {
  const program = buildProgram(request);
  if (program.length > MAX_INSTRUCTIONS) throw new RangeError(`a filter of ${program.length} instructions`);
  return encode(program);
}
