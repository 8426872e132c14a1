/**
 * Arguments and environment as the bytes that they are. Node takes them for UTF-8 and replaces what is not; the kernel
 * still has what this process was started with (/proc/self/cmdline and environ).
 */
import { readFileSync } from 'node:fs';
import { Errno } from '../errno.ts';

/** An argument: text, or bytes where they are not UTF-8. */
export type Word = string | Uint8Array;

const NUL = Buffer.from([0]);

/** The words one after the other, each with a NUL at its end. EINVAL where one has a NUL in it. */
export function wordBytes(words: readonly Word[]): Buffer {
  return Buffer.concat(
    words.flatMap((word) => {
      const bytes = typeof word === 'string' ? Buffer.from(word) : word;
      if (bytes.includes(0)) throw new Errno('EINVAL', 'a word of the command has a NUL character in it');
      return [bytes, NUL];
    }),
  );
}

/** The strings of a file of procfs, without their NULs. */
function strings(file: string): Buffer[] {
  const bytes = readFileSync(file);
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(0, at);
    found.push(bytes.subarray(at, end < 0 ? bytes.length : end));
    at = end < 0 ? bytes.length : end + 1;
  }
  return found;
}

/** What Node puts in the place of bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd';

/** `args`, which are the last arguments of this process, with the bytes that they were given with. */
export function lastArguments(args: readonly string[]): Word[] {
  if (!args.some((arg) => arg.includes(REPLACEMENT))) return [...args];
  const given = strings('/proc/self/cmdline').slice(-args.length);
  return args.map((arg, i) => (given[i]?.toString() === arg ? given[i] : arg));
}

/** `NAME=VALUE` for each variable; one that is as it was when this process started with the same bytes as then. */
export function environment(env: NodeJS.ProcessEnv): Word[] {
  const words = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}=${value}`,
  );
  if (!words.some((word) => word.includes(REPLACEMENT))) return words;
  const given = new Map(strings('/proc/self/environ').map((bytes) => [bytes.toString(), bytes]));
  return words.map((word) => (word.includes(REPLACEMENT) && given.get(word)) || word);
}
