/** The plain kinds of arguments, and how a decoder of the trace is made. */
import type { Call } from '../vm/call.ts';
import { flags, nameOf, quote, SHOWN } from './show.ts';
import type { Names } from './constants.ts';

/** What the decoder uses of a {@link Call}. */
export type CallView = Pick<Call, 'spec' | 'words' | 'arg' | 'int' | 'read' | 'readString'>;

/** The text of argument `index`, or undefined where the call does not use it. May throw: then it is an address. */
export type Decoder = (call: CallView, index: number) => string | undefined;

/** Most elements of a vector that are shown. */
export const MOST_ELEMENTS = 32;
/** Size of a pointer in a guest. */
export const WORD = 8;

/** An argument as the kernel takes an unsigned int. */
export const uint = (call: CallView, index: number): number => call.int(index) >>> 0;
export const octal = (value: number): string => `0${value ? value.toString(8) : ''}`;
export const hex32 = (value: number): string => `0x${(value >>> 0).toString(16)}`;

/** All 64 bits of an argument, in hexadecimal. */
export const hex64 = ({ words }: CallView, index: number): string =>
  `0x${((BigInt(words[2 * index + 1]!) << 32n) | BigInt(words[2 * index]!)).toString(16)}`;

/** An address. */
export const pointer: Decoder = (call, index) => (call.arg(index) === 0 ? 'NULL' : hex64(call, index));

/** Up to {@link SHOWN} of `length` bytes at `address`. */
export function bytesAt(call: CallView, address: number, length: number): string {
  if (address === 0) return 'NULL';
  const shown = Math.max(0, Math.min(length, SHOWN));
  return quote(call.read(address, shown).toString('latin1'), SHOWN, length > shown);
}

/** A number that has a name. */
export const named =
  (names: Names, otherwise?: (value: number) => string): Decoder =>
  (call, index) =>
    nameOf(names, call.int(index), otherwise);

/** A set of flags. */
export const flagged =
  (names: Names): Decoder =>
  (call, index) =>
    flags(names, call.int(index));

/** A text that ends with NUL, cut at `max`. */
export const text =
  (max: number): Decoder =>
  (call, index) =>
    call.arg(index) === 0 ? 'NULL' : quote(call.readString(call.arg(index)), max);

export const signed: Decoder = (call, index) => String(call.int(index));
export const unsigned: Decoder = (call, index) => String(uint(call, index));
export const wide: Decoder = (call, index) => String(call.arg(index));
/** A user or group. */
export const owner: Decoder = (call, index) => (call.int(index) === -1 ? '-1' : unsigned(call, index));

/** A little-endian 64-bit word of guest memory; exact up to 53 bits. */
export const unsigned64 = (bytes: Buffer, offset: number): number => Number(bytes.readBigUInt64LE(offset));
