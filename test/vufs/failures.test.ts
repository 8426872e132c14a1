/** vufs where something is wrong: bad words, busy targets, full disks, a supervisor that is killed. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { umvuCommand, umvuEnvironment } from '../helpers/umvu.ts';
import { USERS, workDir, type Who } from '../helpers/users.ts';

let work: ReturnType<typeof workDir>;
let who: Who;
const at = (...names: string[]): string => join(work.path, ...names);

function open(user: Who): void {
  who = user;
  work = workDir(user);
  const { uid, gid } = fs.statSync(work.path);
  for (const name of ['low', 'low/sub', 'up', 'other']) fs.mkdirSync(at(name));
  fs.writeFileSync(at('low/file'), 'content\n');
  for (const name of ['low', 'low/sub', 'low/file', 'up', 'other']) fs.chownSync(at(name), uid, gid);
}
afterEach(() => work.remove());

/** What a shell in umvu prints, errors among it; `before` are words that start umvu. */
async function sh(script: string, before: readonly string[] = []): Promise<string> {
  const words = [...before, ...umvuCommand(['-m', 'vufs', '--', 'bash', '-c', `exec 2>&1; ${script}`], who)];
  const options = { cwd: work.path, env: umvuEnvironment(work.path), timeout: 25_000 };
  const { stdout, stderr } = await exec(words[0]!, words.slice(1), options);
  return (stdout + stderr).replaceAll(work.path, 'W').replace(/^bash: line \d+: /gm, '');
}
const COW = 'vumount -t vufs -o cow up low';

