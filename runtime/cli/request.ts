import { accessSync, constants, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Failure, UsageError, reason } from './output.ts';
import { parse, type Parsed } from './parse.ts';
import { FLAGS } from './flags.ts';

/** A checked command line of `umvu [options] [--] [command…]`. */
export interface RunRequest {
  /** The command; undefined: an interactive shell. */
  readonly command: string | undefined;
  readonly args: readonly string[];
  /** Additions to the environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Working directory of the command; undefined: ours. */
  readonly cwd: string | undefined;
  readonly modules: readonly string[];
  readonly net: string | undefined;
  /** File of --pcap, absolute. */
  readonly pcap: string | undefined;
  readonly name: string | undefined;
  readonly wait: boolean;
  /** Words of --trace; an empty list stands for all, undefined for no trace. */
  readonly trace: readonly string[] | undefined;
  readonly output: string | undefined;
  readonly stats: boolean;
  /** -1: quiet, 0: normal, 1 and 2: verbose. */
  readonly verbosity: number;
}

/** The view's name goes into prompts and into lines of text (VU_INFO). */
const NAME_MAX = 255;

function viewName(name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  if (/[\u0000-\u001f\u007f]/.test(name))
    throw new UsageError('option --name: the name has control characters in it');
  if (Buffer.byteLength(name) > NAME_MAX)
    throw new UsageError(`option --name: the name is longer than ${NAME_MAX} bytes`);
  return name;
}

function variables(words: readonly string[]): Record<string, string> {
  const entries = words.map((word): [string, string] => {
    const at = word.indexOf('=');
    if (at < 1) throw new UsageError(`option -E/--env: «${word}» is not of the form VAR=VALUE`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
  return Object.fromEntries(entries);
}

function directory(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    if (!statSync(path).isDirectory()) throw new UsageError(`--chdir ${path}: not a directory`);
    accessSync(path, constants.X_OK);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`--chdir ${path}: ${reason(error)}`);
  }
  return resolve(path);
}

/** A relative file is meant from where umvu was started, and has to be right before anything is started. */
function moduleFile(nameOrPath: string): string {
  return nameOrPath.includes('/') ? resolve(nameOrPath) : nameOrPath;
}

function pcapFile(path: string | undefined): string | undefined {
  if (path === '-')
    throw new UsageError('option --pcap: standard output is for the command; name a file or FIFO');
  if (path === '') throw new UsageError('option --pcap: the name of the file is empty');
  return path === undefined ? undefined : resolve(path);
}

function traceWords(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined;
  const words = text.split(',');
  if (text !== '' && words.includes(''))
    throw new UsageError(`option --trace: there is an empty word in «${text}»`);
  return words.filter(Boolean);
}

/** Checks what the parser found. Throws {@link UsageError} or {@link Failure}. */
export function request(options: Parsed): RunRequest {
  const [command, ...args] = options.rest;
  if (command === '') throw new UsageError('the name of the command is empty');
  const trace = traceWords(options.value('trace'));
  const output = options.value('output');
  if (output !== undefined && !trace)
    throw new UsageError('option -o/--output needs --trace: there is nothing else to write');
  return {
    command,
    args,
    env: variables(options.values('env')),
    cwd: directory(options.value('chdir')),
    modules: options.values('module').map(moduleFile),
    net: options.value('net'),
    pcap: pcapFile(options.value('pcap')),
    name: viewName(options.value('name')),
    wait: options.has('wait'),
    trace,
    output: output === undefined ? undefined : resolve(output),
    stats: options.has('stats'),
    verbosity: options.has('quiet') ? -1 : Math.min(options.count('verbose'), 2),
  };
}

/** {@link request} of the words of a command line, for tests and for programs that start umvu. */
export const requestOf = (words: readonly string[]): RunRequest => request(parse(words, FLAGS));
