import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { join } from 'node:path';
import { umvuCommand } from '../helpers/umvu.ts';

const root = join(import.meta.dirname, '../..');

/** The words that start the built umvu. */
export const BUILT: readonly string[] = umvuCommand([]);

/** The words that start umvu: the built one, or the sources where UMVU_MAIN names runtime/cli/main.ts. */
export const UMVU: readonly string[] = process.env['UMVU_MAIN']
  ? [process.execPath, '--import', import.meta.resolve('tsx'), join(root, process.env['UMVU_MAIN'])]
  : BUILT;

/** The same for a shell. */
export const QUOTED = UMVU.map((word) => `'${word}'`).join(' ');

export interface Result {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Starts umvu with these words; streams are pipes unless `options` says otherwise. */
export function startUmvu(words: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const [program = '', ...before] = UMVU;
  return spawn(program, [...before, ...words], { stdio: 'pipe', ...options });
}

/** Collects what `child` prints until it ends. `input` is what it reads. */
export function collect(child: ChildProcess, input?: string | Buffer): Promise<Result> {
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (text: string) => (texts[name] += text));
  child.stdin?.on('error', () => undefined).end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, ...texts }));
  });
}

/** Runs umvu with these words. */
export const umvu = (
  words: readonly string[],
  options: SpawnOptions & { input?: string | Buffer } = {},
): Promise<Result> => collect(startUmvu(words, options), options.input);
