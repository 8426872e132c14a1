/**
 * Disassembler of seccomp filters, in the columns of seccomp-tools: line, opcode, jumps, constant, and what
 * the instruction says, with the names of system calls, architectures, actions and errors.
 */
import { errnoName } from '../errno.ts';
import { byNumberOf, runningArch, type Arch } from '../syscalls/table.ts';
import { ALU, AUDIT_ARCH, CODE, DATA, decode, JUMP, SOURCE_X, splitResult, type Instruction } from './bpf.ts';

/** What is known about A before an instruction, whatever way led there. */
interface Knowledge {
  /** The member of struct seccomp_data in A. */
  readonly a: 'nr' | 'arch' | 'other';
  /** Whose numbers nr holds: an AUDIT_ARCH_… number, `any` while nothing was compared, undefined when unclear. */
  readonly arch: number | 'any' | undefined;
}

export interface DisassembleOptions {
  /** Architecture of the names of system calls where the filter does not test it; the running one by default. */
  readonly arch?: Arch;
}

const hex = (value: number, digits = 1): string => `0x${value.toString(16).padStart(digits, '0')}`;
const line = (value: number): string => String(value).padStart(4, '0');

const ARCH_NAMES = new Map(
  Object.entries(AUDIT_ARCH).map(([name, value]) => [value as number, `ARCH_${name}`]),
);
const ARCH_OF = new Map<number, Arch>([
  [AUDIT_ARCH.X86_64, 'x64'],
  [AUDIT_ARCH.AARCH64, 'arm64'],
]);

const OPERATORS = new Map<number, string>([
  [ALU.ADD, '+='],
  [ALU.SUB, '-='],
  [ALU.MUL, '*='],
  [ALU.DIV, '/='],
  [ALU.OR, '|='],
  [ALU.AND, '&='],
  [ALU.XOR, '^='],
  [ALU.LSH, '<<='],
  [ALU.RSH, '>>='],
]);

/** Each jump's condition, and the opposite one. */
const COMPARISONS = new Map<number, readonly [string, string]>([
  [JUMP.JEQ, ['==', '!=']],
  [JUMP.JGT, ['>', '<=']],
  [JUMP.JGE, ['>=', '<']],
  [JUMP.JSET, ['&', '&']],
]);

/** Name of the word at `offset` of struct seccomp_data. */
function member(offset: number): string {
  if (offset === DATA.nr) return 'sys_number';
  if (offset === DATA.arch) return 'arch';
  if (offset === DATA.ipLo) return 'instruction_pointer';
  if (offset === DATA.ipHi) return 'instruction_pointer >> 32';
  if (offset >= DATA.size || offset % 4 !== 0) return `data[${offset}]`;
  const index = (offset - DATA.args) >> 3;
  return (offset - DATA.args) % 8 === 0 ? `args[${index}]` : `args[${index}] >> 32`;
}

/** The result of a filter in words: `USER_NOTIF`, `ERRNO(ENOSYS)`, `TRACE(1)`. */
export function formatResult(result: number): string {
  const { action, data } = splitResult(result);
  if (action === 'ERRNO') return `ERRNO(${data === 0 ? 0 : errnoName(data)})`;
  return data === 0 ? action : `${action}(${data})`;
}

/** A constant that A is compared with. */
function operandText(k: number, known: Knowledge, fallback: Arch): string {
  if (known.a === 'arch') return ARCH_NAMES.get(k) ?? hex(k);
  if (known.a !== 'nr' || known.arch === undefined) return hex(k);
  const arch = known.arch === 'any' ? fallback : ARCH_OF.get(known.arch);
  return (arch && byNumberOf[arch].get(k)?.name) ?? hex(k);
}

function jumpText({ code, jt, jf, k }: Instruction, pc: number, known: Knowledge, fallback: Arch): string {
  const [yes, no] = COMPARISONS.get(code & ~SOURCE_X)!;
  const bits = yes === '&';
  const operand = code & SOURCE_X ? 'X' : bits ? hex(k) : operandText(k, known, fallback);
  const target = (skip: number): string => `goto ${line(pc + 1 + skip)}`;
  if (jt === jf) return target(jt);
  const opposite = bits ? `!(A & ${operand})` : `A ${no} ${operand}`;
  if (jt === 0) return `if (${opposite}) ${target(jf)}`;
  return `if (A ${yes} ${operand}) ${target(jt)}${jf === 0 ? '' : ` else ${target(jf)}`}`;
}

