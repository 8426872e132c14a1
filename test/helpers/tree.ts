/**
 * The umvu that tests run: a copy of the built project below the folder for temporary files, with the parts that
 * an installed package has. An ordinary user may read it wherever the checkout lies, and a rebuild of the
 * checkout does not change it in the middle of a test.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../../runtime/native.ts';

/** True for the sanitized build of the native parts. */
export const sanitized = process.env['UMVU_BUILD'] === 'asan';

/** Variable of the environment by which the test files learn where the copy is to be. */
const VARIABLE = 'UMVU_TEST_TREE';

/**
 * Folder of the copy that this worker of vitest uses. The first test file that asks for one builds the project; each
 * worker has a copy, because what it leaves running is found by the place of the program (leaks.ts).
 */
export function tree(): string {
  const path = process.env[VARIABLE];
  if (path === undefined) throw new Error('tests run with --config test/vitest.config.ts');
  const mine = join(path, process.env['VITEST_POOL_ID'] ?? '1');
  if (!existsSync(mine)) {
    const built = join(path, 'built');
    locked(join(path, 'lock'), () => existsSync(built) || build(built));
    execFileSync('cp', ['-al', built, mine]);
  }
  return mine;
}

/** Runs `action` while no other worker does. */
function locked(lock: string, action: () => void): void {
  const idle = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      Atomics.wait(idle, 0, 0, 100);
    }
  }
  try {
    action();
  } finally {
    rmdirSync(lock);
  }
}

/** npm packages that the runtime itself imports. */
const PACKAGES = ['tsx'];

/** The packages and all that they depend on. */
function closure(names: readonly string[]): Set<string> {
  const found = new Set<string>();
  const visit = (name: string) => {
    const file = join(projectRoot, 'node_modules', name, 'package.json');
    // Optional packages for other machines are not installed.
    if (found.has(name) || !existsSync(file)) return;
    found.add(name);
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as Record<
      string,
      Record<string, string> | undefined
    >;
    for (const kind of ['dependencies', 'optionalDependencies'])
      Object.keys(manifest[kind] ?? {}).forEach(visit);
  };
  names.forEach(visit);
  return found;
}

function build(built: string): void {
  const to = `${built}.new`;
  mkdirSync(join(to, 'native'), { recursive: true });
  // Types are checked elsewhere: a test run only needs the JavaScript.
  const tsc = join(projectRoot, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', projectRoot, '--noCheck', '--outDir', join(to, 'dist')], {
    stdio: 'inherit',
  });
  execFileSync('make', ['-s', '-C', join(projectRoot, 'guests')], { stdio: 'inherit' });
  const native = sanitized ? 'native/build/asan/Debug' : 'native/build/release/Release';
  if (!existsSync(join(projectRoot, native, 'umvu.node')))
    throw new Error(`${native} is not built: run «npm run build${sanitized ? ':asan' : ''}»`);
  const copies = [
    native,
    'guests/build',
    'guests/include',
    'package.json',
    ...[...closure(PACKAGES)].map((p) => `node_modules/${p}`),
  ];
  for (const path of copies)
    cpSync(join(projectRoot, path), join(to, path), { recursive: true, filter: (p) => !/\.o$/.test(p) });
  // What loads a sanitizer into Node is not for the guests.
  writeFileSync(join(to, 'clean.cjs'), 'delete process.env.LD_PRELOAD;\ndelete process.env.ASAN_OPTIONS;\n');
  renameSync(to, built);
}

/** Called by vitest before all tests; returns what is called after them. */
export default function setup(): () => void {
  const path = mkdtempSync(join(tmpdir(), 'umvu-tree-'));
  chmodSync(path, 0o755);
  process.env[VARIABLE] = path;
  return () => rmSync(path, { recursive: true, force: true });
}
