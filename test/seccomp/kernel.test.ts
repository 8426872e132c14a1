/** Our filters, emulator and checker beside the kernel's own and beside libseccomp. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { AUDIT_ARCH, encode, type Instruction } from '../../runtime/seccomp/bpf.ts';
import { checkFilter, loadFilter } from '../../runtime/seccomp/emulate.ts';
import { buildFilter } from '../../runtime/seccomp/filter.ts';
import { SYS, SYSCALLS, trappable } from '../../runtime/syscalls/table.ts';
import { randomProgram, seeded, type Random } from '../helpers/bpf.ts';
import { Workshop } from '../helpers/cc.ts';

const workshop = new Workshop();
afterAll(() => workshop.close());

const all = SYSCALLS.filter(trappable).map((spec) => spec.name);

/** What all of the C programs here need. */
const COMMON = `
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sock_filter filter[5000];

static int install(unsigned short length)
{
	struct sock_fprog prog = { .len = length, .filter = filter };
	struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}
`;

/**
 * kernel FILE: FILE holds cases of seven 64-bit words (the number of instructions, six arguments) and the
 * instructions. For each, a child installs the filter and calls getppid with the arguments. Printed is the
 * errno of the call, \`refused\` when the kernel does not take the filter, \`killed\` when the child died of it.
 */
const KERNEL = `${COMMON}
enum { KILLED = -2, REFUSED = -1 };

static void child(const uint64_t *head, volatile int *result)
{
	if (install(head[0])) {
		*result = REFUSED;
	} else {
		long value = syscall(SYS_getppid, head[1], head[2], head[3], head[4], head[5], head[6]);
		*result = value == -1 ? errno : 0;
	}
	syscall(SYS_exit_group, 0);
	/* The filter may not even let it go. */
	__builtin_trap();
}

int main(int argc, char **argv)
{
	FILE *file = fopen(argv[argc - 1], "r");
	/* Shared: the filter decides on write(2), too. */
	volatile int *result = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t head[7];
	while (file && fread(head, sizeof(*head), 7, file) == 7) {
		if (fread(filter, sizeof(*filter), head[0], file) != head[0])
			return 1;
		*result = KILLED;
		pid_t pid = fork();
		if (pid == 0)
			child(head, result);
		waitpid(pid, NULL, 0);
		if (*result == KILLED)
			puts("killed");
		else if (*result == REFUSED)
			puts("refused");
		else
			printf("%d\\n", *result);
		fflush(stdout);
	}
	return 0;
}
`;

interface Case {
  program: Uint8Array;
  args: bigint[];
}

/** What the kernel says of each case. */
function askKernel(name: string, cases: readonly Case[]): string[] {
  const parts = cases.flatMap(({ program, args }) => {
    const head = BigUint64Array.from([BigInt(program.length / 8), ...args]);
    return [new Uint8Array(head.buffer), program];
  });
  const path = workshop.write(`${name}.cases`, Buffer.concat(parts));
  return execFileSync(workshop.compile(name, KERNEL), [path], { encoding: 'utf8' }).trimEnd().split('\n');
}

const randomArgs = (random: Random): bigint[] =>
  Array.from({ length: 6 }, () => (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32)));

/** The emulator's verdict in the words of the C program. */
function emulated({ program, args }: Case): string {
  const { action, data } = loadFilter(program)({ nr: SYS.getppid, arch: AUDIT_ARCH.X86_64, args });
  return action === 'ERRNO' ? String(data) : 'killed';
}

test('the emulator decides as the kernel does', () => {
  const random = seeded(11);
  const cases = Array.from({ length: 400 }, () => ({
    program: encode(randomProgram(random)),
    args: randomArgs(random),
  }));
  expect(cases.map(emulated)).toEqual(askKernel('run', cases));
});

test('the checker takes and refuses what the kernel does', () => {
  const random = seeded(5);
  const damage = (program: Instruction[]): Uint8Array => {
    const bytes = encode(program);
    // Opcodes, jumps and constants of one or two instructions.
    for (let times = 1 + random(2); times > 0; times--) bytes[random(bytes.length)] = random(256);
    return bytes;
  };
  const cases = Array.from({ length: 400 }, () => ({
    program: damage(randomProgram(random)),
    args: randomArgs(random),
  }));
  const refused = cases.map(({ program }) => {
    try {
      checkFilter(program);
      return false;
    } catch {
      return true;
    }
  });
  const kernel = askKernel('check', cases).map((word) => word === 'refused');
  expect(refused).toEqual(kernel);
  expect(new Set(kernel)).toEqual(new Set([true, false]));
});

