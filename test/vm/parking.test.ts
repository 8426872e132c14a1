/** Blocked calls meet signals, stops, ends and results: runtime/vm/parking.ts with guests/tap/parked.c. */
import { execFileSync } from 'node:child_process';
import { closeSync, readFileSync, readdirSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Errno } from '../../runtime/errno.ts';
import { native, projectRoot, type Listener } from '../../runtime/native.ts';
import { buildFilter } from '../../runtime/seccomp/filter.ts';
import type { Handler } from '../../runtime/syscalls/handler.ts';
import { inject } from '../../runtime/syscalls/outcome.ts';
import type { Call } from '../../runtime/vm/call.ts';
import { Dispatcher } from '../../runtime/vm/dispatch.ts';
import { launch, type GuestEnd, type Launched } from '../../runtime/vm/launch.ts';
import { ProcessTable } from '../../runtime/vm/processes.ts';
import { View } from '../../runtime/vm/view.ts';
import type { Vm } from '../../runtime/vm/vm.ts';
import { descriptors } from '../helpers/leaks.ts';

const GUEST = join(projectRoot, 'guests/build/tap/parked');
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

beforeAll(() => {
  execFileSync('make', ['-s', '-C', join(projectRoot, 'guests'), 'build/tap/parked']);
});

/** What a line of the guest tells of a call. */
interface Line {
  what: string;
  result: number;
  error: string;
  handled: number;
  ms: number;
}

/** A supervisor with handlers of the test for mount(2) and socket(2). */
class Rig {
  /** Aborts that handlers saw, in order. */
  readonly aborts: string[] = [];
  /** Sources of the mount(2) calls that handlers saw, in order. */
  readonly calls: string[] = [];
  /** The last call that never settles by itself. */
  latest: { call: Call; resolve: (value: number) => void } | undefined;
  readonly #processes: ProcessTable;
  readonly dispatcher: Dispatcher;
  listener: Listener | undefined;
  launched: Launched | undefined;
  output = '';

  /** Settles the calls with source "settle", and those of socket(2). */
  constructor(settle: Handler = async () => sleep(50).then(() => 7)) {
    const state = { view: new View(''), defaults: new Map(), special: false };
    this.#processes = new ProcessTable(state, (ended) => this.dispatcher.abandon(ended.pid));
    const mount: Handler = (call) => {
      const source = call.readString(call.arg(0));
      this.calls.push(source);
      if (source === 'other') return 0;
      if (source === 'deaf') return settle(call);
      call.signal.addEventListener('abort', () => this.aborts.push((call.signal.reason as Errno).code));
      if (source === 'settle') return settle(call);
      return new Promise<number>((resolve) => (this.latest = { call, resolve }));
    };
    const socket: Handler = (call) => {
      call.signal.addEventListener('abort', () => this.aborts.push((call.signal.reason as Errno).code));
      return settle(call);
    };
    const vm = { processes: this.#processes } as unknown as Vm;
    this.dispatcher = new Dispatcher(vm, { mount, socket }, { measure: false });
  }

  async start(...command: string[]): Promise<Launched> {
    const launched = await launch({
      command: command[0]!,
      args: command.slice(1),
      env: process.env,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'inherit'],
      filter: buildFilter({ trap: ['mount', 'socket'], arch: 'x64' }),
      waitForAll: false,
    });
    launched.child.stdout?.on('data', (bytes) => (this.output += String(bytes)));
    this.listener = this.dispatcher.listen(launched.listenerFd, () => undefined);
    launched.go();
    return (this.launched = launched);
  }

  async run(...command: string[]): Promise<GuestEnd> {
    return (await this.start(...command)).ended;
  }

  get lines(): Line[] {
    const words = this.output.split('\n').map((line) => line.split(' '));
    return words
      .filter((line) => line.length === 5)
      .map(([what, result, error, handled, ms]) => {
        return {
          what: what!,
          result: Number(result),
          error: error!,
          handled: Number(handled),
          ms: Number(ms),
        };
      });
  }

  async close(): Promise<void> {
    this.launched?.signal(constants.signals.SIGKILL);
    await this.launched?.ended;
    this.dispatcher.close();
    this.listener?.close();
    this.#processes.close();
  }
}

let rig: Rig;
const open = (settle?: Handler): Rig => (rig = new Rig(settle));
afterEach(() => rig.close());

/** Waits until `condition` holds, for two seconds at most. */
async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) await sleep(5);
  expect(condition()).toBe(true);
}

