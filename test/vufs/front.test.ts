/**
 * Calls that the addon answers before JavaScript is asked (native/src/path_front.h). A traced run has no such answers,
 * so the same script has to print the same with and without `--trace`.
 */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { umvuCommand, umvuEnvironment } from '../helpers/umvu.ts';
import type { Who } from '../helpers/users.ts';

let work: string;
beforeEach(() => {
  work = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'umvu-front-')));
  for (const name of ['low/d/e', 'low/gone', 'low/both', 'top/both', 'top/only', 'up', 'seen', 'tmp'])
    fs.mkdirSync(join(work, name), { recursive: true });
  for (const name of [
    'low/d/f',
    'low/d/e/g',
    'low/gone/x',
    'low/both/l',
    'top/both/t',
    'top/only/o',
    'low/h',
  ])
    fs.writeFileSync(join(work, name), `${name}\n`);
  fs.symlinkSync('d/f', join(work, 'low/to-file'));
  fs.symlinkSync('d', join(work, 'low/to-dir'));
  fs.symlinkSync('loop', join(work, 'low/loop'));
  // One after another, up and down again, out of the tree and back into it, out of it, to nothing, to what a slash forbids.
  fs.symlinkSync('to-file', join(work, 'low/to-link'));
  fs.symlinkSync('../to-dir/e/../f', join(work, 'low/d/up'));
  fs.symlinkSync(join(work, 'back/d'), join(work, 'low/round'));
  fs.symlinkSync('../top/only', join(work, 'low/out'));
  fs.symlinkSync('d/none', join(work, 'low/to-none'));
  fs.symlinkSync('d/f/', join(work, 'low/to-slash'));
  fs.linkSync(join(work, 'low/h'), join(work, 'low/h2'));
});
afterEach(() => fs.rmSync(work, { recursive: true }));

async function run(script: string, options: readonly string[], who: Who): Promise<string> {
  if (who !== 'root')
    for (const name of fs.readdirSync(work, { recursive: true, encoding: 'utf8' }).concat('.'))
      fs.lchownSync(join(work, name), 65534, 65534);
  const [command, ...args] = umvuCommand([...options, '-m', 'vufs', '--', 'python3', '-c', script], who);
  const { stdout, stderr } = await exec(command!, args, {
    cwd: work,
    env: umvuEnvironment(work),
    timeout: 30_000,
  });
  expect(stderr).not.toContain('Error');
  return stdout;
}

