/** What the kernel would do with a seccomp filter: its checker and its interpreter (net/core/filter.c, kernel/seccomp.c). */
import { Errno } from '../errno.ts';
import {
  ALU,
  argOffset,
  CODE,
  DATA,
  decode,
  JUMP,
  MAX_INSTRUCTIONS,
  SCRATCH_WORDS,
  SOURCE_X,
  splitResult,
} from './bpf.ts';
import type { Action, Instruction } from './bpf.ts';

/** A system call as a filter sees it: struct seccomp_data. */
export interface SyscallData {
  /** Number; negative ones are taken as the kernel's int. */
  readonly nr: number;
  /** AUDIT_ARCH_… */
  readonly arch: number;
  /** Up to six arguments; missing ones are 0. */
  readonly args?: readonly bigint[];
  readonly instructionPointer?: bigint;
}

/** What a filter decides. */
export interface Verdict {
  readonly action: Action;
  /** SECCOMP_RET_DATA: the errno of ERRNO, the message of TRACE and TRAP. */
  readonly data: number;
  /** The whole result. */
  readonly result: number;
}

type Word = (a: number, b: number) => number;

const OPERATIONS = new Map<number, Word>([
  [ALU.ADD, (a, b) => a + b],
  [ALU.SUB, (a, b) => a - b],
  [ALU.MUL, (a, b) => Math.imul(a, b)],
  [ALU.DIV, (a, b) => Math.floor(a / b)],
  [ALU.OR, (a, b) => a | b],
  [ALU.AND, (a, b) => a & b],
  [ALU.XOR, (a, b) => a ^ b],
  // JavaScript takes the low 5 bits of a shift, as the kernel does for 32-bit words.
  [ALU.LSH, (a, b) => a << b],
  [ALU.RSH, (a, b) => a >>> b],
]);

const CONDITIONS = new Map<number, (a: number, b: number) => boolean>([
  [JUMP.JEQ, (a, b) => a === b],
  [JUMP.JGT, (a, b) => a > b],
  [JUMP.JGE, (a, b) => a >= b],
  [JUMP.JSET, (a, b) => (a & b) !== 0],
]);

const PLAIN = new Set<number>(Object.values(CODE));
const known = (code: number): boolean =>
  PLAIN.has(code) || OPERATIONS.has(code & ~SOURCE_X) || CONDITIONS.has(code & ~SOURCE_X);

function checkInstruction({ code, jt, jf, k }: Instruction, pc: number, length: number): string | undefined {
  const left = length - pc - 1;
  if (!known(code)) return `unknown opcode 0x${code.toString(16)}`;
  if (code === CODE.LD_ABS && (k % 4 !== 0 || k >= DATA.size))
    return `load outside of struct seccomp_data (${k})`;
  const scratch = code === CODE.ST || code === CODE.STX || code === CODE.LD_MEM || code === CODE.LDX_MEM;
  if (scratch && k >= SCRATCH_WORDS) return `no scratch word ${k}`;
  if (code === ALU.DIV && k === 0) return 'division by zero';
  if ((code === ALU.LSH || code === ALU.RSH) && k >= 32) return `shift by ${k}`;
  if (code === CODE.JA && k >= left) return 'jump out of the program';
  if (CONDITIONS.has(code & ~SOURCE_X) && (jt >= left || jf >= left)) return 'jump out of the program';
  return undefined;
}

/** Refuses the first load of a scratch word that is not stored on every way to it. */
function checkScratch(program: readonly Instruction[]): void {
  const ways = new Uint16Array(program.length).fill(0xffff);
  let stored = 0;
  program.forEach(({ code, jt, jf, k }, pc) => {
    stored &= ways[pc]!;
    const join = (skip: number): void => void (ways[pc + 1 + skip]! &= stored);
    if (code === CODE.ST || code === CODE.STX) stored |= 1 << k;
    else if (code === CODE.LD_MEM || code === CODE.LDX_MEM) {
      if (!(stored & (1 << k)))
        throw new Errno('EINVAL', `line ${pc}: scratch word ${k} may not have been stored`);
    } else if (code === CODE.JA || CONDITIONS.has(code & ~SOURCE_X)) {
      for (const skip of code === CODE.JA ? [k] : [jt, jf]) join(skip);
      stored = 0xffff;
    }
  });
}

