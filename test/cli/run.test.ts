import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { BUILT, QUOTED, UMVU, collect, startUmvu, umvu } from './command.ts';

const scratch = mkdtempSync(join(tmpdir(), 'umvu-run-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** The first line that `child` prints. */
function firstLine(child: ReturnType<typeof startUmvu>): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (more: string) => {
      text += more;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    child.once('close', () => reject(new Error(`no line in «${text}»`)));
  });
}

/** Waits until process `pid` is gone. */
async function gone(pid: number): Promise<boolean> {
  for (let i = 0; i < 150; i++) {
    if (!existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
      return true;
    await sleep(20);
  }
  return false;
}

describe('the end of a command', () => {
  it.each([0, 1, 2, 77, 125, 126, 127, 128, 130, 255])('passes exit status %i on', async (status) => {
    expect(await umvu(['sh', '-c', `exit ${status}`])).toEqual({
      code: status,
      signal: null,
      stdout: '',
      stderr: '',
    });
  });

  it.each(['TERM', 'KILL', 'SEGV', 'HUP', 'INT', 'QUIT', 'ABRT', 'USR1', 'PIPE', 'ALRM'])(
    'is a death by SIG%s too',
    async (name) => {
      const result = await umvu(['sh', '-c', `kill -${name} $$`], { cwd: scratch });
      expect(result).toMatchObject({ code: null, signal: `SIG${name}` });
      expect(existsSync(join(scratch, 'core'))).toBe(false);
    },
  );

  it('is 127 where there is no such command, and 126 where it cannot be executed', async () => {
    expect(await umvu(['nosuch'])).toEqual({
      code: 127,
      signal: null,
      stdout: '',
      stderr: 'umvu: nosuch: No such file or directory\n',
    });
    expect(await umvu(['/etc/passwd'])).toEqual({
      code: 126,
      signal: null,
      stdout: '',
      stderr: 'umvu: /etc/passwd: Permission denied\n',
    });
    expect(await umvu(['/'])).toMatchObject({ code: 126, stderr: 'umvu: /: Permission denied\n' });
    expect(await umvu(['--', '--nosuch'])).toMatchObject({ code: 127 });
  });

  it('is a death by SIGPIPE for a writer whose reader went away', () => {
    const script = `${QUOTED} yes | head -1; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    expect({ stdout, stderr }).toEqual({ stdout: 'y\n141\n', stderr: '' });
  });

  it('does not wait for processes that were left behind, and ends them', async () => {
    const { code, stdout } = await umvu([
      'sh',
      '-c',
      'sleep 300 >/dev/null 2>&1 & setsid sleep 301 >/dev/null 2>&1 & echo $!; exit 3',
    ]);
    expect(code).toBe(3);
    expect(await gone(Number(stdout))).toBe(true);
  });

  it('waits for them with --wait, and keeps the status of the command', async () => {
    const result = await umvu(['-w', 'sh', '-c', '(sleep 0.3; echo late) & exit 3']);
    expect(result).toMatchObject({ code: 3, stdout: 'late\n' });
  });
});

describe('what a command finds', () => {
  it('has its standard streams', async () => {
    const input = Buffer.alloc(300_000, 'a line of text\n');
    const { stdout, code } = await umvu(['cat'], { input });
    expect(code).toBe(0);
    expect(stdout === input.toString()).toBe(true);
    expect(await umvu(['sh', '-c', 'echo out; echo err >&2'])).toMatchObject({
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  it('has its arguments as they were', async () => {
    const words = ['', ' ', '*', '--help', '-m', '$HOME', 'ä€', '\n', '--', '"'];
    const { stdout } = await umvu(['printf', '<%s>', ...words]);
    expect(stdout).toBe(words.map((word) => `<${word}>`).join(''));
  });

  it('has the bytes of its arguments and its environment, also where they are not UTF-8', () => {
    const script = `X=$(printf 'a\\377b') ${QUOTED} sh -c 'printf %s "$1|$X" | od -An -tx1' sh "$(printf 'c\\351\\376')"`;
    expect(spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stdout).toBe(' 63 e9 fe 7c 61 ff 62\n');
  });

  it('has the signals, limits and descriptors that umvu was given, and not those of Node', async () => {
    const script = 'grep -E "^Sig(Ign|Blk)" /proc/self/status; ulimit -S -n; ls /proc/self/fd; umask';
    const { stdout } = await umvu(['sh', '-c', script]);
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    const none = '0'.repeat(16);
    // Whoever started the tests may have left descriptors open, which all of us inherit.
    const descriptors = spawnSync('sh', ['-c', 'ls /proc/self/fd'], { encoding: 'utf8' }).stdout;
    expect(stdout).toBe(`SigBlk:\t${none}\nSigIgn:\t${none}\n${limit}\n${descriptors}0022\n`);
  });

  it('runs in the directory and with the variables that were asked for', async () => {
    const { stdout } = await umvu(
      [
        '-C',
        scratch,
        '-E',
        'X=1 2',
        '-E',
        'Y=',
        'sh',
        '-c',
        'pwd; echo "$X,$Y,${Z-unset}"; echo "$UMVU_VIEW"',
      ],
      {
        env: { ...process.env, UMVU_VIEW: 'outer' },
      },
    );
    const [directory, variables, view] = stdout.split('\n');
    expect([directory, variables]).toEqual([scratch, '1 2,,unset']);
    expect(view).not.toBe('outer');
  });

  it('starts without standard streams, and in a directory that was removed with a clear word', () => {
    const shell = (script: string) => spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    expect(shell(`${QUOTED} true <&- >&- 2>&-; echo $?`).stdout).toBe('0\n');
    // A loader of TypeScript has its own trouble with such a folder.
    const built = BUILT.map((word) => `'${word}'`).join(' ');
    const { stderr, stdout } = shell(
      `mkdir ${scratch}/gone; cd ${scratch}/gone; rmdir ../gone; ${built} true; echo $?`,
    );
    expect(stderr).toContain('umvu: working directory: no such file or directory');
    expect(stdout).toBe('125\n');
  });

  it('is a shell where no command is given', async () => {
    const env = { ...process.env, SHELL: '/bin/sh' };
    const result = await umvu(['--name', 'blue'], {
      env,
      input: 'echo "$0 $UMVU_VIEW $debian_chroot"; exit 4\n',
    });
    expect(result).toEqual({ code: 4, signal: null, stdout: '/bin/sh blue blue\n', stderr: '' });
    delete (env as NodeJS.ProcessEnv)['SHELL'];
    expect((await umvu([], { env, input: 'echo $0\n' })).stdout).toBe('/bin/sh\n');
  });
});

describe('signals', () => {
  it.each(['TERM', 'HUP', 'USR1', 'USR2', 'INT', 'QUIT'])('passes SIG%s to the command', async (name) => {
    const child = startUmvu([
      'sh',
      '-c',
      `trap 'echo got ${name}; exit 7' ${name}; echo ready; while :; do sleep 0.05; done`,
    ]);
    const end = collect(child);
    await firstLine(child);
    child.kill(`SIG${name}` as NodeJS.Signals);
    expect(await end).toMatchObject({ code: 7, stdout: `ready\ngot ${name}\n`, stderr: '' });
  });

  it('gives a signal for the whole group to the command once', async () => {
    const child = startUmvu(
      ['sh', '-c', "trap 'echo got' INT; echo ready; for i in 1 2 3 4 5 6; do sleep 0.1; done"],
      { detached: true },
    );
    const end = collect(child);
    await firstLine(child);
    process.kill(-(child.pid ?? 0), 'SIGINT');
    expect(await end).toMatchObject({ code: 0, stdout: 'ready\ngot\n' });
  });

  it('kills all at the second SIGTERM', async () => {
    const child = startUmvu([
      'sh',
      '-c',
      "trap 'echo no' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo $!; while :; do sleep 0.1; done",
    ]);
    const end = collect(child);
    const pid = Number(await firstLine(child));
    child.kill('SIGTERM');
    await sleep(400);
    expect(child.exitCode).toBeNull();
    child.kill('SIGTERM');
    expect(await end).toMatchObject({ code: null, signal: 'SIGKILL' });
    expect(await gone(pid)).toBe(true);
  });

  it('ends all guests when umvu itself is killed', async () => {
    const child = startUmvu(['sh', '-c', 'setsid sleep 300 & echo $!; sleep 301']);
    const end = collect(child);
    const pid = Number(await firstLine(child));
    child.kill('SIGKILL');
    await end;
    expect(await gone(pid)).toBe(true);
  });
});

describe('mistakes that only show when the VM is there', () => {
  it.each<[string[], RegExp]>([
    [['-m', 'nosuch', 'true'], /^umvu: module nosuch: no module «nosuch»\n {2}a module is a name, .*\n$/],
    [
      ['-m', './nosuch.ts', 'true'],
      /^umvu: module \/.*nosuch\.ts: no module .*\n {2}a module is a name, .*\n$/,
    ],
    [
      ['--trace=nosuch', 'true'],
      /^umvu: option --trace: «nosuch» is no system call and no class\n {2}classes are %file .*\n$/,
    ],
    [
      ['--trace', '-o', '/nonexistent/x', 'true'],
      /^umvu: --output \/nonexistent\/x: no such file or directory\n$/,
    ],
    [['--net', 'nonsense', 'true'], /^umvu: --net nonsense: .+\n$/],
    // The place is that in what was typed, wherever the networks stand.
    [['--net', 'stack=lwip,hub://,eth,nonsense,hub://', 'true'], /«nonsense» \(character 23 of the conf/],
  ])('%j', async (words, message) => {
    const result = await umvu(words);
    expect(result).toMatchObject({ code: 125, stdout: '' });
    expect(result.stderr).toMatch(message);
  });

  it('names the fault in a file that is no module', async () => {
    const cases: [string, string, RegExp][] = [
      ['syntax.js', 'export default {', /cannot be loaded: /],
      ['empty.js', '', /has no default export made with defineModule\(\)/],
    ];
    for (const [name, text, message] of cases) {
      writeFileSync(join(scratch, name), text);
      const result = await umvu(['-m', `./${name}`, 'true'], { cwd: scratch });
      expect(result).toMatchObject({ code: 125 });
      expect(result.stderr).toMatch(message);
    }
  });
});

describe('--trace and --stats', () => {
  it('shows calls on standard error, or writes them to a file', async () => {
    const shown = await umvu(['--trace=exit_group,socket', 'sh', '-c', 'exit 5']);
    expect(shown).toMatchObject({ code: 5, stdout: '' });
    expect(shown.stderr).toMatch(/^\d+ exit_group\(5\) = \? \(passed to the kernel\)\n$/);
    const file = join(scratch, 'trace');
    writeFileSync(file, 'old');
    const written = await umvu(['--trace', '-o', file, 'true']);
    expect(written).toMatchObject({ code: 0, stderr: '' });
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines.at(-1)).toMatch(/^\d+ exit_group\(0\) = /);
    expect(lines.every((line) => /^\d+ \w+\(.*\) = /.test(line))).toBe(true);
  });

  it('counts calls by name and says how they were answered', async () => {
    const { code, stdout, stderr } = await umvu(['--stats', 'true']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toMatch(/^ +calls +answered +passed +failed +ms +µs\/call {2}trapped call$/m);
    expect(stderr).toMatch(/^ +1 +0 +1 +0 +\d+\.\d{3} +\d+\.\d {2}exit_group$/m);
    expect(stderr).toMatch(/ {2}total\n$/);
  });

  it('says nothing without being asked, and -v says who runs', async () => {
    expect((await umvu(['true'])).stderr).toBe('');
    expect((await umvu(['-v', 'true'])).stderr).toMatch(/^umvu: info: cli: process \d+: true$/m);
  });
});

describe('umvu inside umvu', () => {
  it('passes status and signals on', async () => {
    expect(await umvu([...UMVU, 'sh', '-c', 'exit 9'])).toEqual({
      code: 9,
      signal: null,
      stdout: '',
      stderr: '',
    });
    expect(await umvu([...UMVU, 'sh', '-c', 'kill -SEGV $$'])).toMatchObject({
      code: null,
      signal: 'SIGSEGV',
    });
    expect(await umvu([...UMVU, 'nosuch'])).toMatchObject({
      code: 127,
      stderr: 'umvu: nosuch: no such file or directory\n',
    });
  });

  it('has a view of its own', async () => {
    const script = `${QUOTED} --name inner vuname -V; vuname -V`;
    const result = await umvu(['--name', 'outer', 'sh', '-c', script]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout.trim().split(/\s+/)).toEqual(['inner', 'outer']);
  });

  it('ends what its command left behind', async () => {
    const inner = `${QUOTED} sh -c 'sleep 300 >/dev/null 2>&1 & echo $!'`;
    const { stdout, code } = await umvu([
      'sh',
      '-c',
      `pid=$(${inner}); kill -0 $pid && echo alive || echo ended`,
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'ended\n' });
  });

  it('refuses to trace, because the outer umvu answers', async () => {
    const result = await umvu([...UMVU, '--trace', 'true']);
    expect(result).toMatchObject({ code: 125 });
    expect(result.stderr).toMatch(/this umvu runs inside another one/);
  });
});
