import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { native, projectRoot } from '../../runtime/native.ts';
import { launch, type GuestEnd, type LaunchRequest } from '../../runtime/vm/launch.ts';
import { exec, until } from '../helpers/exec.ts';
import { processesOf } from '../helpers/leaks.ts';
import { tree } from '../helpers/tree.ts';
import { nodeCommand } from '../helpers/umvu.ts';
import { ALLOW_ALL, INVALID } from './filters.ts';

const scratch = mkdtempSync(join(tmpdir(), 'umvu-launch-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const SYS_DUP = 32;
/** The words that start supervisor.ts; translated, because what translates it has descriptors of its own. */
const SUPERVISOR = [...nodeCommand(), join(tree(), 'dist/test/guests/supervisor.js')];

interface Result extends GuestEnd {
  stdout: string;
  stderr: string;
}

/** Starts a guest up to the point where it waits, with its streams collected. */
async function start(command: readonly string[], more: Partial<LaunchRequest> = {}) {
  const [name = '', ...args] = command;
  const { env } = process;
  const launched = await launch({
    command: name,
    args,
    env,
    cwd: scratch,
    stdio: 'pipe',
    filter: ALLOW_ALL,
    waitForAll: false,
    ...more,
  });
  const result = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    launched.child[stream]?.setEncoding('utf8').on('data', (text: string) => (result[stream] += text));
  launched.child.stdin?.end();
  void launched.ended.then(() => closeSync(launched.listenerFd));
  const closed = new Promise((resolve) => launched.child.once('close', resolve));
  const finished: Promise<Result> = launched.ended.then(async (end) => {
    await closed;
    return { ...end, ...result };
  });
  return { launched, result, finished };
}

async function run(command: readonly string[], more: Partial<LaunchRequest> = {}): Promise<Result> {
  const { launched, finished } = await start(command, more);
  launched.go();
  return finished;
}

const sh = (script: string, more: Partial<LaunchRequest> = {}) => run(['sh', '-c', script], more);

/** True when process `pid` has ended (it may wait to be reaped). */
const gone = (pid: number): boolean =>
  !existsSync(`/proc/${pid}/stat`) ||
  / [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/.*\)/, ''));

describe('the end of a guest', () => {
  it('is told with every exit status', async () => {
    for (let status = 0; status < 256; status++)
      expect(await sh(`exit ${status}`)).toMatchObject({ code: status, signal: null });
  });

  it.each([
    'SIGKILL',
    'SIGTERM',
    'SIGSEGV',
    'SIGINT',
    'SIGQUIT',
    'SIGABRT',
    'SIGPIPE',
    'SIGUSR1',
    'SIGALRM',
    'SIGTRAP',
  ])('is told when it is %s, and the keeper ends the same way without a core file', async (signal) => {
    const { launched, finished } = await start([
      'sh',
      '-c',
      `ulimit -c unlimited; kill -${signal.slice(3)} $$`,
    ]);
    const keeper = new Promise((resolve) => launched.child.once('exit', (code, by) => resolve([code, by])));
    launched.go();
    expect(await finished).toMatchObject({ code: null, signal });
    expect(await keeper).toEqual([null, signal]);
  });

  it('is 128 + n after a real-time signal, which has no name in Node', async () => {
    expect(await run(['bash', '-c', 'kill -40 $$'])).toMatchObject({ code: 168, signal: null });
  });

  it('is 127 when there is no such command, and 126 when it cannot be executed, with one line', async () => {
    const text = join(scratch, 'text');
    writeFileSync(text, 'x');
    expect(await run(['no-such'])).toMatchObject({
      code: 127,
      stderr: 'umvu: no-such: No such file or directory\n',
      execError: { code: 'ENOENT' },
    });
    expect(await run([text])).toMatchObject({
      code: 126,
      stderr: `umvu: ${text}: Permission denied\n`,
      execError: { code: 'EACCES' },
    });
    expect(await run(['/'])).toMatchObject({ code: 126, execError: { code: 'EACCES' } });
    expect(await run([''])).toMatchObject({ code: 127, execError: { code: 'ENOENT' } });
    expect(await run([`${text}/x`])).toMatchObject({ code: 126, execError: { code: 'ENOTDIR' } });
  });

  it('looks the command up in the PATH of the guest', async () => {
    writeFileSync(join(scratch, 'mine'), '#!/bin/sh\necho found', { mode: 0o755 });
    expect(await run(['mine'], { env: { PATH: `/nowhere:${scratch}` } })).toMatchObject({
      code: 0,
      stdout: 'found\n',
    });
  });
});

