/** Running programs in tests: every wait has an end, and what we started is ended by its process group. */
import { spawn } from 'node:child_process';

export interface ExecOptions {
  cwd?: string;
  /** The whole environment of the program; ours by default. */
  env?: NodeJS.ProcessEnv;
  /** Given to the program as its standard input, which is empty by default. */
  input?: string;
  /** Longest run in ms (20 000 by default). Then all of its process group is killed, and `timedOut` says so. */
  timeout?: number;
}

export interface ExecResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  timedOut: boolean;
}

/** Most bytes that are kept of a stream; a program that writes more is ended. */
const MOST = 16 << 20;

/** Runs a program to its end and collects its output. Rejects only when it cannot be started. */
export function exec(
  command: string,
  args: readonly string[],
  options: ExecOptions = {},
): Promise<ExecResult> {
  const child = spawn(command, args, { cwd: options.cwd, env: options.env ?? process.env, detached: true });
  const result: ExecResult = { code: null, signal: null, stdout: '', stderr: '', timedOut: false };
  const end = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  };
  let destroy: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    result.timedOut = true;
    end();
    // A process outside the group may hold the streams open.
    destroy = setTimeout(() => [child.stdout, child.stderr].forEach((stream) => stream.destroy()), 2000);
  }, options.timeout ?? 20_000);
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8');
    child[name].on('data', (text: string) => {
      if (result[name].length < MOST) result[name] += text;
      else end();
    });
  }
  // The program may end without reading its input.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  return new Promise<ExecResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ ...result, code, signal }));
  }).finally(() => {
    clearTimeout(timer);
    clearTimeout(destroy);
  });
}

/** Asks again every 20 ms until `condition` holds; throws after `timeout` ms (5 000 by default). */
export async function until(what: string, condition: () => boolean, timeout = 5000): Promise<void> {
  for (
    const deadline = Date.now() + timeout;
    !condition();
    await new Promise((resolve) => setTimeout(resolve, 20))
  ) {
    if (Date.now() > deadline) throw new Error(`not within ${timeout} ms: ${what}`);
  }
}
