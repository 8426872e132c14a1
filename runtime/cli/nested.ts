/**
 * umvu inside umvu. A process can have one seccomp listener only, so the inner one asks the outer supervisor
 * for a copy of the view (VU_NEWVIEW, guests/include/vu.h) and runs its command there.
 */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Errno, check } from '../errno.ts';
import { complain } from '../log.ts';
import { native } from '../native.ts';
import { inheritedStdio } from '../vm/inherited.ts';
import { SYS } from '../syscalls/table.ts';
import type { GuestExit } from '../vm/guest.ts';
import { children } from '../vm/processes.ts';
import { DEFAULT_STACK } from '../vm/view.ts';
import { Failure, reason } from './output.ts';
import type { RunRequest } from './request.ts';
import { MODULE_HINT, banner, commandOf, step } from './run.ts';

// Mirrors enum vu_operation of guests/include/vu.h.
const VU = { INFO: 0, INSMOD: 1, LSMOD: 3, SETNAME: 6, NEWVIEW: 7, ERROR: 8 } as const;
const TEXT_SIZE = 4096;
/** How long leftovers may take to end after SIGTERM, and how often they are looked at. */
const GRACE_MS = 1000;
const POLL_MS = 20;
/** Of wait(2) and prctl(2). */
const WNOHANG = 1;
const PR_SET_CHILD_SUBREAPER = 36;
const RELAYED = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

const vuctl = (operation: number, ...args: (number | string | Uint8Array)[]): number =>
  native().syscall(SYS.vuctl, operation, ...args);

/** Text that an operation answers, or undefined outside of umvu. */
function text(operation: number): string | undefined {
  const bytes = Buffer.alloc(TEXT_SIZE);
  const length = vuctl(operation, bytes, bytes.length);
  return length < 0 ? undefined : bytes.toString('utf8', 0, length);
}

/** Byte string for the addon. */
const bytes = (word: string): string => Buffer.from(word, 'utf8').toString('latin1');

/** The reason in words that the outer supervisor has for the last failure. */
function explained(result: number): void {
  if (result >= 0) return;
  throw new Errno(result, text(VU.ERROR) || undefined);
}

async function prepare(request: RunRequest): Promise<void> {
  const tried = async (what: string, action: () => number, hint?: string): Promise<void> =>
    step(what, () => explained(action()), hint);
  check(vuctl(VU.NEWVIEW));
  const { name, net } = request;
  if (name !== undefined) await tried(`--name ${name}`, () => vuctl(VU.SETNAME, bytes(name)));
  const loaded = new Set((text(VU.LSMOD) ?? '').split('\n').map((line) => line.split(':', 1)[0]));
  const wanted = net === undefined ? request.modules : [...request.modules, 'vunetioth'];
  for (const module of wanted.filter((each) => !loaded.has(each)))
    await tried(`module ${module}`, () => vuctl(VU.INSMOD, bytes(module), 0), MODULE_HINT);
  if (net !== undefined)
    await tried(`--net ${net}`, () =>
      native().syscall(SYS.mount, '', DEFAULT_STACK, 'vunetioth', 0, bytes(net)),
    );
}

/** Runs the command in a copy of this view, and ends what it leaves behind unless `--wait` was given. */
export async function runNested(request: RunRequest): Promise<GuestExit> {
  if (request.trace ?? request.stats)
    throw new Failure(
      '--trace and --stats: this umvu runs inside another one, which answers the calls',
      'give the option to the outer umvu',
    );
  if (request.pcap !== undefined)
    throw new Failure(
      '--pcap: this umvu runs inside another one, which has the networks',
      'give the option to the outer umvu, or run tcpdump in the stack',
    );
  check(native().syscall(SYS.prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  await prepare(request);
  banner(request);
  const { command, args, env } = commandOf(request);
  if (request.name !== undefined) env['UMVU_VIEW'] = request.name;
  const child = spawn(command, args, { stdio: inheritedStdio(), env, cwd: request.cwd });
  // From the terminal these two reach the command directly.
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, () => undefined);
  for (const signal of RELAYED) process.on(signal, () => child.kill(signal));
  const end = await new Promise<GuestExit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', (error) => {
      complain(`${command}: ${reason(error)}`);
      resolve({ code: (error as NodeJS.ErrnoException).code === 'ENOENT' ? 127 : 126, signal: null });
    });
  });
  await (request.wait ? waitForAll() : endAll());
  return end;
}

/** Children of this process that are still alive: orphans of the command, whose subreaper we are. */
function leftovers(): number[] {
  return children(process.pid).filter((pid) => native().syscall(SYS.wait4, pid, null, WNOHANG, null) === 0);
}

async function waitForAll(): Promise<void> {
  while (leftovers().length > 0) await sleep(POLL_MS);
}

async function endAll(): Promise<void> {
  const deadline = performance.now() + GRACE_MS;
  const signal = (name: NodeJS.Signals): void => {
    for (const pid of leftovers()) process.kill(pid, name);
  };
  signal('SIGTERM');
  signal('SIGCONT');
  while (leftovers().length > 0 && performance.now() < deadline) await sleep(POLL_MS);
  // Children of the killed become ours: go on until nobody is left.
  while (leftovers().length > 0) {
    signal('SIGKILL');
    await sleep(POLL_MS);
  }
}
