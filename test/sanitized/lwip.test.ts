/** What only a build with sanitizers can tell of the stack in user space. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';

const SECONDS = 30;

it('survives hostile frames of every protocol', { timeout: 4 * SECONDS * 1000, retry: 0 }, async () => {
  const program = join(projectRoot, 'native/build/asan/Debug/lwip-fuzz');
  const env = { ...process.env, ASAN_OPTIONS: 'detect_leaks=1' };
  const { stdout } = await promisify(execFile)(program, [String(SECONDS)], { env });
  const [, frames] = /^ok: ([0-9]+) frames/m.exec(stdout) ?? [];
  expect(Number(frames), stdout).toBeGreaterThan(100_000);
});
