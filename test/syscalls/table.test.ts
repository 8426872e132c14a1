import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';
import { documentSyscalls } from '../../runtime/syscalls/document.ts';
import { handlers } from '../../runtime/syscalls/handlers.ts';
import {
  byName,
  byNumber,
  byNumberOf,
  runningArch,
  SYS,
  SYSCALLS,
  trappable,
  type Arch,
  type SyscallClass,
} from '../../runtime/syscalls/table.ts';

/** Macros after preprocessing `source`: name and replacement. */
function macros(source: string): Map<string, string> {
  const text = execFileSync('gcc', ['-E', '-dM', '-xc', '-'], { input: source, encoding: 'utf8' });
  return new Map(Array.from(text.matchAll(/^#define (\w+) (\S+)$/gm), ([, name, value]) => [name!, value!]));
}

/** Numbers of the calls that a header defines; a macro may name another one. */
function callsOf(source: string): Map<string, number> {
  const all = macros(source);
  const calls = new Map<string, number>();
  for (const name of all.keys()) {
    if (!name.startsWith('__NR_')) continue;
    let value: string | undefined = name;
    while (value !== undefined && !/^\d+$/.test(value)) value = all.get(value);
    if (value !== undefined) calls.set(name.slice('__NR_'.length), Number(value));
  }
  // Numbers that are no calls.
  calls.delete('arch_specific_syscall');
  calls.delete('syscalls');
  return calls;
}

/** The choices of arm64's asm/unistd.h before it includes the generic list. */
const ARM64 = `
#define __BITS_PER_LONG 64
#define __ARCH_WANT_RENAMEAT
#define __ARCH_WANT_NEW_STAT
#define __ARCH_WANT_SET_GET_RLIMIT
#define __ARCH_WANT_TIME32_SYSCALLS
#define __ARCH_WANT_SYS_CLONE3
#define __ARCH_WANT_MEMFD_SECRET
#include <asm-generic/unistd.h>
`;

const HEADERS: Record<Arch, Map<string, number>> = {
  x64: callsOf('#include <asm/unistd_64.h>\n'),
  arm64: callsOf(ARM64),
};

/** In the table, but in no header: calls of the kernel for itself, and ours. */
const OURS = new Set(['uretprobe', 'uprobe', 'vuctl']);

describe.each(['x64', 'arm64'] as const)('numbers on %s', (arch) => {
  const header = HEADERS[arch];

  test('every call of the header is in the table with its number', () => {
    expect(header.size).toBeGreaterThan(300);
    for (const [name, number] of header) expect(byName.get(name)?.numbers[arch], name).toBe(number);
  });

  test('a call that the header does not have is newer than the header, or ours', () => {
    const newest = Math.max(...header.values());
    for (const { name, numbers } of SYSCALLS) {
      if (numbers[arch] === undefined || header.has(name) || OURS.has(name)) continue;
      expect(numbers[arch], name).toBeGreaterThan(newest);
      // Calls since 5.1 have the same number everywhere.
      expect(numbers.x64).toBe(numbers.arm64);
    }
  });

  test('a number belongs to one call', () => {
    const numbers = SYSCALLS.map((spec) => spec.numbers[arch]).filter((number) => number !== undefined);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(byNumberOf[arch].size).toBe(numbers.length);
  });
});

test('a name belongs to one call', () => {
  expect(byName.size).toBe(SYSCALLS.length);
});

test('SYS and byNumber are those of the running architecture', () => {
  expect(byNumber.get(SYS.openat)?.name).toBe('openat');
  expect(byNumber.get(0x5655)?.name).toBe('vuctl');
  expect(SYS.vuctl).toBe(0x5655);
  expect(Object.keys(SYS)).toHaveLength(SYSCALLS.length);
  const absent = SYSCALLS.find((spec) => spec.numbers[runningArch] === undefined);
  if (absent) expect(SYS[absent.name]).toBe(-1);
});

test('our call has the number of guests/include/vu.h', () => {
  const header = readFileSync(join(projectRoot, 'guests/include/vu.h'), 'utf8');
  expect(Number(/#define VU_SYSCALL (\w+)/.exec(header)?.[1])).toBe(SYS.vuctl);
});

test('every call has at most six arguments', () => {
  for (const { name, args } of SYSCALLS) expect(args.length, name).toBeLessThanOrEqual(6);
});

test('the filter tests arguments only of calls that can be trapped', () => {
  for (const spec of SYSCALLS) {
    if (spec.only.length > 0) expect(trappable(spec), spec.name).toBe(true);
    for (const { arg } of spec.only) expect(spec.args.length, spec.name).toBeGreaterThan(arg);
  }
});

test('handlers exist only for calls that can be trapped', () => {
  const untrappable = Object.keys(handlers).filter((name) => {
    const spec = byName.get(name);
    return !spec || !trappable(spec);
  });
  expect(untrappable).toEqual([]);
});

test('the data path is never trapped', () => {
  const data = [
    'read',
    'write',
    'readv',
    'writev',
    'pread64',
    'pwrite64',
    'sendfile',
    'splice',
    'copy_file_range',
  ];
  const waits = [
    'poll',
    'ppoll',
    'select',
    'pselect6',
    'epoll_wait',
    'epoll_pwait',
    'epoll_pwait2',
    'epoll_ctl',
  ];
  const more = ['close', 'close_range', 'dup', 'dup2', 'dup3', 'fcntl', 'fstat', 'futex', 'clone', 'clone3'];
  for (const name of [...data, ...waits, ...more]) expect(byName.get(name)?.support, name).toBe('pass');
  // Only what a ring of a packet socket may be: shared, writable, and of a descriptor.
  expect(byName.get('mmap')?.only.map(({ arg }) => arg)).toEqual([2, 3]);
});

test('calls that walk round a filter are refused', () => {
  for (const name of ['io_uring_setup', 'io_uring_enter', 'io_uring_register']) {
    expect(byName.get(name)?.support).toBe('enosys');
  }
});

test.each<[string, SyscallClass[]]>([
  ['openat', ['file', 'desc']],
  ['open', ['file']],
  ['read', ['desc']],
  ['socket', ['network']],
  ['connect', ['desc', 'network']],
  ['execve', ['file', 'process']],
  ['kill', ['process', 'signal']],
  ['mmap', ['desc', 'memory']],
  ['getuid', ['creds']],
  ['umount2', ['file']],
  ['vuctl', ['vu']],
])('classes of %s', (name, classes) => {
  expect(byName.get(name)?.classes).toEqual(classes);
});

test('docs/syscalls.md is up to date', () => {
  const page = readFileSync(join(projectRoot, 'docs/syscalls.md'), 'utf8');
  const hint = 'write it anew: npx tsx runtime/syscalls/document.ts > docs/syscalls.md';
  expect(page === documentSyscalls(), hint).toBe(true);
});