describe('a guest', () => {
  it('runs only after go()', async () => {
    const { launched, result, finished } = await start(['echo', 'ran']);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(result.stdout).toBe('');
    expect(readFileSync(`/proc/${launched.pid}/comm`, 'utf8')).toBe('umvu-launch\n');
    launched.go();
    expect((await finished).stdout).toBe('ran\n');
  });

  it('has default signals, an empty mask, the filter, and no new restrictions where root started it', async () => {
    const { stdout } = await run(['cat', '/proc/self/status']);
    const fields = Object.fromEntries(
      [...stdout.matchAll(/^(Sig(?:Blk|Ign|Cgt)|Seccomp|NoNewPrivs):\t(.*)$/gm)].map((match) =>
        match.slice(1),
      ) as [string, string][],
    );
    expect(fields).toEqual({
      SigBlk: '0000000000000000',
      SigIgn: '0000000000000000',
      SigCgt: '0000000000000000',
      Seccomp: '2',
      NoNewPrivs: process.geteuid!() === 0 ? '0' : '1',
    });
  });

  it('dies of SIGPIPE', async () => {
    expect(await run(['bash', '-c', 'yes | head -1; echo ${PIPESTATUS[0]}'])).toMatchObject({
      stdout: 'y\n141\n',
    });
  });

  it('has its standard streams and what it was given, and no other descriptor', async () => {
    // One that this process forgot to make close-on-exec.
    const file = openSync('/etc/passwd', 'r');
    const leaky = native().syscall(SYS_DUP, file);
    try {
      const list = (extra: LaunchRequest['stdio']) =>
        run(['bash', '-c', 'for n in {0..9}; do [ -e /proc/$$/fd/$n ] && echo -n "$n "; done'], {
          stdio: extra,
        });
      expect((await list('pipe')).stdout).toBe('0 1 2 ');
      expect((await list(['pipe', 'pipe', 'pipe', 'ignore', file, null, leaky])).stdout).toBe('0 1 2 4 6 ');
    } finally {
      closeSync(file);
      closeSync(leaky);
    }
  });

  it('has the descriptors that the supervisor was given', async () => {
    const node = SUPERVISOR.map((word) => `'${word}'`).join(' ');
    const list = `bash -c 'for n in {3..99}; do [ ! -e /proc/$$/fd/$n ] || echo -n "$n "; done'`;
    // Not the descriptors that whoever started the tests left open.
    const script = `for fd in /proc/$$/fd/*; do ((\${fd##*/} < 3)) || eval "exec \${fd##*/}>&-"; done
      exec 5<<<five 7</etc/passwd 90>${scratch}/ninety
      ${node} diff <(echo a) <(echo a) && ${node} cat /dev/fd/5 && ${node} sh -c 'echo x >/dev/fd/90' && ${node} ${list}`;
    expect(await exec('bash', ['-c', script])).toMatchObject({
      code: 0,
      stdout: 'five\n5 7 90 ',
      stderr: '',
    });
    expect(readFileSync(join(scratch, 'ninety'), 'utf8')).toBe('x\n');
  });

  it('has the soft limit of open files that the parent of the supervisor had', async () => {
    const node = SUPERVISOR.map((word) => `'${word}'`).join(' ');
    const result = await exec('sh', [
      '-c',
      `ulimit -Sn 512; ${node} sh -c 'ulimit -Sn; ulimit -Hn'; exit $?`,
    ]);
    const hard = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    expect(result).toMatchObject({ stdout: `512\n${hard}\n`, stderr: '', code: 0 });
  });

  it('has the name, directory and environment that were asked for', async () => {
    const more = { argv0: 'other', env: { PATH: '/bin:/usr/bin', A: 'b' }, cwd: '/usr' };
    expect(
      (await run(['sh', '-c', 'ps -o args= $$; env; pwd; tr "\\0" " " </proc/$$/cmdline'], more)).stdout,
    ).toMatch(/(^|\n)A=b\n[^]*\n?\/usr\nother -c /);
  });

  it('is stopped and continued', async () => {
    const { launched, finished } = await start(['sh', '-c', 'kill -STOP $$; echo continued']);
    const stopped = new Promise((resolve) => (launched.onStopped = resolve));
    launched.go();
    expect(await stopped).toBe(constants.signals.SIGSTOP);
    launched.resume();
    expect(await finished).toMatchObject({ code: 0, stdout: 'continued\n' });
  });

  it('gets signals, by name or number', async () => {
    for (const signal of ['SIGTERM', 15] as const) {
      const { launched, result, finished } = await start([
        'sh',
        '-c',
        'trap "echo got; exit 3" TERM; echo ready; while :; do sleep 0.05; done',
      ]);
      launched.go();
      await until('the guest is ready', () => result.stdout !== '');
      launched.signal(signal);
      expect(await finished).toMatchObject({ code: 3, stdout: 'ready\ngot\n' });
    }
  });
});

