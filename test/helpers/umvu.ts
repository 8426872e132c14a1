/** Runs the umvu command in tests, as root or as an ordinary user, and checks that nothing of it is left after. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { exec, until, type ExecOptions, type ExecResult } from './exec.ts';
import { filesBelow, processesOf } from './leaks.ts';
import { sanitized, tree } from './tree.ts';
import { becoming, workDir, type Who } from './users.ts';

export interface UmvuOptions extends ExecOptions {
  /** Who runs it: who runs the tests by default. */
  as?: Who;
  /** Added to the environment, which is otherwise a plain one. */
  env?: NodeJS.ProcessEnv;
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Made when a test file is loaded, because building it takes longer than a test may. */
const TREE = tree();
let runs = 0;

/** The words that start Node such that it can load the addon; what it starts has no sanitizer in it. */
export function nodeCommand(): string[] {
  if (!sanitized) return [process.execPath];
  const { UMVU_TEST_PRELOAD, ASAN_OPTIONS, UBSAN_OPTIONS } = process.env;
  const variables = { LD_PRELOAD: UMVU_TEST_PRELOAD, ASAN_OPTIONS, UBSAN_OPTIONS };
  const words = Object.entries(variables).map(([name, value]) => `${name}=${value ?? ''}`);
  return ['env', ...words, process.execPath, '--require', join(TREE, 'clean.cjs')];
}

/** The words that start umvu with `args` as `who`, for exec(), for a pty or for a script. */
export function umvuCommand(args: readonly string[], who: Who = 'root'): string[] {
  return [...becoming(who), ...nodeCommand(), join(TREE, 'dist/runtime/cli/main.js'), ...args];
}

/** The environment in which tests run umvu; `home` is the place for its files. */
export function umvuEnvironment(home: string, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return {
    PATH,
    HOME: home,
    TMPDIR: join(home, 'tmp'),
    LANG: 'C.UTF-8',
    SHELL: '/bin/bash',
    TERM: 'dumb',
    ...(sanitized ? { UMVU_BUILD: 'asan' } : {}),
    ...more,
  };
}

/**
 * Runs `umvu ARGS` in a new work folder, which is its HOME, and waits for its end. Fails the test where processes or temporary files are left.
 */
export async function umvu(args: readonly string[], options: UmvuOptions = {}): Promise<ExecResult> {
  const who = options.as ?? 'root';
  const work = workDir(who);
  const mark = `UMVU_TEST_RUN=${process.pid}.${++runs}`;
  const env = umvuEnvironment(work.path, { ...options.env, UMVU_TEST_RUN: mark.split('=')[1] });
  const [command, ...rest] = umvuCommand(args, who);
  try {
    const result = await exec(command!, rest, { cwd: work.path, ...options, env });
    await until(
      `the end of all processes (${args.join(' ')})`,
      () => processesOf(mark).length === 0,
      3000,
    ).catch(() => undefined);
    const left = processesOf(mark);
    for (const { pid } of left) process.kill(pid, 'SIGKILL');
    expect(left, `left behind by umvu ${args.join(' ')}\n${result.stderr}`).toEqual([]);
    if (!result.timedOut)
      expect(filesBelow(join(work.path, 'tmp')), 'temporary files left behind').toEqual([]);
    return result;
  } finally {
    work.remove();
  }
}
