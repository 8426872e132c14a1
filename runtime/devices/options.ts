/** The words of `-o` for a device: those that all devices have, and those that one declares. */
import { Errno } from '../errno.ts';

/** The kinds of values: a flag, a text, a number, or bytes with a suffix (k, m, g; a bare number is sectors). */
export interface OptionTypes {
  boolean: boolean;
  string: string;
  number: number;
  size: number;
}

/** An option that a device declares. */
export interface Option {
  readonly type: keyof OptionTypes;
  readonly default?: boolean | string | number;
  /** One line. */
  readonly help: string;
}

export type Options = Readonly<Record<string, Option>>;

/** Value of each option; undefined where it was not given and has no default. */
export type OptionValues<O extends Options> = {
  readonly [K in keyof O]: O[K] extends { default: infer D }
    ? D extends unknown
      ? OptionTypes[O[K]['type']]
      : never
    : OptionTypes[O[K]['type']] | undefined;
};

/** What all devices can be told. */
export interface CommonOptions {
  /** Permission bits. */
  mode: number | undefined;
  uid: number | undefined;
  gid: number | undefined;
  major: number | undefined;
  /** Of the device itself; its parts follow. */
  minor: number | undefined;
  type: 'char' | 'block' | undefined;
  readOnly: boolean;
}

const SECTOR = 512;
const UNITS: Readonly<Record<string, number>> = { '': SECTOR, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

function numberOf(name: string, text: string, pattern: RegExp, base: number, max: number): number {
  const value = pattern.test(text) ? parseInt(text, base) : NaN;
  if (!(value <= max)) throw new Errno('EINVAL', `option ${name}: «${text}» is no number that fits`);
  return value;
}
const decimal = (name: string, text: string, max: number): number => numberOf(name, text, /^\d+$/, 10, max);

function sizeOf(name: string, text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,12})([kmg]?)i?b?$/i.exec(text) ?? [];
  if (digits === '') throw new Errno('EINVAL', `option ${name}: «${text}» is no size`);
  return Number(digits) * UNITS[unit.toLowerCase()]!;
}

function valueOf(name: string, { type }: Option, text: string): boolean | string | number {
  if (type === 'string') return text;
  if (type === 'size') return sizeOf(name, text);
  if (type === 'number') {
    const value = text === '' ? NaN : Number(text);
    if (!Number.isFinite(value)) throw new Errno('EINVAL', `option ${name}: «${text}» is no number`);
    return value;
  }
  if (text !== '' && !/^(0|1|yes|no|true|false)$/.test(text))
    throw new Errno('EINVAL', `option ${name}: «${text}» is neither yes nor no`);
  return !/^(0|no|false)$/.test(text);
}

/** Takes a word that all devices know; false for another. */
function common(into: CommonOptions, name: string, text: string): boolean {
  if (name === 'mode') into.mode = numberOf(name, text, /^[0-7]+$/, 8, 0o7777);
  else if (name === 'uid' || name === 'gid') into[name] = decimal(name, text, 0xffff_fffe);
  else if (name === 'major') into.major = decimal(name, text, 0xfff);
  else if (name === 'minor') into.minor = decimal(name, text, 0xfffff);
  else if (['chr', 'char', 'chrdev'].includes(name)) into.type = 'char';
  else if (['blk', 'blkdev'].includes(name)) into.type = 'block';
  else if (name === 'ro') into.readOnly = true;
  else if (name === 'rw') into.readOnly = false;
  else return false;
  return true;
}

/** Takes the words apart. Throws EINVAL for one that neither all devices have nor `declared` has. */
export function parseOptions(
  words: readonly (readonly [string, string])[],
  declared: Options,
): { common: CommonOptions; own: Record<string, boolean | string | number | undefined> } {
  const all: CommonOptions = {
    mode: undefined,
    uid: undefined,
    gid: undefined,
    major: undefined,
    minor: undefined,
    type: undefined,
    readOnly: false,
  };
  const own: Record<string, boolean | string | number | undefined> = {};
  for (const [name, option] of Object.entries(declared)) own[name] = option.default;
  for (const [name, text] of words) {
    const option = Object.hasOwn(declared, name) ? declared[name] : undefined;
    if (option) own[name] = valueOf(name, option, text);
    else if (!common(all, name, text)) throw new Errno('EINVAL', `unknown option «${name}»`);
  }
  return { common: all, own };
}