describe('processes that a guest leaves behind', () => {
  /** Runs a script that prints process ids; how it ended, and which of them are gone then. */
  async function leaving(script: string, more: Partial<LaunchRequest> = {}) {
    const started = Date.now();
    const end = await sh(script, more);
    const pids = end.stdout.trim().split(/\s+/).map(Number);
    expect(pids.every((pid) => pid > 1)).toBe(true);
    return { ...end, alive: pids.filter((pid) => !gone(pid)), ms: Date.now() - started };
  }

  it('get SIGTERM', async () => {
    const script = `(trap 'echo bye >${scratch}/bye; exit' TERM; : >${scratch}/set; while :; do sleep 0.05; done) & echo $!
      while [ ! -e ${scratch}/set ]; do sleep 0.01; done; exit 5`;
    const { code, alive, ms } = await leaving(script);
    expect({ code, alive }).toEqual({ code: 5, alive: [] });
    expect(ms).toBeLessThan(900);
    expect(readFileSync(join(scratch, 'bye'), 'utf8')).toBe('bye\n');
  });

  it('are killed after a second: deaf, stopped, in sessions of their own, orphans of orphans', async () => {
    const script = `trap "" TERM
      sleep 100 & echo $!
      setsid sh -c 'sleep 100 & echo $!; setsid sleep 101 & echo $!; kill -STOP $$' & echo $!
      sh -c 'sh -c "sleep 100 & echo \\$!" &'
      sleep 0.3; exit 6`;
    const { code, alive, ms, stdout } = await leaving(script);
    expect({ code, alive, count: stdout.trim().split('\n').length }).toEqual({
      code: 6,
      alive: [],
      count: 5,
    });
    expect(ms).toBeLessThan(4000);
  });

  it('end also where they are hundreds', async () => {
    const { alive } = await leaving(
      'trap "" TERM; i=0; while [ $i -lt 300 ]; do sleep 100 & echo $!; i=$((i+1)); done',
    );
    expect(alive).toEqual([]);
  });

  it('are waited for when asked', async () => {
    const { launched, finished } = await start(['sh', '-c', '(sleep 0.3; echo late) & echo early; exit 7'], {
      waitForAll: true,
    });
    let ended = false;
    void launched.ended.then(() => (ended = true));
    launched.go();
    expect(await launched.rootEnded).toEqual({ code: 7, signal: null });
    expect(ended).toBe(false);
    expect(await finished).toMatchObject({ code: 7, stdout: 'early\nlate\n' });
  });

  it('are no longer waited for after a signal', async () => {
    const { launched, finished } = await start(['sh', '-c', 'sleep 100 & echo $!'], { waitForAll: true });
    launched.go();
    await launched.rootEnded;
    launched.signal('SIGTERM');
    const { stdout, code } = await finished;
    expect({ code, gone: gone(Number(stdout)) }).toEqual({ code: 0, gone: true });
  });

  it('do not keep the streams of the guest open', async () => {
    const { launched, finished } = await start(['sh', '-c', 'exec >&- 2>&-; sleep 0.5']);
    const closed = new Promise((resolve) => launched.child.stdout?.once('end', () => resolve('closed')));
    launched.go();
    expect(await Promise.race([closed, finished.then(() => 'ended')])).toBe('closed');
    await finished;
  });
});

