/** Where benchmarks run: a copy of the built project, a work folder, and the words that start programs. */
import { chmodSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { exec } from '../helpers/exec.ts';
import setup, { tree } from '../helpers/tree.ts';
import { becoming, workDir, type Who } from '../helpers/users.ts';

export const isRoot = process.geteuid!() === 0;

/** Everything on one core: what a call costs, not how long a sleeping core takes to wake up. */
export const PINNED = ['taskset', '-c', String(availableParallelism() - 1)];
/** Before all other programs of the machine, where that is allowed: for what is short and does not fill all cores. */
const FIRST = spawnSync('chrt', ['-r', '1', 'true']).status === 0 ? ['chrt', '-r', '1'] : [];
/** A network namespace of the kernel without umvu. */
export const NAMESPACE = ['unshare', isRoot ? '-n' : '-Urn'];
/** Options for a stack without neighbours. */
export const LONE_STACK = ['--net', 'stack=vdestack,vnl=null://,eth'];

export class Surroundings {
  readonly #work = workDir('an ordinary user');
  readonly #removeTree = setup();
  /** Work folder, which an ordinary user may write into. */
  readonly dir = this.#work.path;
  /** micro.c, compiled. */
  readonly micro = join(this.dir, 'micro');

  /** Builds what is measured. */
  prepare(): void {
    // vdens of root runs programs as a user who is not root outside.
    chmodSync(this.dir, 0o755);
    const source = join(import.meta.dirname, 'micro.c');
    execFileSync('gcc', ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-o', this.micro, source], {
      stdio: 'inherit',
    });
    chmodSync(this.micro, 0o755);
    tree();
  }

  /** The words that start umvu with `args`. */
  umvu(...args: string[]): string[] {
    return [process.execPath, join(tree(), 'dist/runtime/cli/main.js'), ...args];
  }

  /** Writes a program into the work folder. Its path. */
  program(name: string, text: string): string {
    const path = join(this.dir, name);
    writeFileSync(path, text, { mode: 0o755 });
    return path;
  }

  /** Runs a command in the work folder to its end; its standard output. Throws where it fails. */
  async run(
    command: readonly string[],
    options: { as?: Who; timeout?: number; first?: boolean } = {},
  ): Promise<string> {
    const [program, ...args] = [
      ...(options.first ? FIRST : []),
      ...becoming(options.as ?? 'root'),
      ...command,
    ];
    const env = { PATH: process.env['PATH'], HOME: this.dir, TMPDIR: join(this.dir, 'tmp') };
    const result = await exec(program!, args, { cwd: this.dir, env, timeout: options.timeout ?? 30_000 });
    if (result.code !== 0)
      throw new Error(
        `${command.join(' ')}: ${result.timedOut ? 'too long' : result.code}\n${result.stderr}`,
      );
    return result.stdout;
  }

  close(): void {
    this.#work.remove();
    this.#removeTree();
  }
}
