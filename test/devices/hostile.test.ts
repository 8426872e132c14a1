/** Devices that throw, never answer, or return what they may not: the guest gets an errno, and can be ended. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';
import type { ExecResult } from '../helpers/exec.ts';
import { umvu } from '../helpers/umvu.ts';

const EVIL = join(projectRoot, 'test/devices/evil.mjs');

/** Mounts the device with each source at ./SOURCE, then runs a script. */
const run = (sources: readonly string[], script: string): Promise<ExecResult> =>
  umvu([
    '-m',
    EVIL,
    '--',
    'bash',
    '-c',
    `for s in ${sources.join(' ')}; do vumount -t vudevevil $s $PWD/$s; done; ${script}`,
  ]);

const hasFuse = (): boolean => {
  try {
    execFileSync('sh', ['-c', 'exec 3<>/dev/fuse'], { stdio: 'ignore' });
    return existsSync('/dev/fuse');
  } catch {
    return false;
  }
};

/** Without /dev/fuse (test/install.sh sees to it) a device is a file of another kind. */
const withFuse: (name: string, tests: () => void) => void = hasFuse()
  ? describe
  : (name) =>
      it(`${name} are not those of a file without /dev/fuse`, async () => {
        // The next best object takes its place (docs/vudev.md), and a line says why.
        const { stderr } = await run(['zero'], 'true');
        expect(stderr).toContain('/dev/fuse');
      });

withFuse('read and write', () => {
  it('what is thrown becomes an errno: EIO for a bug, which is said', async () => {
    const { stdout, stderr } = await run(
      ['throws', 'errno', 'much', 'negative', 'fraction', 'text'],
      'for s in throws errno much negative fraction text; do cat ./$s; echo x >./$s; done; echo end',
    );
    expect(stdout).toBe('end\n');
    const errors = stderr.split('\n').filter((line) => /^(cat|bash):/.test(line));
    const EIO = 'Input/output error';
    expect(errors).toEqual([
      `cat: ./throws: ${EIO}`,
      `bash: line 1: echo: write error: ${EIO}`,
      'cat: ./errno: Numerical argument out of domain',
      'bash: line 1: echo: write error: Numerical argument out of domain',
      ...['much', 'negative', 'fraction', 'text'].flatMap((name) => [
        `cat: ./${name}: ${EIO}`,
        `bash: line 1: echo: write error: ${EIO}`,
      ]),
    ]);
    expect(stderr).toContain('internal error in device «evil»: Error: a bug on purpose');
    expect(stderr).toContain('bytes were returned for');
  });

  it('a device that never answers: signals reach the caller, also SIGKILL', async () => {
    const script = `for s in never abort; do for signal in TERM INT KILL; do
      timeout -s $signal 0.2 cat ./$s; echo $?; timeout -s $signal 0.2 dd if=/dev/zero of=./$s count=1; echo $?;
      done; done 2>/dev/null; cat ./slow | head -c 3`;
    const { stdout } = await run(['never', 'abort', 'slow'], script);
    expect(stdout).toBe('124\n124\n124\n124\n137\n137\n'.repeat(2) + 'sss');
  });

  it('short transfers and endless files', async () => {
    const script =
      'head -c 10 ./short; echo; printf 12345 >./short && echo written; head -c 3000000 ./zero | wc -c; dd if=./zero bs=7 count=2 skip=1000 status=none | od -An -tx1';
    const { stdout } = await run(['short', 'zero'], script);
    expect(stdout).toBe('xxxxxxxxxx\nwritten\n3000000\n 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n');
  });

  it('many readers at once', async () => {
    const script = 'for i in $(seq 40); do head -c 5 ./slow & done; wait; echo';
    expect((await run(['slow'], script)).stdout).toBe(`${'sssss'.repeat(40)}\n`);
  });
});

describe('mounting and opening', () => {
  it.each([
    ['create-throws', 'Input/output error'],
    ['create-errno', 'there is no disk in it'],
    ['create-nothing', 'Input/output error'],
    ['create-wrong', 'Input/output error'],
  ])('%s', async (source, message) => {
    const { stdout, stderr } = await run([source], `ls ./${source} 2>&1`);
    expect(stderr.toLowerCase()).toMatch(new RegExp(`${message}|internal error`, 'i'));
    expect(stdout).toContain('No such file');
  });

  it('open fails, or waits until a signal comes', async () => {
    const script =
      'for s in open-throws open-errno; do cat ./$s; done; timeout 0.2 cat ./open-never; echo $?; timeout -s KILL 0.2 cat ./open-never; echo $?';
    const { stdout, stderr } = await run(['open-throws', 'open-errno', 'open-never'], script);
    expect(stdout).toBe('124\n137\n');
    expect(stderr).toContain('cat: ./open-throws: Input/output error');
    expect(stderr).toContain('cat: ./open-errno: Device or resource busy');
  });

  it('wrong options', async () => {
    const script = `for o in mode=9 mode=77777 uid=x major=5000 nonsense size=3 minor=-1; do
      vumount -t vudevevil -o $o short $PWD/d; echo $?; done`;
    const { stdout, stderr } = await run([], script);
    expect(stdout).toBe('1\n'.repeat(7));
    expect(stderr).toContain('unknown option «nonsense»');
  });

  it('the supervisor ends while callers wait', async () => {
    const { code, stdout } = await run(['never'], 'cat ./never & sleep 0.2; echo leaving');
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'leaving\n' });
  });
});

describe('ioctl', () => {
  it('per open state, memory of the guest, unknown requests, bad addresses, requests that never end', async () => {
    const program = `
import ctypes, errno, fcntl, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]
def ioctl(fd, request, argument):
    result = libc.ioctl(fd, request, argument)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]
a, b = os.open('./zero', os.O_RDWR), os.open('./zero', os.O_RDWR)
out = ctypes.create_string_buffer(4)
seen = []
for fd in (a, a, b, os.dup(a)):
    seen.append((ioctl(fd, 0x80045705, ctypes.addressof(out)), out.raw[0]))
print(seen)
number = ctypes.c_int(42)
print(ioctl(a, 0x40045706, ctypes.addressof(number)), ioctl(a, 0x80045705, 8), ioctl(a, 0x1234, 0), ioctl(a, 0x5401, ctypes.addressof(out)))
print(ioctl(os.open('./throws', os.O_RDONLY), 0x80045705, ctypes.addressof(out)))
signal.signal(signal.SIGALRM, lambda *x: None)
signal.siginterrupt(signal.SIGALRM, True)
signal.setitimer(signal.ITIMER_REAL, 0.2)
print(ioctl(a, 0x5707, 0))
`;
    const { stdout, stderr } = await run(['zero', 'throws'], `python3 - <<'EOF'\n${program}\nEOF`);
    expect(stdout, stderr).toBe('[(0, 1), (0, 2), (0, 1), (0, 3)]\n42 EFAULT ENOTTY ENOTTY\nEIO\nEINTR\n');
  });
});
