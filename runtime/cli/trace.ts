/** `--trace`: one line for each trapped call, in the style of strace(1). */
import { closeSync, openSync, writeSync } from 'node:fs';
import { formatCall, formatOutcome } from '../syscalls/format.ts';
import { byName, SYSCALL_CLASSES, SYSCALLS, type SyscallClass, type SyscallName } from '../syscalls/table.ts';
import type { Call } from '../vm/call.ts';
import type { Tracer } from '../vm/dispatch.ts';
import { Failure, UsageError, print, reason } from './output.ts';

/** Lines that are kept back while a file is written: a trace must not cost a write(2) per call. */
const CHUNK = 64 * 1024;

/** Calls that `words` mean: names, and classes with or without the `%` of strace; undefined: all. */
export function selectCalls(words: readonly string[]): ReadonlySet<SyscallName> | undefined {
  if (words.length === 0 || words.includes('all')) return undefined;
  const names = words.flatMap((word) => {
    const spec = byName.get(word);
    if (spec) return [spec.name];
    const wanted = word.replace(/^%/, '');
    if (!SYSCALL_CLASSES.some((name) => name === wanted))
      throw new UsageError(
        `option --trace: «${word}» is no system call and no class`,
        `classes are ${SYSCALL_CLASSES.map((name) => `%${name}`).join(' ')}, and all`,
      );
    return SYSCALLS.filter(({ classes }) => classes.includes(wanted as SyscallClass)).map(({ name }) => name);
  });
  return new Set(names);
}

/** A tracer that writes to a file or to standard error. */
export class LineTracer implements Tracer {
  readonly #calls: ReadonlySet<SyscallName> | undefined;
  /** -1: standard error. */
  readonly #fd: number;
  readonly #path: string;
  #text = '';
  #flushing = false;

  constructor(calls: ReadonlySet<SyscallName> | undefined, path: string | undefined) {
    this.#calls = calls;
    this.#path = path ?? 'standard error';
    this.#fd = path === undefined ? -1 : openFile(path);
  }

  enter(call: Call): ReturnType<Tracer['enter']> {
    if (this.#calls && !this.#calls.has(call.spec.name)) return undefined;
    // Decoded now: the guest waits, and what it passed may change as soon as it goes on.
    const text = `${call.tid} ${formatCall(call)}`;
    return (result, injected) => this.#write(`${text} ${formatOutcome(result, injected)}\n`);
  }

  #write(line: string): void {
    if (this.#fd < 0) return print(2, line);
    this.#text += line;
    if (this.#text.length >= CHUNK) return this.#flush();
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const bytes = Buffer.from(this.#text, 'utf8');
    this.#text = '';
    try {
      for (let offset = 0; offset < bytes.length;) offset += writeSync(this.#fd, bytes, offset);
    } catch (error) {
      // The guest is not to suffer from a full disk: the loss is told once, at the end.
      this.#lost ??= error;
    }
  }
  #lost: unknown;

  /** Writes what was kept back and closes the file. Throws {@link Failure} when something could not be written. */
  close(): void {
    if (this.#fd < 0) return;
    this.#flush();
    closeSync(this.#fd);
    if (this.#lost !== undefined) throw new Failure(`--output ${this.#path}: ${reason(this.#lost)}`);
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    throw new Failure(`--output ${path}: ${reason(error)}`);
  }
}

/** The tracer for `--trace[=WORD,…]` and `-o FILE`. */
export const openTrace = (words: readonly string[], path: string | undefined): LineTracer =>
  new LineTracer(selectCalls(words), path);
