import { execFileSync } from 'node:child_process';
import { afterAll, expect, test } from 'vitest';
import { ALU, CODE, encode, JUMP, SOURCE_X, type Instruction } from '../../runtime/seccomp/bpf.ts';
import { disassemble, formatResult } from '../../runtime/seccomp/disasm.ts';
import { buildFilter } from '../../runtime/seccomp/filter.ts';
import { SYSCALLS, trappable } from '../../runtime/syscalls/table.ts';
import { Workshop } from '../helpers/cc.ts';
import { randomProgram, seeded } from '../helpers/bpf.ts';

const workshop = new Workshop();
afterAll(() => workshop.close());

const op = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
/** The last column of each line. */
const texts = (program: Instruction[]): string[] =>
  disassemble(encode(program), { arch: 'x64' })
    .split('\n')
    .slice(2, -1)
    .map((line) => line.slice(34));

test('dump of a filter', () => {
  expect(disassemble(buildFilter({ trap: ['socket', 'sendto', 'vuctl'], arch: 'x64' })))
    .toMatchInlineSnapshot(`
    " line  CODE  JT   JF      K
    =================================
     0000: 0x20 0x00 0x00 0x00000004  A = arch
     0001: 0x15 0x0a 0x00 0xc000003e  if (A == ARCH_X86_64) goto 0012
     0002: 0x15 0x01 0x00 0x40000003  if (A == ARCH_I386) goto 0004
     0003: 0x06 0x00 0x00 0x00050026  return ERRNO(ENOSYS)
     0004: 0x20 0x00 0x00 0x00000000  A = sys_number
     0005: 0x35 0x03 0x00 0x00000002  if (A >= 0x2) goto 0009
     0006: 0x15 0x01 0x00 0x00000000  if (A == 0x0) goto 0008
     0007: 0x06 0x00 0x00 0x7fff0000  return ALLOW
     0008: 0x06 0x00 0x00 0x00050026  return ERRNO(ENOSYS)
     0009: 0x15 0x01 0x00 0x000000fc  if (A == 0xfc) goto 0011
     0010: 0x06 0x00 0x00 0x00050026  return ERRNO(ENOSYS)
     0011: 0x06 0x00 0x00 0x7fff0000  return ALLOW
     0012: 0x20 0x00 0x00 0x00000000  A = sys_number
     0013: 0x35 0x14 0x00 0x000001a9  if (A >= io_uring_setup) goto 0034
     0014: 0x35 0x06 0x00 0x0000002c  if (A >= sendto) goto 0021
     0015: 0x15 0x01 0x00 0x00000029  if (A == socket) goto 0017
     0016: 0x06 0x00 0x00 0x7fff0000  return ALLOW
     0017: 0x20 0x00 0x00 0x00000010  A = args[0]
     0018: 0x15 0x01 0x00 0x00000001  if (A == 0x1) goto 0020
     0019: 0x06 0x00 0x00 0x7fc00000  return USER_NOTIF
     0020: 0x06 0x00 0x00 0x7fff0000  return ALLOW
     0021: 0x35 0x09 0x00 0x00000151  if (A >= 0x151) goto 0031
     0022: 0x35 0x07 0x00 0x0000002d  if (A >= recvfrom) goto 0030
     0023: 0x20 0x00 0x00 0x00000030  A = args[4]
     0024: 0x15 0x01 0x00 0x00000000  if (A == 0x0) goto 0026
     0025: 0x06 0x00 0x00 0x7fc00000  return USER_NOTIF
     0026: 0x20 0x00 0x00 0x00000034  A = args[4] >> 32
     0027: 0x15 0x01 0x00 0x00000000  if (A == 0x0) goto 0029
     0028: 0x06 0x00 0x00 0x7fc00000  return USER_NOTIF
     0029: 0x06 0x00 0x00 0x7fff0000  return ALLOW
     0030: 0x06 0x00 0x00 0x7fff0000  return ALLOW
     0031: 0x35 0x01 0x00 0x000001a8  if (A >= pidfd_send_signal) goto 0033
     0032: 0x06 0x00 0x00 0x00050026  return ERRNO(ENOSYS)
     0033: 0x06 0x00 0x00 0x7fff0000  return ALLOW
     0034: 0x35 0x07 0x00 0x000001d6  if (A >= 0x1d6) goto 0042
     0035: 0x35 0x03 0x00 0x000001c9  if (A >= statmount) goto 0039
     0036: 0x35 0x01 0x00 0x000001ac  if (A >= open_tree) goto 0038
     0037: 0x06 0x00 0x00 0x00050026  return ERRNO(ENOSYS)
     0038: 0x06 0x00 0x00 0x7fff0000  return ALLOW
     0039: 0x35 0x01 0x00 0x000001cb  if (A >= lsm_get_self_attr) goto 0041
     0040: 0x06 0x00 0x00 0x00050026  return ERRNO(ENOSYS)
     0041: 0x06 0x00 0x00 0x7fff0000  return ALLOW
     0042: 0x35 0x03 0x00 0x00005656  if (A >= 0x5656) goto 0046
     0043: 0x35 0x01 0x00 0x00005655  if (A >= vuctl) goto 0045
     0044: 0x06 0x00 0x00 0x00050026  return ERRNO(ENOSYS)
     0045: 0x06 0x00 0x00 0x7fc00000  return USER_NOTIF
     0046: 0x35 0x01 0x00 0xffffffff  if (A >= 0xffffffff) goto 0048
     0047: 0x06 0x00 0x00 0x00050026  return ERRNO(ENOSYS)
     0048: 0x06 0x00 0x00 0x7fff0000  return ALLOW
    "
  `);
});