/** Looks at many paths in many ways, before and after changes, twice each: what was found once is remembered. */
const LOOK = String.raw`
import os, errno, subprocess, sys, ctypes, struct
mode, target = sys.argv[1:] if len(sys.argv) > 1 else MODE
W = os.getcwd()
subprocess.run(['vumount', '-t', 'vufs', *mode.split(), target], check=True)
T = os.path.join(W, target)
os.path.lexists('back') or os.symlink(target, 'back')
names = ['', 'd', 'd/', 'd/.', 'd/..', 'd/f', 'd/f/', 'd/f/x', 'd/e/../f', 'd/none/../f', 'd/f/../f', 'd/../../' + target + '/h',
  'to-file', 'to-dir', 'to-dir/', 'to-dir/f', 'to-dir/../h', 'loop', 'loop/x', 'to-link', 'd/up', 'round', 'round/f', 'out', 'out/o', 'to-none', 'to-slash', 'h', 'h2', 'gone', 'gone/x', 'both', 'both/l', 'both/t',
  'only/o', 'none', 'none/x', '.-', './/d//e/g', 'x' * 255, 'x' * 256, 'new', 'new/n', '../' + target + '/d/f', '../tmp', 'd/new']
# What the changes below are about.
some = ['', 'd', 'd/', 'd/f', 'd/e/../f', 'd/../h', 'to-file', 'to-dir/f', 'to-link', 'h', 'h2', 'gone', 'gone/x', './/d//e/g', 'd/i/g', 'new', 'new/n', 'd/new']
def show(f):
  try: return f()
  except OSError as e: return errno.errorcode[e.errno]
def stat(p, fd=None, follow=True):
  s = os.stat(p, dir_fd=fd, follow_symlinks=follow)
  return (oct(s.st_mode), s.st_nlink, s.st_size if (s.st_mode & 0o170000) != 0o40000 else 0, s.st_uid)
libc = ctypes.CDLL(None)
def agrees(p, fd, follow):
  # statx(2) has to say what stat(2) says of links and times.
  s = os.stat(p, dir_fd=fd, follow_symlinks=follow)
  x = ctypes.create_string_buffer(256)
  if libc.statx(-100 if fd is None else fd, os.fsencode(p), 0 if follow else 0x100, 0x7ff, x): return 'fails'
  (nlink,), (c, cn), (m, mn) = struct.unpack_from('I', x, 16), struct.unpack_from('qI', x, 96), struct.unpack_from('qI', x, 112)
  return (nlink, c * 10**9 + cn, m * 10**9 + mn) == (s.st_nlink, s.st_ctime_ns, s.st_mtime_ns) or 'differs'
def read(p, fd, flags):
  f = os.open(p, flags, dir_fd=fd)
  try: return sorted(os.listdir(f)) if os.path.isdir(f) else os.read(f, 99)
  finally: os.close(f)
def look(p, fd=None):
  a = [show(lambda: stat(p, fd)), show(lambda: stat(p, fd, False)), show(lambda: os.readlink(p, dir_fd=fd)),
    show(lambda: os.access(p, os.F_OK, dir_fd=fd)), show(lambda: os.access(p, os.R_OK | os.X_OK, dir_fd=fd)),
    show(lambda: os.access(p, os.W_OK, dir_fd=fd))]
  for flags in (os.O_RDONLY, os.O_RDONLY | os.O_NOFOLLOW, os.O_RDONLY | os.O_DIRECTORY, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK):
    a.append(show(lambda: read(p, fd, flags)))
  a += [show(lambda: agrees(p, fd, True)), show(lambda: agrees(p, fd, False))]
  print(p[:40], fd is not None, a)
def all(names):
  fd = os.open(T, os.O_RDONLY)
  for _ in range(2):
    for n in names:
      look(os.path.join(T, n))
      look(n or '.', fd)
    os.chdir(T); look('d/f'); look('..'); print(show(os.getcwd)[len(W):]); os.chdir(W)
  for d, ds, fs in sorted(os.walk(T)): print(d[len(W):], sorted(ds), sorted(fs))
  os.close(fd)
all(names)
d = os.open(os.path.join(T, 'd'), os.O_RDONLY)
for change in (lambda: os.mkdir(T + '/new'), lambda: open(T + '/new/n', 'w').close(), lambda: open(T + '/d/new', 'w').close(),
    lambda: os.unlink(T + '/gone/x'), lambda: os.rmdir(T + '/gone'), lambda: open(T + '/h', 'a').write('more'),
    lambda: os.rename(T + '/d/e', T + '/d/i'), lambda: os.mkdir(T + '/gone'), lambda: os.unlink(T + '/d/f'), lambda: os.chmod(T + '/d', 0o700)):
  print('change', show(change))
  all(some); look('new', d); look('f', d); look('i/g', d)
`;

const MODES = {
  bind: ['-o bind low', 'seen'],
  cow: ['-o cow up', 'low'],
  merge: ['-o merge top', 'low'],
} as const;

/** What a tree shows does not depend on who runs umvu; that an ordinary user has the same answers one kind will show. */
const CASES: [keyof typeof MODES, Who][] = [
  ['bind', 'root'],
  ['cow', 'root'],
  ['merge', 'root'],
  ['cow', 'an ordinary user'],
];

describe('the same answers as without', () => {
  test.each(CASES)('%s, as %s', async (mode, who) => {
    const script = LOOK.replace('MODE', JSON.stringify(MODES[mode]));
    const copy = `${work}.copy`;
    fs.cpSync(work, copy, { recursive: true, verbatimSymlinks: true });
    // A copy has no names in common any more.
    fs.rmSync(join(copy, 'low/h2'));
    fs.linkSync(join(copy, 'low/h'), join(copy, 'low/h2'));
    const fast = await run(script, ['--stats'], who);
    fs.rmSync(work, { recursive: true });
    fs.renameSync(copy, work);
    const slow = await run(script, ['--trace=stat', '-o', '/dev/null'], who);
    expect(fast).toBe(slow);
    expect(fast).not.toMatch(/differs|fails/);
    expect(fast.split('\n').length).toBeGreaterThan(1000);
  });
});

test('identity: what the addon has answered for root, it does not for what root becomes', async () => {
  fs.chmodSync(join(work, 'low/h'), 0o600);
  const script = `
import os, subprocess
subprocess.run(['vumount', '-t', 'vufs', 'low', 'seen'], check=True)
for i in range(3): os.close(os.open('seen/h', os.O_RDONLY)); os.stat('seen/h')
os.chmod('.', 0o755); os.seteuid(65534)
for i in range(20):
  try: os.open('seen/h', os.O_RDONLY); print('opened')
  except PermissionError: pass
print('done')`;
  expect(await run(script, [], 'root')).toBe('done\n');
});
