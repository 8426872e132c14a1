/**
 * `npm test`: everything that must hold. Builds with warnings as errors, checks types and style, runs all tests,
 * then those of the native parts once more with its sanitized build. The last line says «N passed, N failed»;
 * a step that is not a set of tests counts as one.
 *
 * With names of steps as arguments: only these (`npm test -- types lint`).
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';

interface Total {
  passed: number;
  failed: number;
}

interface Step {
  name: string;
  run(): Promise<Total>;
}

/** Longest time of a step in ms; a step that takes longer hangs. */
const LIMIT = 15 * 60_000;

const dir = mkdtempSync(join(tmpdir(), 'umvu-tests-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

/** Runs a command with our output; true when its exit status is 0. */
function succeeds(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<boolean> {
  // In a process group of its own, so that all of it can be ended.
  const child = spawn(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
    detached: true,
  });
  const end = () => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL');
  const timer = setTimeout(() => {
    console.error(`${command} ${args.join(' ')}: not done after ${LIMIT / 60_000} minutes`);
    end();
  }, LIMIT);
  const interrupted = (signal: NodeJS.Signals) => {
    end();
    process.exit(128 + constants.signals[signal]);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupted);
  return new Promise<boolean>((resolve) => {
    child.once('error', (error) => {
      console.error(`${command}: ${error.message}`);
      resolve(false);
    });
    child.once('exit', (code) => resolve(code === 0));
  }).finally(() => {
    clearTimeout(timer);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted);
  });
}

/** A step that is one or more scripts of package.json, which all must succeed. */
function scripts(name: string, ...names: string[]): Step {
  return {
    name,
    async run() {
      let failed = 0;
      for (const script of names) failed += (await succeeds('npm', ['run', '-s', script])) ? 0 : 1;
      return { passed: failed === 0 ? 1 : 0, failed: failed === 0 ? 0 : 1 };
    },
  };
}

/** Which test files a step runs: paths, or parts of them; and patterns of what is left out. */
interface Selection {
  files: readonly string[];
  except: readonly string[];
}

/** Runs test files with vitest and counts its tests. */
async function vitest(
  name: string,
  { files, except }: Selection,
  env: NodeJS.ProcessEnv = {},
): Promise<Total> {
  const report = join(dir, `${name}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const good = await succeeds(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.config.ts', ...reporters, ...files],
    { ...env, UMVU_TEST_EXCLUDE: except.join(' ') },
  );
  const total = count(report);
  // A file that cannot be loaded has no tests, and an error outside all tests is none of theirs.
  if (!good && total.failed === 0) total.failed = 1;
  return total;
}

/** Counts the tests of a report; one that was skipped shows nothing, so it counts as failed. */
function count(file: string): Total {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8')) as {
      numTotalTests: number;
      numPassedTests: number;
    };
    return { passed: report.numPassedTests, failed: report.numTotalTests - report.numPassedTests };
  } catch {
    // A crash leaves no report.
    return { passed: 0, failed: 1 };
  }
}

/** Tests that reach the native parts, for the sanitized build. Sanitizers cost time: the others gain nothing. */
const SANITIZED: Selection = {
  files: [
    'test/guests',
    'test/hostile',
    'test/ioth',
    'test/programs/basics.test.ts',
    'test/programs/lasting.test.ts',
    'test/sanitized',
    'test/syscalls',
    'test/vm',
  ],
  except: [
    // libvdeplug cannot be loaded into a process with AddressSanitizer.
    'test/ioth/libvdeplug.test.ts',
    // These are about amounts, words and what TypeScript does, not about memory.
    'test/ioth/{arp,autoconf,bad-servers,config,config-wire,dns,dns-wire,hash,keeper,netlink-server,netlink-server-protocol,node}.test.ts',
    'test/hostile/api.test.ts',
    'test/hostile/input.test.ts',
    // A sanitizer that finds no descriptor for a pipe takes memory for inaccessible.
    'test/hostile/descriptors.test.ts',
  ],
};

function sanitizer(): NodeJS.ProcessEnv {
  const { stdout } = spawnSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' });
  // Leak checks use ptrace(2), which supervisors of guests must be free to use; and Node frees nothing at its end.
  return {
    UMVU_BUILD: 'asan',
    LD_PRELOAD: stdout.trim(),
    ASAN_OPTIONS: 'detect_leaks=0',
    UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
  };
}

const STEPS: readonly Step[] = [
  scripts('build', 'build:strict'),
  scripts('types', 'typecheck'),
  scripts('lint', 'lint'),
  { name: 'tests', run: () => vitest('tests', { files: [], except: ['test/sanitized/**'] }) },
  scripts('sanitized build', 'build:asan'),
  {
    name: 'sanitized tests',
    run: () => vitest('sanitized', SANITIZED, sanitizer()),
  },
];

async function main(wanted: readonly string[]): Promise<Total> {
  const unknown = wanted.filter((name) => !STEPS.some((step) => step.name === name));
  if (unknown.length > 0)
    throw new Error(`no such step: ${unknown.join(', ')}; there are: ${STEPS.map((s) => s.name).join(', ')}`);
  const total = { passed: 0, failed: 0 };
  for (const step of STEPS) {
    if (wanted.length > 0 && !wanted.includes(step.name)) continue;
    console.log(`== ${step.name}`);
    const start = Date.now();
    const { passed, failed } = await step.run();
    const seconds = ((Date.now() - start) / 1000).toFixed(1);
    console.log(
      `== ${step.name}: ${failed === 0 ? 'passed' : 'FAILED'} (${passed} passed, ${failed} failed, ${seconds} s)`,
    );
    total.passed += passed;
    total.failed += failed;
  }
  return total;
}

const total = await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error);
  return { passed: 0, failed: 1 };
});
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