describe.each<Who>(USERS)('as %s', (user) => {
  beforeEach(() => open(user));

  test('words that mean nothing, and places that are not there', async () => {
    const tries = [
      '-o cow,ro,nonsense up low',
      '-o except= up low',
      '-o except=a/../b up low',
      '-o cow up missing',
    ];
    const out = await sh(
      `${tries.map((words) => `vumount -t vufs ${words} || echo $?`).join('; ')}; vumount -t vufsnone up low || echo $?; vumount`,
    );
    expect(out.match(/^1$/gm)).toHaveLength(5);
    expect(out).toContain('unknown option «nonsense»');
    expect(out).toContain('not a path below the mount');
    expect(out).not.toMatch(/^up |^W\/up /m);
  });

  test('a mount that is used is busy; detached, it stays for those who use it', async () => {
    const script = `vumount -t vufs low other; exec 3<other/file; vuumount other; vuumount -l other; cat <&3; ls other;
      exec 3<&-; vumount -t vufs low other; cd other/sub; vuumount ../../other; vuumount -l ../../other; ls ..; cat ../file`;
    expect((await sh(script)).replace(/\d+/g, 'N')).toBe(
      [
        'vuumount: other: process N has files of it open',
        'content',
        'vuumount: ../../other: process N is in it',
        'file\nsub\ncontent\n',
      ].join('\n'),
    );
  });

  test('names that are too long, and permissions', async () => {
    const script = String.raw`${COW}; long=$(printf 'n%.0s' {1..256}); path=$(printf 'low/./%.0s' {1..900});
      touch low/$long; mkdir low/${'$'}{long:1} && rmdir low/${'$'}{long:1} && echo 255; stat $path 2>&1 | tail -c 20
      chmod 500 low/sub; touch low/sub/x && [ $(id -u) = 0 ] || echo refused`;
    const out = await sh(script);
    expect(out).toMatch(/File name too long\n255\n/);
    expect(out).toContain('File name too long\n'.slice(-19));
    if (user !== 'root') expect(out).toMatch(/low\/sub\/x': Permission denied\nrefused\n$/);
  });

  test('the copy of a large file holds up nobody', async () => {
    fs.truncateSync(at('low/file'), 300 << 20);
    const fd = fs.openSync(at('low/file'), 'r+');
    const block = Buffer.alloc(1 << 20, 7);
    for (let i = 0; i < 200; i++) fs.writeSync(fd, block, 0, block.length, i << 20);
    fs.closeSync(fd);
    const script = `${COW}; python3 - <<'E'
import os, time
pid = os.fork()
if pid == 0:
    fd = os.open('low/file', os.O_RDWR)
    os.pwrite(fd, b'x', 5)
    os._exit(0)
start = time.time(); worst = count = 0
while os.waitpid(pid, os.WNOHANG)[0] == 0:
    before = time.time(); os.path.exists('low/none'); worst = max(worst, time.time() - before); count += 1
print(count > 5, worst < (time.time() - start) / 2, os.stat('low/file').st_size >> 20)
E`;
    expect(await sh(script)).toBe('True True 300\n');
    const [copy, low] = [fs.readFileSync(at('up/file')), fs.readFileSync(at('low/file'))];
    expect(copy[5]).toBe('x'.charCodeAt(0));
    copy[5] = 7;
    expect(copy.equals(low)).toBe(true);
    // The holes of the file are holes of its copy.
    expect(fs.statSync(at('up/file')).blocks).toBeLessThan((210 << 20) / 512);
  });
});

test('a full disk below the changes: ENOSPC, and nothing half-written', async () => {
  open('root');
  fs.writeFileSync(at('low/big'), Buffer.alloc(3 << 20, 1));
  fs.writeFileSync(at('low/bigger'), Buffer.alloc(20 << 20, 1));
  const script = `${COW}; echo x >> low/big; echo x >> low/bigger; chmod 600 low/big; mv low/big low/moved; echo small >> low/file
    cat low/file; cmp low/big other/big && cmp low/bigger other/bigger && echo same; ls -A up up/.-/*work`;
  for (const name of ['big', 'bigger']) fs.copyFileSync(at('low', name), at('other', name));
  const mounted = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o size=2m none up && exec "$@"', 'sh'];
  const full = 'No space left on device';
  expect(await sh(script, mounted)).toBe(
    [
      `low/big: ${full}`,
      `low/bigger: ${full}`,
      `chmod: changing permissions of 'low/big': ${full}`,
      `mv: cannot move 'low/big' to 'low/moved': ${full}`,
      'content\nsmall\nsame\nup:\n.-\nfile\n',
      'up/.-/\x7fwork:\n',
    ].join('\n'),
  );
});

test(
  'a supervisor that is killed leaves changes that can be mounted again',
  { timeout: 60_000 },
  async () => {
    open('root');
    const names = Array.from({ length: 40 }, (_, i) => `f${i}`);
    const content = (name: string): string => name.repeat(100_000);
    for (const name of names) fs.writeFileSync(at('low', name), content(name));
    fs.chmodSync(at('low/f0'), 0o640);
    // Each round changes files until it is killed; a complete line of the log says what has been done.
    const script = `${COW} || exit 9; for n in ${names.join(' ')}; do if [ -e low/$n ]; then printf + >> low/$n && echo + $n; mv low/$n low/$n.new && echo mv $n; fi; done`;
    let log = '';
    for (let round = 0; round < 12; round++) {
      const [command, ...args] = umvuCommand(['-m', 'vufs', '--', 'bash', '-c', script]);
      const child = spawn(command!, args, { cwd: work.path, env: umvuEnvironment(work.path) });
      const ended = new Promise((resolve) => child.once('close', resolve));
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        log += text;
        if (text.includes('mv') && log.split('mv').length > 3 * (round + 1)) child.kill('SIGKILL');
      });
      expect(await ended, 'it mounts').not.toBe(9);
    }
    await sh(`${COW} && rm -rf other && cp -a low other`);
    const seen = fs.readdirSync(at('other')).filter((name) => /^f\d/.test(name));
    for (const name of names) {
      const done = new RegExp(`^mv ${name}$`, 'm').test(log);
      const there = seen.filter((each) => each === name || each === `${name}.new`);
      // A file that was being moved may be there under both names, but never under none.
      expect(there.length, name).toBeGreaterThan(0);
      if (done) expect(there, name).toEqual([`${name}.new`]);
      for (const each of there)
        expect(fs.readFileSync(at('other', each), 'latin1').replace(/\++$/, ''), each).toBe(content(name));
    }
    expect(log.match(/^mv/gm)!.length).toBeGreaterThan(12);
    expect(names.map((name) => fs.readFileSync(at('low', name), 'latin1'))).toEqual(names.map(content));
  },
);