/**
 * Decodes a filter and checks it as the kernel does before it takes one. Throws Errno EINVAL, with the reason
 * in its message, where the kernel would return it.
 */
export function checkFilter(filter: Uint8Array): Instruction[] {
  if (filter.length % 8 !== 0)
    throw new Errno('EINVAL', `${filter.length} bytes are no array of instructions`);
  const program = decode(filter);
  if (program.length === 0 || program.length > MAX_INSTRUCTIONS) {
    throw new Errno('EINVAL', `${program.length} instructions: not in 1 to ${MAX_INSTRUCTIONS}`);
  }
  program.forEach((instruction, pc) => {
    const reason = checkInstruction(instruction, pc, program.length);
    if (reason) throw new Errno('EINVAL', `line ${pc}: ${reason}`);
  });
  const last = program.at(-1)!.code;
  if (last !== CODE.RET_K && last !== CODE.RET_A)
    throw new Errno('EINVAL', 'the last instruction is no return');
  checkScratch(program);
  return program;
}

/** The words of struct seccomp_data. */
function dataWords({ nr, arch, args = [], instructionPointer = 0n }: SyscallData): Uint32Array {
  const view = new DataView(new ArrayBuffer(DATA.size));
  view.setInt32(DATA.nr, nr, true);
  view.setUint32(DATA.arch, arch, true);
  view.setBigUint64(DATA.ipLo, instructionPointer, true);
  args.forEach((value, index) => view.setBigUint64(argOffset(index), value, true));
  return Uint32Array.from({ length: DATA.size / 4 }, (_, index) => view.getUint32(4 * index, true));
}

/** Runs a checked program. The kernel turns a division by an X of zero into a return of 0. */
function execute(program: readonly Instruction[], data: Uint32Array): number {
  const memory = new Uint32Array(SCRATCH_WORDS);
  let a = 0;
  let x = 0;
  for (let pc = 0; ; pc++) {
    const { code, jt, jf, k } = program[pc]!;
    const plain = code & ~SOURCE_X;
    const operand = code & SOURCE_X ? x : k;
    const operation = OPERATIONS.get(plain);
    const condition = CONDITIONS.get(plain);
    if (operation) {
      if (plain === ALU.DIV && operand === 0) return 0;
      a = operation(a, operand) >>> 0;
    } else if (condition) pc += condition(a, operand) ? jt : jf;
    else if (code === CODE.LD_ABS) a = data[k / 4]!;
    else if (code === CODE.RET_K) return k;
    else if (code === CODE.RET_A) return a;
    else if (code === CODE.JA) pc += k;
    else if (code === CODE.LD_IMM) a = k;
    else if (code === CODE.LDX_IMM) x = k;
    else if (code === CODE.LD_LEN) a = DATA.size;
    else if (code === CODE.LDX_LEN) x = DATA.size;
    else if (code === CODE.LD_MEM) a = memory[k]!;
    else if (code === CODE.LDX_MEM) x = memory[k]!;
    else if (code === CODE.ST) memory[k] = a;
    else if (code === CODE.STX) memory[k] = x;
    else if (code === CODE.TAX) x = a;
    else if (code === CODE.TXA) a = x;
    else a = -a >>> 0;
  }
}

/** A filter made ready to run many times. Throws as {@link checkFilter} does. */
export function loadFilter(filter: Uint8Array): (call: SyscallData) => Verdict {
  const program = checkFilter(filter);
  return (call) => {
    const result = execute(program, dataWords(call));
    return { ...splitResult(result), result };
  };
}

/** What `filter` decides on `call`. Throws as {@link checkFilter} does. */
export const run = (filter: Uint8Array, call: SyscallData): Verdict => loadFilter(filter)(call);