test('dump of a filter for another architecture', () => {
  const dump = disassemble(buildFilter({ trap: ['openat'], arch: 'arm64' }));
  expect(dump).toContain('if (A == ARCH_AARCH64)');
  expect(dump).toContain('if (A == openat)');
});

test('every opcode', () => {
  const program = [
    op(CODE.LD_ABS, 0),
    op(CODE.LD_ABS, 4),
    op(CODE.LD_ABS, 8),
    op(CODE.LD_ABS, 12),
    op(CODE.LD_ABS, 56),
    op(CODE.LD_ABS, 60),
    op(CODE.LD_LEN),
    op(CODE.LDX_LEN),
    op(CODE.LD_IMM, 10),
    op(CODE.LDX_IMM, 11),
    op(CODE.ST, 1),
    op(CODE.STX, 15),
    op(CODE.LD_MEM, 1),
    op(CODE.LDX_MEM, 15),
    op(CODE.TAX),
    op(CODE.TXA),
    op(CODE.NEG),
    op(ALU.ADD, 1),
    op(ALU.XOR | SOURCE_X),
    op(CODE.JA, 1),
    op(JUMP.JGT | SOURCE_X, 0, 0, 1),
    op(JUMP.JSET, 6, 0, 1),
    op(JUMP.JEQ, 6, 1, 2),
    op(CODE.RET_A),
    op(CODE.RET_K, 0x80000000),
    op(0x30, 3),
    op(CODE.RET_K, 0x00030000),
  ];
  expect(texts(program)).toEqual([
    'A = sys_number',
    'A = arch',
    'A = instruction_pointer',
    'A = instruction_pointer >> 32',
    'A = args[5]',
    'A = args[5] >> 32',
    'A = sizeof(struct seccomp_data)',
    'X = sizeof(struct seccomp_data)',
    'A = 0xa',
    'X = 0xb',
    'mem[1] = A',
    'mem[15] = X',
    'A = mem[1]',
    'X = mem[15]',
    'X = A',
    'A = X',
    'A = -A',
    'A += 0x1',
    'A ^= X',
    'goto 0021',
    'if (A <= X) goto 0022',
    'if (!(A & 0x6)) goto 0023',
    'if (A == 0x6) goto 0024 else goto 0025',
    'return A',
    'return KILL_PROCESS',
    '(not in seccomp: opcode 0x30)',
    'return TRAP',
  ]);
});

