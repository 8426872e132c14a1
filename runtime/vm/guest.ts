import { EventEmitter } from 'node:events';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { constants } from 'node:os';
import type { Launched } from './launch.ts';
import type { Word } from './words.ts';

/** How a guest ended, as in the 'exit' event of a ChildProcess: one of the two is null. */
export interface GuestExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface SpawnOptions {
  /** Working directory; that of the supervisor by default. */
  cwd?: string;
  /** Environment; that of the supervisor by default. PATH gets the folder of the vu commands in front. */
  env?: NodeJS.ProcessEnv;
  /** As for child_process.spawn; "pipe" by default. */
  stdio?: StdioOptions;
  /** argv[0], the command by default. */
  argv0?: Word;
  /**
   * When true the guest counts as ended only when the last of its descendants has; otherwise what is left
   * when the command ends is ended too (SIGTERM, and SIGKILL a second later).
   */
  waitForAll?: boolean;
}

/** A command that runs in a VM, with all its descendants; resembles a ChildProcess. */
export class Guest extends EventEmitter<{ exit: [number | null, NodeJS.Signals | null] }> {
  readonly #launched: Launched;
  /** Resolves when the command has ended and nothing of it is left; never rejects. */
  readonly exited: Promise<GuestExit>;
  exitCode: number | null = null;
  signalCode: NodeJS.Signals | null = null;

  constructor(launched: Launched) {
    super();
    this.#launched = launched;
    this.exited = launched.ended.then((end) => {
      this.exitCode = end.code;
      this.signalCode = end.signal;
      this.emit('exit', end.code, end.signal);
      return end;
    });
  }

  /** Process id of the command. */
  get pid(): number {
    return this.#launched.pid;
  }
  get stdin(): ChildProcess['stdin'] {
    return this.#launched.child.stdin;
  }
  get stdout(): ChildProcess['stdout'] {
    return this.#launched.child.stdout;
  }
  get stderr(): ChildProcess['stderr'] {
    return this.#launched.child.stderr;
  }

  /** Sends a signal to the command; false when it has ended. */
  kill(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
    if (this.exitCode !== null || this.signalCode !== null) return false;
    this.#launched.signal(typeof signal === 'number' ? signal : constants.signals[signal]);
    return true;
  }

  /** As {@link kill}, unless the command got the signal already because it was sent to our process group. */
  relay(signal: NodeJS.Signals): void {
    this.#launched.relay(constants.signals[signal]);
  }
  /** Continues the command after a stop, and gives its process group back the terminal that it had. */
  resume(): void {
    this.#launched.resume();
  }
  /** Called with the number of the signal when the command was stopped. */
  set onStopped(listener: ((signal: number) => void) | undefined) {
    this.#launched.onStopped = listener;
  }
}