/** Texts of the opcodes that need nothing but their constant. */
const TEXTS = new Map<number, (k: number, pc: number) => string>([
  [CODE.LD_ABS, (k) => `A = ${member(k)}`],
  [CODE.LD_IMM, (k) => `A = ${hex(k)}`],
  [CODE.LDX_IMM, (k) => `X = ${hex(k)}`],
  [CODE.LD_LEN, () => 'A = sizeof(struct seccomp_data)'],
  [CODE.LDX_LEN, () => 'X = sizeof(struct seccomp_data)'],
  [CODE.LD_MEM, (k) => `A = mem[${k}]`],
  [CODE.LDX_MEM, (k) => `X = mem[${k}]`],
  [CODE.ST, (k) => `mem[${k}] = A`],
  [CODE.STX, (k) => `mem[${k}] = X`],
  [CODE.TAX, () => 'X = A'],
  [CODE.TXA, () => 'A = X'],
  [CODE.NEG, () => 'A = -A'],
  [CODE.JA, (k, pc) => `goto ${line(pc + 1 + k)}`],
  [CODE.RET_K, (k) => `return ${formatResult(k)}`],
  [CODE.RET_A, () => 'return A'],
]);

function textOf(instruction: Instruction, pc: number, known: Knowledge, fallback: Arch): string {
  const { code, k } = instruction;
  const plain = code & ~SOURCE_X;
  const operator = OPERATORS.get(plain);
  if (operator) return `A ${operator} ${code & SOURCE_X ? 'X' : hex(k)}`;
  if (COMPARISONS.has(plain)) return jumpText(instruction, pc, known, fallback);
  return TEXTS.get(code)?.(k, pc) ?? `(not in seccomp: opcode ${hex(code)})`;
}

/** What is known after `instruction`, on the way where its condition holds or does not. */
function after({ code, k }: Instruction, known: Knowledge): [Knowledge, Knowledge] {
  if (code === CODE.LD_ABS) {
    const a = k === DATA.nr ? 'nr' : k === DATA.arch ? 'arch' : 'other';
    return [
      { ...known, a },
      { ...known, a },
    ];
  }
  if (code === JUMP.JEQ && known.a === 'arch') {
    return [
      { ...known, arch: k },
      { ...known, arch: known.arch === 'any' ? undefined : known.arch },
    ];
  }
  const keepsA =
    COMPARISONS.has(code & ~SOURCE_X) || [CODE.JA, CODE.ST, CODE.STX, CODE.TAX].some((each) => each === code);
  const next = keepsA || (code & 7) === 1 ? known : { ...known, a: 'other' as const };
  return [next, next];
}

/** Follows all ways forward: what is known about A before each instruction. */
function analyse(program: readonly Instruction[]): (Knowledge | undefined)[] {
  const before: (Knowledge | undefined)[] = [{ a: 'other', arch: 'any' }];
  const join = (pc: number, news: Knowledge): void => {
    const old = before[pc];
    before[pc] = old
      ? { a: old.a === news.a ? old.a : 'other', arch: old.arch === news.arch ? old.arch : undefined }
      : news;
  };
  program.forEach((instruction, pc) => {
    const known = before[pc];
    const { code, jt, jf, k } = instruction;
    if (!known || code === CODE.RET_K || code === CODE.RET_A) return;
    const [yes, no] = after(instruction, known);
    if (code === CODE.JA) join(pc + 1 + k, yes);
    else if (COMPARISONS.has(code & ~SOURCE_X)) {
      join(pc + 1 + jt, yes);
      join(pc + 1 + jf, no);
    } else join(pc + 1, yes);
  });
  return before;
}

const UNKNOWN: Knowledge = { a: 'other', arch: undefined };

/**
 * The text of a filter (an array of struct sock_filter), one line per instruction under a heading. Programs
 * that the kernel would refuse are shown all the same. Throws RangeError for a size that is no multiple of 8.
 */
export function disassemble(filter: Uint8Array, options: DisassembleOptions = {}): string {
  const program = decode(filter);
  const before = analyse(program);
  const lines = program.map((instruction, pc) => {
    const { code, jt, jf, k } = instruction;
    const text = textOf(instruction, pc, before[pc] ?? UNKNOWN, options.arch ?? runningArch);
    return ` ${line(pc)}: ${hex(code, 2)} ${hex(jt, 2)} ${hex(jf, 2)} ${hex(k, 8)}  ${text}`;
  });
  return [' line  CODE  JT   JF      K', '='.repeat(33), ...lines, ''].join('\n');
}
