/**
 * Classic BPF as seccomp(2) uses it: the instruction, its encoding, and the words and numbers of
 * linux/bpf_common.h, linux/seccomp.h and linux/audit.h.
 */

/** struct sock_filter. */
export interface Instruction {
  readonly code: number;
  /** Instructions to skip when a jump's condition holds. */
  readonly jt: number;
  /** Instructions to skip when it does not. */
  readonly jf: number;
  /** Constant, unsigned 32 bits. */
  readonly k: number;
}

/** Longest program that the kernel takes (BPF_MAXINSNS). */
export const MAX_INSTRUCTIONS = 4096;
/** Size of an encoded instruction. */
export const INSTRUCTION_SIZE = 8;
/** Words of scratch memory, M[0] to M[15] (BPF_MEMWORDS). */
export const SCRATCH_WORDS = 16;

/** Opcodes: class | size or operation | mode or source. */
export const CODE = {
  LD_ABS: 0x20,
  LD_LEN: 0x80,
  LDX_LEN: 0x81,
  LD_IMM: 0x00,
  LDX_IMM: 0x01,
  LD_MEM: 0x60,
  LDX_MEM: 0x61,
  ST: 0x02,
  STX: 0x03,
  JA: 0x05,
  RET_K: 0x06,
  RET_A: 0x16,
  NEG: 0x84,
  TAX: 0x07,
  TXA: 0x87,
} as const;

/** Set in the opcode of an operation or a jump that uses X in the place of the constant. */
export const SOURCE_X = 0x08;

/** Conditional jumps on A and the constant; with {@link SOURCE_X} on A and X. */
export const JUMP = { JEQ: 0x15, JGT: 0x25, JGE: 0x35, JSET: 0x45 } as const;

/** Arithmetic on A and the constant; with {@link SOURCE_X} on A and X. The kernel refuses MOD in filters. */
export const ALU = {
  ADD: 0x04,
  SUB: 0x14,
  MUL: 0x24,
  DIV: 0x34,
  OR: 0x44,
  AND: 0x54,
  LSH: 0x64,
  RSH: 0x74,
  XOR: 0xa4,
} as const;

/** Size of struct seccomp_data, and where its members lie (little endian). */
export const DATA = { nr: 0, arch: 4, ipLo: 8, ipHi: 12, args: 16, size: 64 } as const;
/** Offset of the low half of argument `index` in struct seccomp_data; the high half comes 4 bytes later. */
export const argOffset = (index: number): number => DATA.args + 8 * index;

/** Actions that a filter returns, in the high 16 bits of its result. */
export const ACTION = {
  KILL_PROCESS: 0x80000000,
  KILL_THREAD: 0x00000000,
  TRAP: 0x00030000,
  ERRNO: 0x00050000,
  USER_NOTIF: 0x7fc00000,
  TRACE: 0x7ff00000,
  LOG: 0x7ffc0000,
  ALLOW: 0x7fff0000,
} as const;

export type Action = keyof typeof ACTION;

/** The bits of a result that are the action; the others are its data. */
export const ACTION_MASK = 0xffff0000;
export const DATA_MASK = 0xffff;

/** AUDIT_ARCH_… numbers: what seccomp_data.arch holds. */
export const AUDIT_ARCH = {
  X86_64: 0xc000003e,
  I386: 0x40000003,
  AARCH64: 0xc00000b7,
  ARM: 0x40000028,
  RISCV64: 0xc00000f3,
  PPC64LE: 0xc0000015,
  S390X: 0x80000016,
} as const;

/** Action and data of a filter's result; an unknown action kills the process, as in the kernel. */
export function splitResult(result: number): { action: Action; data: number } {
  const bits = (result & ACTION_MASK) >>> 0;
  const action = (Object.keys(ACTION) as Action[]).find((name) => ACTION[name] === bits);
  return { action: action ?? 'KILL_PROCESS', data: result & DATA_MASK };
}

/** Encodes instructions as an array of struct sock_filter. */
export function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * INSTRUCTION_SIZE);
  const view = new DataView(bytes.buffer);
  program.forEach(({ code, jt, jf, k }, index) => {
    const at = index * INSTRUCTION_SIZE;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jt);
    view.setUint8(at + 3, jf);
    view.setUint32(at + 4, k, true);
  });
  return bytes;
}

/** Decodes an array of struct sock_filter. Throws RangeError when its size is not a multiple of 8. */
export function decode(bytes: Uint8Array): Instruction[] {
  if (bytes.length % INSTRUCTION_SIZE !== 0) {
    throw new RangeError(`a BPF program of ${bytes.length} bytes: not a multiple of ${INSTRUCTION_SIZE}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / INSTRUCTION_SIZE }, (_, index) => {
    const at = index * INSTRUCTION_SIZE;
    return {
      code: view.getUint16(at, true),
      jt: view.getUint8(at + 2),
      jf: view.getUint8(at + 3),
      k: view.getUint32(at + 4, true),
    };
  });
}