const status = (pid: number, key: string): string =>
  new RegExp(`^${key}:\\s*(\\S+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '';
const isParked = (pid: number): boolean => status(pid, 'TracerPid') !== '0';
/** The root guest, blocked and parked in a call that does not settle by itself. */
async function parked(...command: string[]): Promise<number> {
  const { pid } = await rig.start(...command);
  await until(() => rig.latest !== undefined && isParked(pid));
  return pid;
}
const kill = (pid: number, signal: NodeJS.Signals): void => void process.kill(pid, signal);

describe('results', () => {
  test('a value, after the wait', async () => {
    open();
    await rig.run(GUEST, 'plain', 'settle');
    expect(rig.lines).toMatchObject([{ result: 7, error: '-' }]);
    expect(rig.lines[0]!.ms).toBeGreaterThanOrEqual(48);
    expect(rig.calls).toHaveLength(1);
  });

  test('an error', async () => {
    open(() => sleep(50).then(() => Promise.reject(new Errno('ECONNREFUSED'))));
    await rig.run(GUEST, 'plain', 'settle');
    expect(rig.lines).toMatchObject([{ result: -1, error: 'ECONNREFUSED' }]);
  });

  test.each(['plain', 'storm'])('a descriptor (%s)', async (event) => {
    const before = descriptors();
    const settled = sleep(100);
    open(async () => {
      await settled;
      const pair = native().socketPair(1) as [number, number];
      writeSync(pair[1], 'hello');
      closeSync(pair[1]);
      return inject(pair[0], true);
    });
    await rig.run(GUEST, event, 'socket');
    expect(rig.output).toContain('read hello');
    await rig.close();
    expect(descriptors()).toBeLessThanOrEqual(before + 2);
  });

  test.each([0, 1, 2, 3, 4])('a value after %i ms, at about the time of parking', async (ms) => {
    open(() => sleep(ms).then(() => 3));
    await rig.run(GUEST, 'plain', 'threads');
    expect(rig.lines).toHaveLength(20);
    for (const line of rig.lines) expect(line).toMatchObject({ result: 3, error: '-' });
  });

  test('twenty threads at once', async () => {
    open(() => sleep(200).then(() => 5));
    const { pid } = await rig.start(GUEST, 'plain', 'threads');
    const threads = () =>
      readdirSync(`/proc/${pid}/task`)
        .map(Number)
        .filter((tid) => tid !== pid);
    await until(() => threads().length === 20 && threads().every(isParked));
    await rig.launched!.ended;
    expect(rig.lines).toHaveLength(20);
    for (const line of rig.lines) expect(line).toMatchObject({ result: 5, error: '-' });
  });

  test('memory of the caller can be used meanwhile', async () => {
    open(async (call) => {
      void call.signal;
      await sleep(50);
      return call.stillThere() && call.readString(call.arg(0)) === 'settle' ? 1 : 0;
    });
    await rig.run(GUEST, 'plain', 'settle');
    expect(rig.lines).toMatchObject([{ result: 1 }]);
  });
});

describe('signals', () => {
  test('a handler without SA_RESTART: EINTR, at once', async () => {
    open();
    await rig.run(GUEST, 'alarm', 'never');
    expect(rig.lines).toMatchObject([{ result: -1, error: 'EINTR', handled: 1 }]);
    expect(rig.lines[0]!.ms).toBeGreaterThanOrEqual(95);
    expect(rig.lines[0]!.ms).toBeLessThan(160);
    await until(() => rig.aborts.length === 1);
    expect(rig.aborts).toEqual(['EINTR']);
  });

  test('a handler with SA_RESTART: it runs, and the call is made again', async () => {
    open((call) => (call.signal, sleep(rig.calls.length === 1 ? 1000 : 50).then(() => 9)));
    await rig.run(GUEST, 'alarm-restart', 'settle');
    expect(rig.lines).toMatchObject([{ result: 9, handled: 1 }]);
    expect(rig.lines[0]!.ms).toBeLessThan(300);
    expect(rig.calls).toHaveLength(2);
    expect(rig.aborts).toEqual(['EINTR']);
  });

  test('the late result of an interrupted call is dropped', async () => {
    const before = descriptors();
    open();
    await rig.run(GUEST, 'alarm', 'never');
    rig.latest!.resolve(1);
    await rig.close();
    expect(descriptors()).toBeLessThanOrEqual(before + 2);
  });

  test('an ignored SIGCHLD does not interrupt', async () => {
    open((call) => (call.signal, sleep(150).then(() => 4)));
    await rig.run(GUEST, 'plain', 'child');
    expect(rig.lines).toMatchObject([{ result: 4 }]);
    expect(rig.calls).toHaveLength(1);
    expect(rig.aborts).toEqual([]);
  });

  test('a call that the handler makes does not get the result of the interrupted one', async () => {
    open((call) => (call.signal, sleep(rig.calls.length === 1 ? 1000 : 50).then(() => 8)));
    await rig.run(GUEST, 'alarm-calls', 'settle');
    expect(rig.calls).toEqual(['settle', 'other', 'settle']);
    expect(rig.lines).toMatchObject([{ result: 8, handled: 1 }]);
  });

  test('a storm of signals does not starve the call', async () => {
    const start = Date.now();
    const settled = sleep(200).then(() => 6);
    open((call) => (call.signal, settled));
    await rig.run(GUEST, 'storm', 'settle');
    expect(rig.lines).toMatchObject([{ result: 6 }]);
    expect(rig.lines[0]!.handled).toBeGreaterThan(10);
    expect(Date.now() - start).toBeLessThan(1500);
  });

  test.each(['SIGKILL', 'SIGTERM'] as const)('%s ends it', async (signal) => {
    open();
    const pid = await parked(GUEST, 'plain', 'never');
    kill(pid, signal);
    expect(await rig.launched!.ended).toMatchObject({ signal });
    await until(() => rig.aborts.length === 1);
  });

  test('a signal that came before the call was parked', async () => {
    open();
    const { pid } = await rig.start(GUEST, 'alarm', 'never');
    await until(() => rig.latest !== undefined);
    kill(pid, 'SIGALRM');
    await rig.launched!.ended;
    expect(rig.lines).toMatchObject([{ result: -1, error: 'EINTR', handled: 1 }]);
  });
});

describe('stops', () => {
  test('SIGSTOP stops it, SIGCONT makes the call again', async () => {
    open();
    const pid = await parked(GUEST, 'plain', 'never');
    kill(pid, 'SIGSTOP');
    await until(() => status(pid, 'State') === 'T' && !isParked(pid));
    expect(rig.calls).toHaveLength(1);
    rig.latest = undefined;
    kill(pid, 'SIGCONT');
    await until(() => rig.latest !== undefined && isParked(pid));
    rig.latest!.resolve(2);
    await rig.launched!.ended;
    expect(rig.lines).toMatchObject([{ result: 2 }]);
  });

  test('SIGCONT alone: nothing without a handler, EINTR with one', async () => {
    open();
    const pid = await parked(GUEST, 'plain', 'never');
    kill(pid, 'SIGCONT');
    await sleep(50);
    expect(isParked(pid)).toBe(true);
    expect(rig.aborts).toEqual([]);
    await rig.close();
    open();
    kill(await parked(GUEST, 'cont', 'never'), 'SIGCONT');
    await rig.launched!.ended;
    expect(rig.lines).toMatchObject([{ result: -1, error: 'EINTR', handled: 1 }]);
  });

  test('job control of a shell', async () => {
    open((call) => (call.signal, sleep(300).then(() => 1)));
    const script = `set -m; ${GUEST} plain settle & sleep 0.1; kill -TSTP %1; sleep 0.2; jobs; fg >/dev/null; jobs; echo status $?`;
    await rig.run('bash', '-c', script);
    expect(rig.output).toMatch(/Stopped.*\n.*settle 1 -/s);
    expect(rig.output).toContain('status 0');
    expect(rig.calls).toHaveLength(2);
  });
});

describe('ends', () => {
  test.each(['exec-main', 'exec-thread'])('%s: the process is replaced meanwhile', async (mode) => {
    open();
    expect(await rig.run(GUEST, 'plain', mode)).toMatchObject({ code: 0 });
    expect(rig.output).toContain('executed');
    await until(() => rig.aborts.length === 1);
    expect(rig.aborts).toEqual(['ESRCH']);
  });

  test('killed with many threads parked, at any time', async () => {
    for (const ms of [0, 1, 2, 3, 5, 8]) {
      open(() => sleep(1000).then(() => 5));
      const { pid, ended } = await rig.start(GUEST, 'plain', 'threads');
      await until(() => rig.calls.length > 0);
      await sleep(ms);
      kill(pid, 'SIGKILL');
      expect(await ended).toMatchObject({ signal: 'SIGKILL' });
      await rig.close();
    }
  });

  test('the supervisor closes: the calls end', async () => {
    open();
    await parked(GUEST, 'plain', 'never');
    rig.dispatcher.close();
    rig.listener!.close();
    await rig.launched!.ended;
    expect(rig.lines).toMatchObject([{ result: -1, error: 'ENOSYS' }]);
    expect(rig.aborts).toEqual(['EINTR']);
  });

  test('no thread of ours is left', async () => {
    const threads = () => readdirSync('/proc/self/task').length;
    open(() => sleep(50).then(() => 5));
    const before = threads();
    await rig.run(GUEST, 'plain', 'threads');
    await until(() => threads() <= before);
  });
});

describe('what is not parked', () => {
  test('a guest under strace', async () => {
    open();
    await rig.run('strace', '-f', '-o', '/dev/null', GUEST, 'plain', 'settle');
    expect(rig.lines).toMatchObject([{ result: 7 }]);
  });

  test.each([
    ['a guest with a filter of its own', 'own-filter', 'settle'],
    ['a call whose handler cannot be told to give up', 'plain', 'deaf'],
  ])('%s', async (_, event, what) => {
    open((call) => sleep(100).then(() => call.int(3)));
    const { pid, ended } = await rig.start(GUEST, event, what);
    await until(() => rig.calls.length === 1);
    await sleep(30);
    expect(isParked(pid)).toBe(false);
    expect(await ended).toMatchObject({ code: 0 });
    expect(rig.lines).toMatchObject([{ result: 0 }]);
  });
});

test('a parked call costs nothing', async () => {
  open();
  const pid = await parked(GUEST, 'plain', 'never');
  const ticks = (path: string) =>
    readFileSync(path, 'latin1').split(') ')[1]!.split(' ').slice(11, 13).map(Number);
  const switches = () => status(pid, 'voluntary_ctxt_switches');
  await sleep(20);
  const before = [...ticks(`/proc/${pid}/stat`), switches()];
  await sleep(300);
  expect([...ticks(`/proc/${pid}/stat`), switches()]).toEqual(before);
});