describe('the supervisor', () => {
  let marks = 0;
  /** Starts supervisor.ts in a process group of its own. */
  function supervise(script: string) {
    const mark = `${process.pid}.${++marks}`;
    const env = { ...process.env, UMVU_TEST_LAUNCH: mark };
    const [command = '', ...words] = SUPERVISOR;
    const child = spawn(command, [...words, 'sh', '-c', script], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const output = { text: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.text += text));
    return { child, output, all: () => processesOf(`UMVU_TEST_LAUNCH=${mark}`) };
  }

  it('takes everything with it when it is killed', async () => {
    const { child, output, all } = supervise(
      'trap "" TERM HUP; sleep 100 & setsid sh -c "sleep 100 & sleep 100" & sleep 0.2; echo ready; wait',
    );
    await until('the guest is ready', () => output.text !== '', 20_000);
    expect(all().length).toBeGreaterThanOrEqual(5);
    child.kill('SIGKILL');
    await until('all are gone', () => all().length === 0);
  });

  it('relays a signal once, whether it came to it alone or to the process group', async () => {
    const { child, output, all } = supervise(
      'trap "echo term" TERM; trap "echo bye; exit 4" HUP; echo ready; while :; do sleep 0.05; done',
    );
    const exited = new Promise((resolve) => child.once('exit', resolve));
    const shows = (text: string) => until(text, () => output.text === text, 20_000);
    await shows('ready\n');
    process.kill(-child.pid!, 'SIGTERM');
    await shows('ready\nterm\n');
    await new Promise((resolve) => setTimeout(resolve, 300));
    process.kill(child.pid!, 'SIGTERM');
    await shows('ready\nterm\nterm\n');
    process.kill(child.pid!, 'SIGHUP');
    expect(await exited).toBe(4);
    expect(output.text).toBe('ready\nterm\nterm\nbye\n');
    expect(all()).toEqual([]);
  });

  it('learns why a guest cannot be started', async () => {
    await expect(start(['true'], { filter: INVALID })).rejects.toMatchObject({
      code: 'EINVAL',
      message: /seccomp filter/,
    });
    await expect(start(['true'], { filter: Buffer.alloc(0) })).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(start(['true'], { cwd: join(scratch, 'no-such') })).rejects.toMatchObject({
      code: 'ENOENT',
      message: /working directory/,
    });
  });

  it('ends the guest whose keeper was killed', async () => {
    const { launched, finished } = await start(['sleep', '100']);
    launched.go();
    process.kill(launched.keeperPid, 'SIGKILL');
    expect(await finished).toMatchObject({ code: null, signal: 'SIGKILL' });
    await until('the guest is gone', () => gone(launched.pid));
  });
});

it('the launcher refuses to be started by hand', async () => {
  const program = join(projectRoot, 'guests/build/libexec/umvu-launch');
  for (const args of [[], ['3', 'true', 'true'], ['0', 'true', 'true'], ['x', 'true', 'true']])
    expect(await exec(program, args)).toMatchObject({ code: 2, stdout: '', stderr: /started by umvu/ });
});
