/** What the kernel does with a file that is to be executed, as far as it names other files. */

/** Bytes of a file that the kernel looks at to know how to execute it (BINPRM_BUF_SIZE). */
export const HEAD_SIZE = 256;

/** A file that is to be executed. */
export type Image =
  /** `#!` with an interpreter and at most one argument (execve(2)) */
  | { kind: 'script'; interpreter: string; argument: string | undefined }
  /** a program; `interpreter` is its dynamic loader, undefined for a static one */
  | { kind: 'elf'; interpreter: string | undefined }
  /** something else: perhaps binfmt_misc knows it */
  | { kind: 'other' };

/** Reads up to `length` bytes at `offset` of the file. */
export type ReadAt = (offset: number, length: number) => Buffer;

const BLANKS = ' \t';
const PT_INTERP = 3;
const ELFCLASS64 = 2;
const ELF_HEADER_SIZE = 64;
const PROGRAM_HEADER_SIZE = 56;
/** More program headers are none of a loader's. */
const MOST_HEADERS = 128;
const PATH_MAX = 4096;

/** What the file is; undefined for a script whose first line the kernel does not take (ENOEXEC). */
export function imageOf(readAt: ReadAt): Image | undefined {
  const head = readAt(0, HEAD_SIZE);
  if (head.toString('latin1', 0, 2) === '#!') return scriptOf(head);
  if (head.toString('latin1', 0, 4) === '\x7fELF')
    return { kind: 'elf', interpreter: loaderOf(head, readAt) };
  return { kind: 'other' };
}

function scriptOf(head: Buffer): Image | undefined {
  const text = head.toString('latin1', 2);
  const newline = text.indexOf('\n');
  const whole = newline >= 0 || head.length < HEAD_SIZE;
  const line = newline < 0 ? text : text.slice(0, newline);
  const [, interpreter = '', rest = ''] =
    new RegExp(`^[${BLANKS}]*([^${BLANKS}\\0]*)([^]*)$`).exec(line) ?? [];
  // An interpreter that goes on beyond what the kernel looks at is none.
  if (interpreter === '' || (!whole && rest === '')) return undefined;
  const argument = rest.replace(/\0[^]*$/, '').replace(new RegExp(`^[${BLANKS}]+|[${BLANKS}]+$`, 'g'), '');
  return { kind: 'script', interpreter, argument: argument === '' ? undefined : argument };
}

function loaderOf(head: Buffer, readAt: ReadAt): string | undefined {
  if (head.length < ELF_HEADER_SIZE || head[4] !== ELFCLASS64) return undefined;
  const table = Number(head.readBigUInt64LE(32));
  const [size, count] = [head.readUInt16LE(54), Math.min(head.readUInt16LE(56), MOST_HEADERS)];
  if (size !== PROGRAM_HEADER_SIZE) return undefined;
  const headers = readAt(table, size * count);
  for (let at = 0; at + size <= headers.length; at += size) {
    if (headers.readUInt32LE(at) !== PT_INTERP) continue;
    const length = Number(headers.readBigUInt64LE(at + 32));
    if (length < 2 || length > PATH_MAX) return undefined;
    const text = readAt(Number(headers.readBigUInt64LE(at + 8)), length).toString('latin1');
    return text.replace(/\0[^]*$/, '');
  }
  return undefined;
}
