/**
 * Starts the root guest of a VM through umvu-launch (guests/libexec, protocol in guests/include/launch.h) and
 * fetches the listener of its seccomp filter.
 */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { closeSync, existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { Errno, check } from '../errno.ts';
import { guestLibexecDir, native } from '../native.ts';
import { type Word, environment, wordBytes } from './words.ts';

const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;

// Mirrors guests/include/launch.h.
const MAGIC = 0x75766d75;
const WAIT_FOR_ALL = 1;
const SETUP_SIZE = 32;
const EVENT_SIZE = 16;
const COMMAND_SIZE = 8;
const EVENT = { LISTENER: 1, FAILED: 2, EXEC_FAILED: 3, STOPPED: 4, ENDED: 5 } as const;
const COMMAND = { GO: 1, SIGNAL: 2, RELAY: 3, CONTINUE: 4 } as const;
const STEPS = [
  '',
  'cannot read its instructions',
  'cannot make a process',
  'cannot install the seccomp filter',
];

/** sizeof(struct sock_filter) */
const INSTRUCTION_SIZE = 8;

export interface LaunchRequest {
  /** Looked up in the PATH of `env` when it has no slash. */
  command: Word;
  args: readonly Word[];
  /** argv[0], the command by default. */
  argv0?: Word;
  env: NodeJS.ProcessEnv;
  /** Ours by default, which may be a folder that we could not enter again. */
  cwd?: string | undefined;
  /** As for child_process.spawn(): entries after the third are further descriptors of the guest. */
  stdio: StdioOptions;
  /** The filter: an array of struct sock_filter (seccomp(2)). */
  filter: Uint8Array;
  /** Wait for all processes of the tree instead of ending those that the root guest leaves behind. */
  waitForAll: boolean;
}

/** How the root guest ended: one of `code` and `signal` is null. */
export interface GuestEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Set when the command could not be executed; `code` is then 127 or 126, and its stderr says why. */
  execError?: Errno;
}

/** A root guest; it waits until {@link Launched.go}. */
export interface Launched {
  /** The keeper, which ends as the guest does. Its streams are those of the guest. */
  readonly child: ChildProcess;
  readonly keeperPid: number;
  /** Process id of the root guest. */
  readonly pid: number;
  /** The listener of the filter; the caller owns it. */
  readonly listenerFd: number;
  /** Lets the guest execute its command. Its calls need answers from then on. */
  go(): void;
  /** Settles when the root guest has ended; those that it left behind may still run. Never rejects. */
  readonly rootEnded: Promise<GuestEnd>;
  /** Settles when the whole tree is gone. Never rejects. */
  readonly ended: Promise<GuestEnd>;
  /** Sends a signal to the root guest. After its end: ends those that `waitForAll` waits for. */
  signal(signal: NodeJS.Signals | number): void;
  /** As {@link signal}, unless the guest has had it already because it was sent to our whole process group. */
  relay(signal: NodeJS.Signals | number): void;
  /** Continues a stopped root guest, and gives its process group back the terminal that it had. */
  resume(): void;
  /** Called when signal number `signal` has stopped the root guest. */
  onStopped: ((signal: number) => void) | undefined;
}

/**
 * Starts `request.command` under its filter. Rejects, with nothing left running, when the launcher or the
 * kernel refuses. The caller then serves {@link Launched.listenerFd} and calls {@link Launched.go}.
 */
export async function launch(request: LaunchRequest): Promise<Launched> {
  const stdio = Array.isArray(request.stdio)
    ? [...request.stdio]
    : [request.stdio, request.stdio, request.stdio];
  while (stdio.length < 3) stdio.push('pipe');
  const controlFd = stdio.length;
  // Node makes a pair of AF_UNIX stream sockets for a pipe; descriptors from this one up are not the guest's.
  stdio.push('pipe');
  const program = join(guestLibexecDir, 'umvu-launch');
  const child = spawn(program, [String(controlFd)], { stdio, env: {}, cwd: request.cwd });
  const root = new RootGuest(child, controlFd);
  root.sendSetup(request);
  await root.ready.catch((error: Error) => {
    throw explain(error, program, request.cwd);
  });
  return root;
}

