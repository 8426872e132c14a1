import { describe, expect, test } from 'vitest';
import {
  ALU,
  AUDIT_ARCH,
  CODE,
  encode,
  JUMP,
  SOURCE_X,
  type Instruction,
} from '../../runtime/seccomp/bpf.ts';
import { checkFilter, run, type SyscallData } from '../../runtime/seccomp/emulate.ts';

const op = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
const RET = op(CODE.RET_K, 0x7fff0000);
const call: SyscallData = {
  nr: 41,
  arch: AUDIT_ARCH.X86_64,
  instructionPointer: 0x1122_3344_5566_7788n,
  args: [1n, 0xaaaa_bbbb_cccc_ddddn, 0n, 0n, 0n, 0xffff_ffff_0000_0001n],
};
/** The result of a program that ends by returning A. */
const resultOf = (...program: Instruction[]): number =>
  run(encode([...program, op(CODE.RET_A)]), call).result;

test('loads every word of struct seccomp_data', () => {
  const word = (offset: number) => resultOf(op(CODE.LD_ABS, offset));
  expect([0, 4, 8, 12].map(word)).toEqual([41, 0xc000003e, 0x55667788, 0x11223344]);
  expect([16, 20, 24, 28].map(word)).toEqual([1, 0, 0xccccdddd, 0xaaaabbbb]);
  expect([56, 60].map(word)).toEqual([1, 0xffffffff]);
  expect(resultOf(op(CODE.LD_LEN))).toBe(64);
});

test.each([
  ['ADD', 0xffffffff, 2, 1],
  ['SUB', 1, 2, 0xffffffff],
  ['MUL', 0x10001, 0x10001, 0x20001],
  ['DIV', 7, 2, 3],
  ['OR', 0xf0000000, 1, 0xf0000001],
  ['AND', 0xf0f00000, 0xff000000, 0xf0000000],
  ['XOR', 0xff000000, 0xf0000000, 0x0f000000],
  ['LSH', 1, 31, 0x80000000],
  ['RSH', 0x80000000, 31, 1],
] as const)('%s with a constant and with X', (name, a, b, result) => {
  expect(resultOf(op(CODE.LD_IMM, a), op(ALU[name], b))).toBe(result);
  expect(resultOf(op(CODE.LDX_IMM, b), op(CODE.LD_IMM, a), op(ALU[name] | SOURCE_X))).toBe(result);
});

test('negation, X and scratch memory', () => {
  expect(resultOf(op(CODE.LD_IMM, 1), op(CODE.NEG))).toBe(0xffffffff);
  expect(resultOf(op(CODE.LD_IMM, 5), op(CODE.TAX), op(CODE.LD_IMM, 1), op(CODE.TXA))).toBe(5);
  expect(resultOf(op(CODE.LD_IMM, 9), op(CODE.ST, 15), op(CODE.LD_IMM, 0), op(CODE.LD_MEM, 15))).toBe(9);
  expect(resultOf(op(CODE.LDX_LEN), op(CODE.STX, 0), op(CODE.LDX_MEM, 0), op(CODE.TXA))).toBe(64);
});

test('a division by an X of zero ends with 0', () => {
  expect(run(encode([op(CODE.LD_IMM, 1), op(ALU.DIV | SOURCE_X), RET]), call).action).toBe('KILL_THREAD');
});

test.each([
  ['JEQ', 5, 4],
  ['JGT', 4, 5],
  ['JGE', 5, 6],
  ['JSET', 4, 2],
] as const)('%s compares unsigned words', (name, yes, no) => {
  const jump = (k: number) => resultOf(op(CODE.LD_IMM, 5), op(JUMP[name], k, 1, 0), op(CODE.LD_IMM, 0));
  expect(jump(yes)).toBe(5);
  expect(jump(no)).toBe(0);
});

test('actions and their data', () => {
  const of = (result: number) => run(encode([op(CODE.RET_K, result)]), call);
  expect(of(0x7fff0000)).toMatchObject({ action: 'ALLOW', data: 0 });
  expect(of(0x00050026)).toMatchObject({ action: 'ERRNO', data: 38 });
  expect(of(0x7fc00000)).toMatchObject({ action: 'USER_NOTIF' });
  expect(of(0x7ff00007)).toMatchObject({ action: 'TRACE', data: 7 });
  // What the kernel does not know kills.
  expect(of(0x12340000)).toMatchObject({ action: 'KILL_PROCESS' });
});

describe('refuses what the kernel refuses', () => {
  test.each<[string, Instruction[], string]>([
    ['an empty program', [], '0 instructions'],
    ['a long program', Array.from({ length: 4097 }, () => RET), '4097 instructions'],
    ['no return at the end', [RET, op(CODE.LD_IMM)], 'the last instruction is no return'],
    ['a byte load', [op(0x30, 0), RET], 'unknown opcode 0x30'],
    ['a modulo', [op(0x94, 3), RET], 'unknown opcode 0x94'],
    ['a negation with X', [op(0x8c), RET], 'unknown opcode 0x8c'],
    ['an indirect load', [op(0x40), RET], 'unknown opcode 0x40'],
    ['a load that is not aligned', [op(CODE.LD_ABS, 2), RET], 'outside of struct seccomp_data'],
    ['a load from the end', [op(CODE.LD_ABS, 64), RET], 'outside of struct seccomp_data'],
    ['a division by 0', [op(ALU.DIV, 0), RET], 'division by zero'],
    ['a shift by 32', [op(ALU.LSH, 32), RET], 'shift by 32'],
    ['scratch word 16', [op(CODE.ST, 16), RET], 'no scratch word 16'],
    ['a scratch word that was not stored', [op(CODE.LD_MEM, 1), RET], 'may not have been stored'],
    [
      'a scratch word that was stored on one of two ways',
      [op(JUMP.JEQ, 1, 1, 0), op(CODE.ST, 3), op(CODE.LD_MEM, 3), RET],
      'line 2: scratch word 3',
    ],
    ['a jump to the end', [op(CODE.JA, 1), RET], 'jump out of the program'],
    ['a far jump', [op(JUMP.JEQ, 0, 0, 200), RET], 'jump out of the program'],
  ])('%s', (_, program, reason) => {
    expect(() => checkFilter(encode(program))).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => checkFilter(encode(program))).toThrow(reason);
  });

  test('half an instruction', () => {
    expect(() => checkFilter(new Uint8Array(12))).toThrow('12 bytes');
  });

  test('but takes a scratch word that was stored on both ways', () => {
    const program = [
      op(JUMP.JEQ, 1, 0, 2),
      op(CODE.ST, 3),
      op(CODE.JA, 1),
      op(CODE.STX, 3),
      op(CODE.LD_MEM, 3),
      RET,
    ];
    expect(checkFilter(encode(program))).toHaveLength(6);
  });
});
