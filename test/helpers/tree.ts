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

/** Folder of the copy; the first test file that asks for it makes it. */
export function tree(): string {
  const path = process.env[VARIABLE];
  if (path === undefined) throw new Error('tests run with --config test/vitest.config.ts');
  if (!existsSync(join(path, 'built'))) build(path);
  return path;
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

function build(to: string): void {
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
  writeFileSync(join(to, 'built'), '');
}

/** Called by vitest before all tests; returns what is called after them. */
export default function setup(): () => void {
  const path = mkdtempSync(join(tmpdir(), 'umvu-tree-'));
  chmodSync(path, 0o755);
  process.env[VARIABLE] = path;
  return () => rmSync(path, { recursive: true, force: true });
}