/** Says in words why the launcher could not be started. */
function explain(error: Error, program: string, cwd: string | undefined): Error {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return error;
  if (cwd !== undefined && !existsSync(cwd))
    return new Errno('ENOENT', `the working directory ${cwd} does not exist`);
  return new Errno('ENOENT', `the programs for guests are not built (${program}): run «npm run build»`);
}

/** Our side of the control socket. */
class RootGuest implements Launched {
  readonly child: ChildProcess;
  pid = -1;
  listenerFd = -1;
  /** Settles when the guest waits for {@link go}. */
  readonly ready: Promise<void>;
  readonly rootEnded: Promise<GuestEnd>;
  readonly ended: Promise<GuestEnd>;
  onStopped: ((signal: number) => void) | undefined;
  readonly #control: Duplex | undefined;
  #settle!: { ready: () => void; failed: (error: Error) => void; root: (end: GuestEnd) => void };
  #end: GuestEnd | undefined;
  #execError: Errno | undefined;
  #input = Buffer.alloc(0);
  /** Process of the root guest; -1 before it is known and after the end. */
  #pidfd = -1;

  constructor(child: ChildProcess, controlFd: number) {
    this.child = child;
    this.#control = child.stdio[controlFd] as Duplex | undefined;
    let root!: (end: GuestEnd) => void;
    this.rootEnded = new Promise((resolve) => (root = resolve));
    this.ready = new Promise((ready, failed) => (this.#settle = { ready, failed, root }));
    this.#control?.on('data', (bytes: Buffer) => this.#receive(bytes));
    // A keeper that is gone shows by the end of its process.
    this.#control?.on('error', () => undefined);
    const closed = new Promise((resolve) => this.#control?.once('close', resolve) ?? resolve(undefined));
    this.ended = this.#keeperEnd().then(async (end) => {
      // What it said last may arrive after the news of its end.
      await closed;
      this.#settle.failed(new Errno('EIO', 'the launcher ended too early'));
      this.#forget(this.#end === undefined);
      this.#rootEnd(end);
      return this.#end ?? end;
    });
  }

  get keeperPid(): number {
    return this.child.pid ?? -1;
  }

  #keeperEnd(): Promise<GuestEnd> {
    return new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve({ code, signal }));
      this.child.once('error', (error) => {
        this.#settle.failed(error);
        if (this.child.pid === undefined) resolve({ code: 125, signal: null });
      });
    });
  }

  sendSetup(request: LaunchRequest): void {
    const { command, argv0 = command, args, env } = request;
    const words = wordBytes([command, argv0, ...args, ...environment(env)]);
    const setup = Buffer.alloc(SETUP_SIZE);
    setup.writeUInt32LE(MAGIC, 0);
    setup.writeUInt32LE(request.waitForAll ? WAIT_FOR_ALL : 0, 4);
    setup.writeBigInt64LE(BigInt(openFiles), 8);
    setup.writeUInt32LE(request.filter.length / INSTRUCTION_SIZE, 16);
    setup.writeUInt32LE(1 + args.length, 20);
    setup.writeUInt32LE(words.length, 24);
    this.#control?.write(Buffer.concat([setup, request.filter, words]));
  }

  #receive(bytes: Buffer): void {
    this.#input = Buffer.concat([this.#input, bytes]);
    while (this.#input.length >= EVENT_SIZE) {
      const event = this.#input.subarray(0, EVENT_SIZE);
      this.#input = this.#input.subarray(EVENT_SIZE);
      this.#event(event.readUInt32LE(0), event.readInt32LE(4), event.readInt32LE(8));
    }
  }

  #event(type: number, a: number, b: number): void {
    switch (type) {
      case EVENT.LISTENER:
        return this.#takeListener(a, b);
      case EVENT.FAILED:
        return this.#settle.failed(new Errno(b, `the launcher ${STEPS[a] ?? 'failed'}`));
      case EVENT.EXEC_FAILED:
        this.#execError = new Errno(a);
        return;
      case EVENT.STOPPED:
        return this.onStopped?.(a);
      case EVENT.ENDED:
        return this.#rootEnd(decodeStatus(a));
    }
  }

  /** Gets a copy of descriptor `number` of process `pid`, which waits until we have it. */
  #takeListener(number: number, pid: number): void {
    try {
      this.#pidfd = check(native().syscall(SYS_PIDFD_OPEN, pid, 0), 'cannot open the process of the guest');
      const fd = native().syscall(SYS_PIDFD_GETFD, this.#pidfd, number, 0);
      this.listenerFd = check(fd, 'cannot take the listener of the guest');
      this.pid = pid;
      this.#settle.ready();
    } catch (error) {
      this.#settle.failed(error as Error);
      // The keeper then ends all.
      this.#control?.destroy();
    }
  }

  /** Closes the pidfd. `kill`: the keeper was killed, so the root guest may still be there. */
  #forget(kill: boolean): void {
    if (this.#pidfd < 0) return;
    if (kill) native().syscall(SYS_PIDFD_SEND_SIGNAL, this.#pidfd, constants.signals.SIGKILL, null, 0);
    closeSync(this.#pidfd);
    this.#pidfd = -1;
  }

  #rootEnd(end: GuestEnd): void {
    this.#end ??= this.#execError ? { ...end, execError: this.#execError } : end;
    this.#settle.root(this.#end);
  }

  #command(type: number, value: number): void {
    if (!this.#control?.writable) return;
    const command = Buffer.alloc(COMMAND_SIZE);
    command.writeUInt32LE(type, 0);
    command.writeInt32LE(value, 4);
    this.#control.write(command);
    // A guest of the same user may have stopped the keeper.
    this.child.kill('SIGCONT');
  }

  go(): void {
    this.#command(COMMAND.GO, 0);
  }
  signal(signal: NodeJS.Signals | number): void {
    this.#command(COMMAND.SIGNAL, signalNumber(signal));
  }
  relay(signal: NodeJS.Signals | number): void {
    this.#command(COMMAND.RELAY, signalNumber(signal));
  }
  resume(): void {
    this.#command(COMMAND.CONTINUE, 0);
  }
}