/** native FILE [program]: installs the filter, and runs the program or says what becomes of some calls. */
const NATIVE = `${COMMON}
static void say(const char *what, long value)
{
	printf("%s %s\\n", what, value == -1 && errno == ENOSYS ? "refused" : value < 0 ? "failed" : "done");
}

static long int80(long nr)
{
	long value;
	__asm__ volatile("int $0x80" : "=a"(value) : "a"(nr) : "memory", "r8", "r9", "r10", "r11");
	errno = -value;
	return value < 0 ? -1 : value;
}

int main(int argc, char **argv)
{
	FILE *file = fopen(argv[1], "r");
	size_t length = file ? fread(filter, sizeof(*filter), 5000, file) : 0;
	if (install(length))
		return 100;
	if (argc > 2) {
		execv(argv[2], argv + 2);
		return 101;
	}
	say("getpid", syscall(SYS_getpid));
	say("pipe", syscall(SYS_pipe2, (int[2]){ 0 }, 0));
	say("no call", syscall(-1));
	say("unknown", syscall(1000));
	say("io_uring", syscall(425, 0, NULL));
	say("x32", syscall(SYS_getpid | 0x40000000));
	say("32 bits", int80(20));
	return 0;
}
`;

test('the kernel takes the filter of nothing and of everything', () => {
  const cases = [[], all].map((trap) => ({
    program: buildFilter({ trap, arch: 'x64' }),
    args: randomArgs(() => 0),
  }));
  expect(askKernel('take', cases)).toEqual(['0', '0']);
});

test('what the filter refuses, and what it does not touch', () => {
  const filter = workshop.write('nothing.bpf', buildFilter({ trap: [], arch: 'x64' }));
  const output = execFileSync(workshop.compile('native', NATIVE), [filter], { encoding: 'utf8' });
  expect(output.trimEnd().split('\n')).toEqual([
    'getpid done',
    'pipe done',
    'no call refused',
    'unknown refused',
    'io_uring refused',
    'x32 refused',
    '32 bits refused',
  ]);
});

test('a 32-bit program can give up', () => {
  // As the C libraries do: they try exit_group and exit again and again.
  const source = `
void _start(void)
{
	for (;;) {
		int value;
		__asm__ volatile("int $0x80" : "=a"(value) : "a"(20));
		__asm__ volatile("int $0x80" : : "a"(252), "b"(value == -38 ? 7 : 8));
	}
}
`;
  const program = workshop.compile('i386', source, ['-m32', '-nostdlib', '-static', '-fno-pie', '-no-pie']);
  const filter = workshop.write('nothing.bpf', buildFilter({ trap: [], arch: 'x64' }));
  const run = spawnSync(join(workshop.dir, 'native'), [filter, program], { timeout: 5000 });
  expect([run.status, run.signal]).toEqual([7, null]);
});

/** Reads lines «number action» and prints libseccomp's filter: the same fates, written by others. */
const LIBSECCOMP = `
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	unsigned action;
	int nr;
	seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	while (scanf("%d %u", &nr, &action) == 2)
		if (seccomp_rule_add(ctx, action, nr, 0))
			return 1;
	return seccomp_export_bpf(ctx, fileno(fopen(argv[argc - 1], "w"))) ? 2 : 0;
}
`;

test('libseccomp’s filter has the same fates', () => {
  const trap = all.filter((name) => SYSCALLS.find((spec) => spec.name === name)!.only.length === 0);
  const trapped = new Set<string>(trap);
  const rules = SYSCALLS.flatMap(({ name, numbers, support }) =>
    numbers.x64 === undefined || support === 'enosys'
      ? []
      : [`${numbers.x64} ${trapped.has(name) ? 0x7fc00000 : 0x7fff0000}\n`],
  );
  const path = workshop.write('libseccomp.bpf', '');
  const made = spawnSync(workshop.compile('libseccomp', LIBSECCOMP, ['-lseccomp']), [path], {
    input: rules.join(''),
  });
  expect(made.status).toBe(0);
  const theirs = loadFilter(readFileSync(path));
  const ours = loadFilter(buildFilter({ trap, arch: 'x64' }));
  for (const nr of [...Array(1000).keys(), 0x5654, 0x5655, 0x5656, 0x3fffffff, 0x40000000, 0x40000027]) {
    const call = { nr, arch: AUDIT_ARCH.X86_64 };
    expect(ours(call).result, `${nr}`).toBe(theirs(call).result);
  }
  const foreign = { nr: 5, arch: AUDIT_ARCH.I386 };
  expect(ours(foreign).result).toBe(theirs(foreign).result);
});
