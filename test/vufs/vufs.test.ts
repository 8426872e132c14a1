/** vufs mounts as programs see them: modes, options, refusals, and what must never happen to the lower tree. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { umvuCommand, umvuEnvironment } from '../helpers/umvu.ts';
import type { Who } from '../helpers/users.ts';

let work: string;
beforeEach(() => {
  work = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'umvu-vufs-')));
  for (const name of ['a/sub', 'b/both', 'a/both', 'at', 'tmp'])
    fs.mkdirSync(join(work, name), { recursive: true });
  fs.writeFileSync(join(work, 'a/file'), 'of a\n');
  fs.writeFileSync(join(work, 'a/both/x'), 'x of a\n');
  fs.writeFileSync(join(work, 'b/file'), 'of b\n');
  fs.writeFileSync(join(work, 'b/only'), 'only b\n');
  fs.writeFileSync(join(work, 'b/both/y'), 'y of b\n');
});
afterEach(() => fs.rmSync(work, { recursive: true }));

/** What a shell script in umvu prints, with its errors; `vufs OPTIONS SOURCE TARGET` mounts. */
async function sh(script: string, who: Who = 'root'): Promise<string> {
  if (who !== 'root')
    for (const name of ['.', 'a', 'a/sub', 'b', 'at', 'tmp', 'b/both'])
      fs.chownSync(join(work, name), 65534, 65534);
  const all = `cd ${work}; vufs() { vumount -t vufs -o "$@"; }; ${script}`;
  const [command, ...args] = umvuCommand(['-m', 'vufs', '--', 'bash', '-c', all], who);
  const { stdout, stderr } = await exec(command!, args, {
    cwd: work,
    env: umvuEnvironment(work),
    timeout: 20_000,
  });
  return (stdout + stderr).replaceAll(work, 'W');
}

describe.each<Who>(['root', 'an ordinary user'])('as %s', (who) => {
  test('bind shows one tree at another place, where everything acts on it', async () => {
    expect(
      await sh(
        'vumount -t vufs a at; cat at/file; cd at/sub; pwd -P; echo new > new; cat ../sub/new; readlink /proc/self/cwd',
        who,
      ),
    ).toBe('of a\nW/at/sub\nnew\nW/at/sub\n');
    expect(fs.readFileSync(join(work, 'a/sub/new'), 'utf8')).toBe('new\n');
  });

  test('merge shows both, the source first and read-only', async () => {
    const script = `vufs merge a b; cat b/file b/only; echo $(ls b) $(ls b/both);
      echo x > b/file; rm b/file; echo x > b/made; rm b/only; ls b; vuumount b; ls b`;
    expect((await sh(script, who)).replace(/^bash.*line \d+: /gm, '')).toBe(
      "of a\nonly b\nboth file only sub x y\nboth\nfile\nmade\nsub\nboth\nfile\nmade\nb/file: Read-only file system\nrm: cannot remove 'b/file': Read-only file system\n",
    );
  });

  test('cow keeps changes and removals in the source, over a remount', async () => {
    const script = `mkdir up; vufs cow up b; echo more >> b/only; rm b/file; rm -r b/both; mkdir b/both; ls -A b b/both;
      vuumount b; ls b b/both; vufs cow up b; ls -A b b/both; cat b/only`;
    const after = 'b:\nboth\nonly\n\nb/both:\n';
    expect(await sh(script, who)).toBe(`${after}b:\nboth\nfile\nonly\n\nb/both:\ny\n${after}only b\nmore\n`);
    expect(fs.readFileSync(join(work, 'b/only'), 'utf8')).toBe('only b\n');
  });
});

test(
  'names are removed while they are listed, of the lower tree and of both',
  { timeout: 30_000 },
  async () => {
    for (let i = 0; i < 2000; i++) fs.writeFileSync(join(work, `b/both/of-the-lower-tree-${i}`), '');
    const script = `mkdir up; vufs cow up b; python3 - <<'END'
import os
def clear():
  n = 0
  for entry in os.scandir('b/both'): os.unlink(entry.path); n += 1
  print(n, os.listdir('b/both'))
clear()
for i in range(2000): open('b/both/of-the-upper-tree-%d' % i, 'w').close()
clear()
os.rmdir('b/both')
END
ls b`;
    expect(await sh(script)).toBe('2001 []\n2000 []\nfile\nonly\n');
  },
);