const SIGNAL_NAMES = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]),
);
// Of two names of a number the usual one (SIGIOT is SIGABRT, SIGPOLL is SIGIO).
for (const name of ['SIGABRT', 'SIGIO'] as const) SIGNAL_NAMES.set(constants.signals[name], name);

const signalNumber = (signal: NodeJS.Signals | number): number =>
  typeof signal === 'number' ? signal : constants.signals[signal];

/** The name of signal number `signal`; undefined for real-time signals, which Node has no names for. */
export const signalName = (signal: number): NodeJS.Signals | undefined => SIGNAL_NAMES.get(signal);

/** Takes a status of wait(2) apart. A death by a real-time signal is given as shells do: code 128 + number. */
function decodeStatus(status: number): GuestEnd {
  const signal = status & 0x7f;
  if (signal === 0) return { code: (status >> 8) & 0xff, signal: null };
  const name = signalName(signal);
  return name ? { code: null, signal: name } : { code: 128 + signal, signal: null };
}

/**
 * The soft limit of open files that a guest gets, or -1 for ours. Node raised its own to the hard limit when it
 * started; what it was is best told by the process that started us.
 */
function originalOpenFiles(): number {
  try {
    const limit = (pid: number | 'self') =>
      /^Max open files\s+(\d+)\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'latin1')) ?? [];
    const [, soft] = limit(process.ppid);
    const [, , hard] = limit('self');
    return soft === undefined || hard === undefined ? -1 : Math.min(Number(soft), Number(hard));
  } catch {
    return -1;
  }
}
const openFiles = originalOpenFiles();
