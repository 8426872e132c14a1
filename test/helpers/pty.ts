import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Writable } from 'node:stream';

const SCRIPT = join(import.meta.dirname, 'terminal.py');

export interface PtyOptions {
  rows?: number;
  columns?: number;
  /** Variables beside those of the test. */
  env?: Readonly<Record<string, string>>;
  cwd?: string;
}

/** A command on a pseudo-terminal, and the person in front of it. */
export class Pty {
  /** All that the terminal has shown. */
  transcript = '';
  /** Exit status of the command (128 + n after signal n). */
  readonly exited: Promise<number>;
  readonly #child: ChildProcess;
  /** Up to where {@link expect} has read. */
  #seen = 0;
  #wake: () => void = () => undefined;
  #ended = false;

  constructor(command: readonly string[], { rows = 24, columns = 80, env, cwd }: PtyOptions = {}) {
    // env(1) sets the variables: python3 may be a script of a shell, and shells drop PS1.
    const variables = Object.entries({ TERM: 'dumb', ...env }).map(([name, value]) => `${name}=${value}`);
    const words = [SCRIPT, String(rows), String(columns), 'env', ...variables, ...command];
    this.#child = spawn('python3', words, { stdio: ['pipe', 'pipe', 'inherit', 'pipe'], cwd });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.transcript += text;
      this.#wake();
    });
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code) => {
        this.#ended = true;
        this.#wake();
        resolve(code ?? -1);
      });
    });
  }

  /** Types `text`; Ctrl-C is \x03, Ctrl-Z \x1a, Ctrl-D \x04, Ctrl-\ \x1c. */
  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Types a line. */
  enter(line: string): void {
    this.type(`${line}\r`);
  }

  resize(rows: number, columns: number): void {
    (this.#child.stdio[3] as Writable).write(`${rows} ${columns}\n`);
  }

  /** Waits until the terminal shows `pattern` after what was expected before; the text up to its end. */
  async expect(pattern: RegExp | string, timeoutMs = 10_000): Promise<RegExpExecArray> {
    const regex =
      typeof pattern === 'string' ? new RegExp(pattern.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')) : pattern;
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const match = regex.exec(this.transcript.slice(this.#seen));
      if (match) {
        this.#seen += match.index + match[0].length;
        return match;
      }
      const left = deadline - Date.now();
      if (left <= 0 || this.#ended)
        throw new Error(
          `${this.#ended ? 'the command ended' : 'timeout'} before ${regex} was shown; so far:\n${this.transcript}`,
        );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Hangs the terminal up and waits for the end. */
  async close(): Promise<void> {
    this.#child.stdin?.end();
    if (!this.#ended) await this.exited;
  }
}