test('results', () => {
  expect(formatResult(0x00050001)).toBe('ERRNO(EPERM)');
  expect(formatResult(0x00050000)).toBe('ERRNO(0)');
  expect(formatResult(0x7ff00005)).toBe('TRACE(5)');
  expect(formatResult(0)).toBe('KILL_THREAD');
});

test('numbers have names only where A holds the number, and only of the architecture that it is of', () => {
  const program = [
    op(CODE.LD_ABS, 4),
    op(JUMP.JEQ, 0xc00000b7, 0, 3),
    op(CODE.LD_ABS, 0),
    op(JUMP.JEQ, 56, 0, 3),
    op(CODE.RET_K, 0),
    op(CODE.LD_ABS, 0),
    op(JUMP.JEQ, 56, 0, 0),
    op(CODE.LD_ABS, 16),
    op(JUMP.JEQ, 56, 1, 0),
    op(CODE.RET_K, 0),
    op(CODE.RET_K, 0),
  ];
  const all = texts(program);
  expect(all[3]).toBe('if (A != openat) goto 0007');
  expect(all[6]).toBe('goto 0007');
  expect(all[8]).toBe('if (A == 0x38) goto 0010');
  expect(texts([op(CODE.LD_ABS, 0), op(JUMP.JEQ, 257, 1, 0), op(CODE.RET_K), op(CODE.RET_K)])[1]).toBe(
    'if (A == openat) goto 0003',
  );
});

test('anything of whole instructions can be shown', () => {
  const random = seeded(7);
  for (let round = 0; round < 200; round++) {
    const bytes = Uint8Array.from({ length: 8 * 16 }, () => random(256));
    expect(disassemble(bytes).split('\n')).toHaveLength(16 + 3);
  }
  expect(() => disassemble(new Uint8Array(7))).toThrow(RangeError);
});

/** Prints bpf_image() of each instruction of a file: libpcap's disassembler. */
const IMAGE = `
#include <pcap/pcap.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	FILE *file = fopen(argv[argc - 1], "r");
	struct bpf_insn insn;
	for (int n = 0; file && fread(&insn, sizeof(insn), 1, file) == 1; n++)
		puts(bpf_image(&insn, n));
	return 0;
}
`;

/** One of our lines in the words of libpcap's bpf_image(), as far as both say the same. */
function ours(line: string): string {
  const [, at, code, jt, jf, k] = / (\d+): (0x\w+) (0x\w+) (0x\w+) (0x\w+)/.exec(line)!.map(Number);
  const text = line.slice(34);
  const conditional = (code! & 7) === 5 && code !== CODE.JA;
  const jumps = conditional ? ` jt ${at! + 1 + jt!} jf ${at! + 1 + jf!}` : '';
  const goto = code === CODE.JA ? ` ${at! + 1 + k!}` : '';
  return `${text.startsWith('return') ? 'return' : conditional || goto ? 'jump' : 'other'}${goto}${jumps}`;
}

/** The same of a line of bpf_image(). */
function theirs(line: string): string {
  const [, name, rest = ''] = /^\(\d+\) (\w+)\s*(.*)$/.exec(line)!;
  if (name === 'ret') return 'return';
  if (name === 'ja') return `jump ${rest.trim()}`;
  const jumps = /jt (\d+)\s+jf (\d+)/.exec(rest);
  return jumps ? `jump jt ${jumps[1]} jf ${jumps[2]}` : 'other';
}

test('jumps lead where libpcap says', () => {
  const random = seeded(3);
  const all = SYSCALLS.filter(trappable).map((spec) => spec.name);
  const programs = [
    buildFilter({ trap: all, arch: 'x64' }),
    ...Array.from({ length: 20 }, () => encode(randomProgram(random))),
  ];
  const image = workshop.compile('image', IMAGE, ['-lpcap']);
  programs.forEach((program, index) => {
    const path = workshop.write(`${index}.bpf`, program);
    const other = execFileSync(image, [path], { encoding: 'utf8' }).trimEnd().split('\n');
    expect(disassemble(program).split('\n').slice(2, -1).map(ours)).toEqual(other.map(theirs));
  });
});
