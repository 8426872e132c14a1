/** Calls that are made to be other calls: runtime/vm/rewrite.ts with guests/tap/rewrite.c. */
import { execFileSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { Errno } from '../../runtime/errno.ts';
import { projectRoot, type Listener } from '../../runtime/native.ts';
import { buildFilter } from '../../runtime/seccomp/filter.ts';
import type { Handler } from '../../runtime/syscalls/handler.ts';
import { LENT, PASS, rewrite } from '../../runtime/syscalls/outcome.ts';
import { SYS } from '../../runtime/syscalls/table.ts';
import { Dispatcher } from '../../runtime/vm/dispatch.ts';
import { launch, type GuestEnd, type Launched } from '../../runtime/vm/launch.ts';
import { ProcessTable } from '../../runtime/vm/processes.ts';
import { View } from '../../runtime/vm/view.ts';
import type { Vm } from '../../runtime/vm/vm.ts';
import { descriptors } from '../helpers/leaks.ts';

const GUEST = join(projectRoot, 'guests/build/tap/rewrite');
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const O_PATH = 0o10000000;
const O_DIRECTORY = 0o200000;

beforeAll(() => {
  execFileSync('make', ['-s', '-C', join(projectRoot, 'guests'), 'build/tap/rewrite']);
});

/** A supervisor for which /umvu-real is /usr/share, /umvu-file a file; /umvu-slow takes its time. */
class Rig {
  readonly #processes: ProcessTable;
  readonly dispatcher: Dispatcher;
  launched: Launched | undefined;
  #listener: Listener | undefined;
  output = '';

  constructor(flags: number) {
    const state = { view: new View(''), defaults: new Map(), special: false };
    this.#processes = new ProcessTable(state, (ended) => this.dispatcher.abandon(ended.pid));
    const enter = (path: string) => rewrite(SYS.fchdir, [LENT], { lend: openSync(path, flags) });
    const chdir: Handler = (call) => {
      const path = call.readString(call.arg(0));
      if (path === '/umvu-real') return enter('/usr/share');
      if (path === '/umvu-file') return enter('/etc/passwd');
      if (path === '/umvu-missing') throw new Errno('ENOENT');
      if (path === '/umvu-slow') return (call.signal, sleep(50).then(() => enter('/usr/share')));
      return PASS;
    };
    const vm = { processes: this.#processes } as unknown as Vm;
    this.dispatcher = new Dispatcher(vm, { chdir }, { measure: false });
  }

  async start(...command: string[]): Promise<Launched> {
    const launched = await launch({
      command: command[0]!,
      args: command.slice(1),
      env: process.env,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      filter: buildFilter({ trap: ['chdir'], arch: 'x64' }),
      waitForAll: false,
    });
    for (const stream of [launched.child.stdout, launched.child.stderr])
      stream?.on('data', (bytes) => (this.output += String(bytes)));
    this.#listener = this.dispatcher.listen(launched.listenerFd, () => undefined);
    launched.go();
    return (this.launched = launched);
  }

  async run(...command: string[]): Promise<GuestEnd> {
    return (await this.start(...command)).ended;
  }

  async close(): Promise<void> {
    this.launched?.signal(constants.signals.SIGKILL);
    await this.launched?.ended;
    this.dispatcher.close();
    this.#listener?.close();
    this.#processes.close();
  }
}
let rig: Rig;
const open = (flags = O_DIRECTORY): Rig => (rig = new Rig(flags));
afterEach(() => rig.close());

test.each([
  ['a descriptor', 0],
  ['one that was made with O_PATH', O_PATH],
])('%s is lent and given back; registers, mask and signals are kept', async (_what, flags) => {
  const before = descriptors();
  open(flags);
  expect(await rig.run(GUEST, '100')).toMatchObject({ code: 0 });
  expect(rig.output).toBe(
    '100 400 /usr/share\ndescriptors 0 mask 0 alarms 1\n/umvu-file -20 0\n/umvu-missing -2 0\n',
  );
  await rig.close();
  expect(descriptors()).toBeLessThanOrEqual(before + 3);
});

test('an answer that takes its time', async () => {
  open();
  await rig.run(
    'bash',
    '-c',
    'cd /umvu-slow && pwd -P; cd /umvu-slow & kill -STOP $!; kill -CONT $!; wait $!; echo $?',
  );
  expect(rig.output).toBe('/usr/share\n0\n');
});

test('no room for the descriptor: the call fails as open(2) would', async () => {
  open();
  await rig.run('bash', '-c', 'ulimit -n 3; cd /umvu-real; cd /tmp && echo still fine');
  expect(rig.output).toContain('/umvu-real: Too many open files');
  expect(rig.output).toContain('still fine');
});

test('a caller with a tracer gets EPERM', async () => {
  open();
  await rig.run('strace', '-o', '/dev/null', 'bash', '-c', 'cd /umvu-real; cd /tmp && echo still fine');
  expect(rig.output).toMatch(/umvu-real: Operation not permitted\n[^]*still fine/);
});

test('killed and stopped at any moment', async () => {
  for (const ms of [0, 1, 2, 4, 7, 11, 20]) {
    open();
    const { pid, ended } = await rig.start(GUEST, '100000');
    await sleep(30 + ms);
    process.kill(pid, 'SIGSTOP');
    await sleep(5);
    process.kill(pid, 'SIGCONT');
    await sleep(ms);
    process.kill(pid, 'SIGKILL');
    expect(await ended).toMatchObject({ signal: 'SIGKILL' });
    await rig.close();
  }
});

test('the supervisor closes while calls are rewritten', async () => {
  open();
  const { ended } = await rig.start(GUEST, '100000');
  await sleep(60);
  rig.dispatcher.close();
  await rig.close();
  await ended;
});