test('a single file, except=, a mount in a mount, and one over another', async () => {
  expect(
    await sh(
      'vumount -t vufs a/file b/file; cat b/file; echo w > b/file; vuumount b/file; cat b/file a/file',
    ),
  ).toBe('of a\nof b\nw\n');
  expect(
    await sh(
      'vufs bind,except=both a b; ls b b/both; vumount -t vufs a/sub b/both; ls b/both; vuumount b/both; vuumount b',
    ),
  ).toBe('b:\nboth\nfile\nsub\n\nb/both:\ny\n');
  expect(
    await sh(
      'mkdir u1 u2; vufs cow u1 b; echo 1 > b/n1; vufs cow u2 b; echo 2 > b/n2; rm b/n1; ls b; vuumount b; ls b; vuumount b; ls b; ls u1 u2',
    ),
  ).toBe('both\nfile\nn2\nonly\nboth\nfile\nn1\nonly\nboth\nfile\nonly\nu1:\nn1\n\nu2:\nn2\n');
});

test('ro is enforced, also through descriptors and procfs', async () => {
  const script = String.raw`vufs ro a at; python3 - <<'E'
import os, errno
def t(f):
  try: print(f())
  except OSError as e: print(errno.errorcode[e.errno])
fd = os.open('at/file', os.O_RDONLY)
t(lambda: os.open('at/file', os.O_WRONLY)); t(lambda: os.truncate('at/file', 0)); t(lambda: os.chmod('at/file', 0))
t(lambda: os.utime('at/file', (1, 1))); t(lambda: os.mkdir('at/new')); t(lambda: os.unlink('at/file'))
t(lambda: os.rename('at/file', 'at/x')); t(lambda: os.link('at/file', 'at/x')); t(lambda: os.setxattr('at/file', 'user.a', b'x'))
t(lambda: os.open('/proc/self/fd/%d' % fd, os.O_RDWR)); t(lambda: os.fchmod(fd, 0)); t(lambda: os.utime(fd, (1, 1)))
t(lambda: os.access('at/file', os.W_OK)); t(lambda: os.access('at/file', os.R_OK))
E`;
  expect((await sh(script)).split('\n')).toEqual([...Array<string>(12).fill('EROFS'), 'False', 'True', '']);
});

test('mounts that make no sense are refused with a reason', async () => {
  const script = `vufs cow,merge a b; vufs nonsense a b; vufs cow a/file b; vufs cow missing b; vumount -t vufs missing b;
    mkdir u; vufs cow u b; vufs cow u a; cd b; vuumount $OLDPWD/b; vuumount -f $OLDPWD/b; cd /; vuumount ${'$'}{OLDPWD%/*}/nothing`;
  const out = await sh(script);
  const codes = out.split('\n').filter(Boolean);
  expect(codes).toHaveLength(8);
  for (const [i, words] of [
    'exclude each other',
    'unknown option',
    'no directory',
    'missing',
    'missing',
    'changes of another mount',
    'is in it',
  ].entries())
    expect(codes[i]).toContain(words);
});

test(
  'a link or a path that is exchanged while it is used never leads to a protected file',
  { timeout: 60_000 },
  async () => {
    fs.copyFileSync(join(import.meta.dirname, 'exchange.py'), join(work, 'exchange.py'));
    const out = await sh(
      'mkdir up; vufs ro a a; vufs cow up b; python3 exchange.py a/file b/file; vuumount b; vuumount a',
    );
    expect(out).toMatch(/^done \d+\n$/);
    expect(fs.readFileSync(join(work, 'a/file'), 'utf8')).toBe('of a\n');
    expect(fs.readFileSync(join(work, 'b/file'), 'utf8')).toBe('of b\n');
  },
);
