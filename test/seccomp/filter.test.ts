import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { AUDIT_ARCH, CODE, decode, encode, MAX_INSTRUCTIONS } from '../../runtime/seccomp/bpf.ts';
import { loadFilter, type Verdict } from '../../runtime/seccomp/emulate.ts';
import { buildFilter, decide } from '../../runtime/seccomp/filter.ts';
import {
  byNumberOf,
  SYSCALLS,
  trappable,
  type Arch,
  type SyscallName,
} from '../../runtime/syscalls/table.ts';

const ARCHES = ['x64', 'arm64'] as const;
const NATIVE: Record<Arch, number> = { x64: AUDIT_ARCH.X86_64, arm64: AUDIT_ARCH.AARCH64 };
const COMPAT: Record<Arch, number> = { x64: AUDIT_ARCH.I386, arm64: AUDIT_ARCH.ARM };
const X32_BIT = 0x40000000;

const all = SYSCALLS.filter(trappable).map((spec) => spec.name);
const vunetioth: SyscallName[] = [
  'socket',
  'connect',
  'ioctl',
  'openat',
  'newfstatat',
  'mount',
  'exit_group',
  'vuctl',
];

type Fate = 'allow' | 'trap' | 'refuse';

function fate({ action, data }: Verdict): string {
  if (action === 'ALLOW') return 'allow';
  if (action === 'USER_NOTIF') return 'trap';
  return action === 'ERRNO' && data === constants.errno.ENOSYS ? 'refuse' : `${action}(${data})`;
}

/** Every number that a call of the table or a neighbour of one can have, and the ends of the ranges. */
const numbers = [
  ...Array.from({ length: 1024 }, (_, index) => index),
  ...[0x5654, 0x5655, 0x5656, 0x7fff, 0xffff, 0x10000],
  ...[X32_BIT - 1, X32_BIT, X32_BIT + 1, 0x7fffffff, -0x80000000, -2, -1],
  ...Array.from({ length: 1024 }, (_, index) => X32_BIT + index),
];

/** What the filter has to do with a call whose arguments are all zero but those that make it trapped. */
function expected(arch: Arch, nr: number, trap: ReadonlySet<string>): Fate {
  if (nr === -1) return 'allow';
  const spec = byNumberOf[arch].get(nr);
  if (!spec || spec.support === 'enosys') return 'refuse';
  return trap.has(spec.name) ? 'trap' : 'allow';
}

/** Arguments with which every argument test of the table holds. */
const HITS: Partial<Record<SyscallName, bigint[]>> = {
  mmap: [0n, 4096n, 3n, 1n, 3n, 0n],
  ioctl: [0n, 0x8912n],
  prctl: [4n],
  socket: [2n],
};
const EVERYTHING = [1n, 1n, 1n, 1n, 1n, 1n];
const hit = (arch: Arch, nr: number): bigint[] =>
  HITS[byNumberOf[arch].get(nr)?.name ?? 'read'] ?? EVERYTHING;

