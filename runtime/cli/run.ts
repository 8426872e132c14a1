/** `umvu [options] [--] [command…]`: starts a VM, runs one command in it, and ends as the command does. */
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import { logger, setLogLevel } from '../log.ts';
import { native } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import { version } from '../version.ts';
import { startVm, type Vm } from '../vm/vm.ts';
import type { GuestExit } from '../vm/guest.ts';
import { inheritedStdio } from '../vm/inherited.ts';
import { lastArguments } from '../vm/words.ts';
import { EXIT_FAILURE, Failure, print, reason } from './output.ts';
import type { Parsed } from './parse.ts';
import { request as checked, type RunRequest } from './request.ts';
import { relaySignals } from './signals.ts';

const log = logger('cli');

const LEVELS = ['error', 'warn', 'info', 'debug'] as const;

/** Runs the command; its exit status. Where a signal ended it, this process ends by the same signal. */
export async function run(options: Parsed): Promise<number> {
  const request = checked(options);
  setLogLevel(LEVELS[request.verbosity + 1] ?? 'debug');
  workingDirectory();
  const end = insideUmvu() ? await (await import('./nested.ts')).runNested(request) : await runInVm(request);
  return end.signal === null ? (end.code ?? 0) : native().dieBySignal(constants.signals[end.signal]);
}

/** True where this process is a guest of another umvu: no kernel knows VU_INFO (guests/include/vu.h). */
const insideUmvu = (): boolean => native().syscall(SYS.vuctl, VU_INFO, null, 0) !== -constants.errno.ENOSYS;
const VU_INFO = 0;

/** Starting a program fails in a confusing way where the working directory was removed. */
function workingDirectory(): void {
  try {
    process.cwd();
  } catch (error) {
    throw new Failure(`working directory: ${reason(error)}`, 'cd to a directory that exists');
  }
}

/** The command, arguments and environment of the guest: a shell where the command line has none. */
export function commandOf(request: RunRequest): {
  command: string;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
} {
  const env: NodeJS.ProcessEnv = { ...process.env, ...request.env };
  if (request.command !== undefined) return { command: request.command, args: request.args, env };
  // The prompt of Debian's shells shows this variable; others find the name in UMVU_VIEW.
  env['debian_chroot'] ??= request.name ?? 'umvu';
  return { command: env['SHELL'] || '/bin/sh', args: [], env };
}

/** Tells a person where they are now; a script that is piped into the shell does not need to know. */
export function banner(request: RunRequest): void {
  if (request.command !== undefined || request.verbosity < 0 || !isatty(0)) return;
  const view = request.name === undefined ? '' : ` «${request.name}»`;
  print(
    2,
    `umvu ${version}: this shell is in a view of its own${view}; vu_insmod, vumount and vustack shape it, exit leaves it\n`,
  );
}

/** Does one step of the preparation; its failure becomes `umvu: what: why`. */
export async function step(what: string, action: () => unknown, hint?: string): Promise<void> {
  try {
    await action();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure(`${what}: ${why}`, hint);
  }
}

/** Said where a module cannot be inserted. */
export const MODULE_HINT =
  'a module is a name, looked up in UMVU_MODULE_PATH and among those of umvu, or a path with a slash in it';

async function prepare(vm: Vm, request: RunRequest): Promise<void> {
  for (const module of request.modules)
    await step(`module ${module}`, () => vm.insertModule(module), MODULE_HINT);
  const { net } = request;
  if (net !== undefined) await step(`--net ${net}`, () => vm.mountDefaultStack(net));
  const isHost = vm.rootView.mounts.list().some(({ stack }) => stack?.isHost);
  if (request.pcap !== undefined && isHost)
    throw new Failure(
      '--pcap: the network of the host (stack=kernel) is not recorded',
      'use tcpdump on the host',
    );
}

/** How long the guests get to be ended after an exception that nobody caught, in ms. */
const LAST_WORDS = 5000;

/**
 * Errors that nobody handles come from modules, or are bugs of ours. A rejected promise concerns whoever waited for
 * it: it is logged, and the VM goes on. After an exception in the middle of something nothing can be relied upon: the
 * VM ends with status 125, rather than leave guests waiting for answers that will never come. The result tells
 * whether that has happened.
 */
function surviveBugs(vm: Vm): () => boolean {
  let fatal = false;
  const words = (error: unknown): string =>
    error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.on('unhandledRejection', (error) =>
    log.error(`internal error (a promise was rejected): ${words(error)}`),
  );
  process.on('uncaughtException', (error) => {
    log.error(`internal error, the virtual machine ends: ${words(error)}`);
    if (fatal) return;
    fatal = true;
    setTimeout(() => process.exit(EXIT_FAILURE), LAST_WORDS);
    void vm.close();
  });
  return () => fatal;
}

async function runInVm(request: RunRequest): Promise<GuestExit> {
  const trace = request.trace && (await import('./trace.ts')).openTrace(request.trace, request.output);
  const capture =
    request.pcap === undefined ? undefined : await (await import('./capture.ts')).openCapture(request.pcap);
  const vm = await startVm({
    // With nothing named, the command may be a shell in which somebody inserts modules later.
    onlyModules: request.command !== undefined && (request.modules.length > 0 || request.net !== undefined),
    measure: request.stats,
    ...(request.name === undefined ? {} : { name: request.name }),
    ...(trace ? { tracer: trace } : {}),
    ...(capture ? { capture } : {}),
  });
  const broken = surviveBugs(vm);
  try {
    await prepare(vm, request);
    banner(request);
    const { command, args, env } = commandOf(request);
    // A command with its arguments is the end of the command line.
    const [program = command, ...words] = lastArguments([command, ...args]);
    const guest = await vm.spawn(program, words, {
      stdio: inheritedStdio(),
      env,
      waitForAll: request.wait,
      ...(request.cwd === undefined ? {} : { cwd: request.cwd }),
    });
    relaySignals(guest, () => void vm.close());
    log.info(`process ${guest.pid}: ${[command, ...args].join(' ')}`);
    const end = await guest.exited;
    if (broken()) throw new Failure('the virtual machine was ended because of an internal error');
    if (request.stats) print(2, (await import('./stats.ts')).statsTable(vm.stats()));
    return end;
  } finally {
    await vm.close();
    trace?.close();
  }
}
