/** What the command itself prints, and how it fails. Nothing here may throw because a reader went away. */
import { writeSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import { complain } from '../log.ts';

/** Exit status when umvu itself fails, as env(1), timeout(1) and chroot(1) do. */
export const EXIT_FAILURE = 125;

/** Ends the command: one line `umvu: message`, then, indented, what the person can do. */
export class Failure extends Error {
  readonly hint: string | undefined;
  readonly status: number;
  constructor(message: string, hint?: string, status = EXIT_FAILURE) {
    super(message);
    this.name = 'Failure';
    this.hint = hint;
    this.status = status;
  }
}

/** A mistake in the command line. */
export class UsageError extends Failure {
  constructor(message: string, hint = 'try «umvu --help»') {
    super(message, hint);
    this.name = 'UsageError';
  }
}

/** Reports a failure and gives the exit status for it. Errors that nobody foresaw keep their stack for `-v`. */
export function report(error: unknown, verbose = false): number {
  if (error instanceof Failure) {
    complain(error.hint === undefined ? error.message : `${error.message}\n  ${error.hint}`);
    return error.status;
  }
  const message = error instanceof Error ? error.message : String(error);
  complain(oneLine(verbose && error instanceof Error ? (error.stack ?? message) : message, verbose));
  return EXIT_FAILURE;
}

const oneLine = (text: string, keep: boolean): string => (keep ? text : (text.split('\n', 1)[0] ?? ''));

/** The words for an errno name or for the `code` of a Node error: `ENOENT` is "no such file or directory". */
export function reason(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  const known = typeof errno === 'number' ? getSystemErrorMap().get(-Math.abs(errno)) : undefined;
  return known?.[1] ?? message;
}

/**
 * Writes all of `text` to descriptor `fd`. A reader that is gone (EPIPE) is no failure: `umvu --help | head -1`.
 * Any other error of standard output is (a full disk), any other of standard error cannot be told to anybody.
 */
export function print(fd: 1 | 2, text: string | Uint8Array): void {
  const bytes = Buffer.from(text);
  for (let offset = 0; offset < bytes.length;) {
    try {
      offset += writeSync(fd, bytes, offset);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A terminal or pipe that somebody else made non-blocking: there is room again in a moment.
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      else if (code === 'EPIPE' || fd === 2) return;
      else throw new Failure(`standard output: ${reason(error)}`);
    }
  }
}

/** True where colour is welcome: a terminal, and no NO_COLOR (https://no-color.org). */
export const colourful = (stream: { isTTY?: boolean }): boolean =>
  stream.isTTY === true && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb';

/** Breaks `text` into lines of at most `width` columns. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  if (line) lines.push(line);
  return lines;
}