describe.each(ARCHES)('on %s', (arch) => {
  describe.each([
    ['nothing', []],
    ['what a network module needs', vunetioth],
    ['all calls that can be trapped', all],
  ] as const)('trapping %s', (_, trap) => {
    const filter = buildFilter({ trap, arch });
    const run = loadFilter(filter);
    const wanted = new Set<string>(trap);

    test('the kernel’s checker takes it', () => {
      expect(decode(filter).length).toBeLessThan(MAX_INSTRUCTIONS);
    });

    test('every number has the fate that the table says', () => {
      for (const nr of numbers) {
        const verdict = run({ nr, arch: NATIVE[arch], args: hit(arch, nr) });
        expect(fate(verdict), `${nr}`).toBe(expected(arch, nr, wanted));
      }
    });

    test('every number of a foreign architecture is refused, save exit and exit_group of the 32-bit one', () => {
      const foreign = [...Object.values(AUDIT_ARCH).filter((each) => each !== NATIVE[arch]), 0, 0xffffffff];
      const exits = arch === 'x64' ? [1, 252] : [1, 248];
      for (const other of foreign) {
        for (const nr of numbers) {
          const leave = other === COMPAT[arch] && exits.includes(nr);
          expect(fate(run({ nr, arch: other, args: EVERYTHING })), `${other}: ${nr}`).toBe(
            leave ? 'allow' : 'refuse',
          );
        }
      }
    });
  });

  describe('argument tests', () => {
    const run = loadFilter(buildFilter({ trap: all, arch }));
    const of = (name: SyscallName, ...args: bigint[]) => {
      const nr = SYSCALLS.find((spec) => spec.name === name)!.numbers[arch]!;
      return fate(run({ nr, arch: NATIVE[arch], args }));
    };

    test('ioctl: all requests but those of terminals and of KVM, whatever the high half', () => {
      // Network interfaces, block devices, drives, a real-time clock
      for (const request of [
        0n,
        0x890bn,
        0x8912n,
        0x89ffn,
        0x1260n,
        0x80081272n,
        0x0301n,
        0x80247009n,
        0xffffffffn,
      ]) {
        expect(of('ioctl', 0n, request)).toBe('trap');
        expect(of('ioctl', 0n, request | 0xdead_0000_0000n)).toBe('trap');
      }
      // TCGETS, TIOCGWINSZ, FIONBIO, FIONREAD, FIOCLEX, KVM_RUN
      for (const request of [0x5400n, 0x5401n, 0x5413n, 0x5421n, 0x541bn, 0x5451n, 0x54ffn, 0xae80n]) {
        expect(of('ioctl', 0x8912n, request, 0x8912n)).toBe('allow');
      }
    });

    test('socket: all families but AF_UNIX', () => {
      for (const family of [0n, 2n, 10n, 16n, 17n, 31n, 38n, 40n, 44n, 255n, 0xffffffffn, 0x7_0000_0002n]) {
        expect(of('socket', family, 1n)).toBe('trap');
      }
      for (const family of [1n, 0x7_0000_0001n]) expect(of('socket', family, 2n)).toBe('allow');
    });

    test('prctl: PR_SET_DUMPABLE', () => {
      for (const option of [4n, 0x9_0000_0004n]) expect(of('prctl', option, 0n)).toBe('trap');
      for (const option of [0n, 3n, 5n, 15n, 38n, 0x59616d61n]) expect(of('prctl', option, 4n)).toBe('allow');
    });

    test.each([
      ['sendto', 4],
      ['recvfrom', 4],
      ['accept', 1],
      ['accept4', 1],
      ['newfstatat', 1],
      ['statx', 1],
    ] as const)('%s: argument %i is not NULL, both halves looked at', (name, index) => {
      const args = (value: bigint) => EVERYTHING.map((other, each) => (each === index ? value : other));
      expect(of(name, ...args(0n))).toBe('allow');
      for (const value of [
        1n,
        0x7fff_1234_5678n,
        0x7fff_0000_0000n,
        0x1_0000_0000n,
        0xffff_ffff_ffff_ffffn,
      ]) {
        expect(of(name, ...args(value))).toBe('trap');
      }
    });
  });
});

test('calls that are refused or always the kernel’s cannot be trapped', () => {
  for (const name of ['read', 'close', 'io_uring_setup'] as const) {
    expect(() => buildFilter({ trap: [name], arch: 'x64' })).toThrow(`${name} cannot be trapped`);
  }
  expect(() => buildFilter({ trap: ['nonsense' as SyscallName], arch: 'x64' })).toThrow(
    'unknown system call nonsense',
  );
});

test('allowed calls are decided on without a look at their arguments', () => {
  // Then the kernel's bitmap of always allowed calls (5.11) spares them the filter.
  const program = decode(buildFilter({ trap: all, arch: 'x64' }));
  const inBitmap = (nr: number): boolean => {
    let a = 0;
    for (let pc = 0; ; pc++) {
      const { code, jt, jf, k } = program[pc]!;
      if (code === 0x20) {
        if (k > 4) return false;
        a = k === 0 ? nr : NATIVE.x64;
      } else if (code === 0x15) pc += a === k ? jt : jf;
      else if (code === 0x35) pc += a >= k ? jt : jf;
      else if (code === 0x05) pc += k;
      else return code === 0x06 && k === 0x7fff0000;
    }
  };
  for (const name of ['read', 'write', 'poll', 'epoll_wait', 'futex', 'getpid', 'munmap', 'close'] as const) {
    expect(inBitmap(SYSCALLS.find((spec) => spec.name === name)!.numbers.x64!), name).toBe(true);
  }
});

test('jumps over more than 255 instructions', () => {
  const ret = (k: number) => [{ code: CODE.RET_K, jt: 0, jf: 0, k }];
  const values = Array.from({ length: 500 }, (_, index) => ({
    first: 3 * index,
    last: 3 * index,
    code: ret(0x50000 + index),
  }));
  const program = [{ code: CODE.LD_ABS, jt: 0, jf: 0, k: 0 }, ...decide(values, ret(0x7fff0000))];
  expect(program.some(({ code }) => code === CODE.JA)).toBe(true);
  const run = loadFilter(encode(program));
  for (let nr = 0; nr < 1600; nr++) {
    const own = nr % 3 === 0 && nr < 1500;
    expect(run({ nr, arch: 0 }).result).toBe(own ? 0x50000 + nr / 3 : 0x7fff0000);
  }
});
