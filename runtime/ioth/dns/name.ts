/**
 * Domain names (RFC 1035 §3.1 and §4.1.4). As text they have no dot at the end, and the root is ''. A dot or a backslash
 * in a label has a backslash before it, any other byte that is not printable ASCII is `\DDD` (RFC 1035 §5.1).
 */
import type { ByteReader, ByteWriter } from '../bytes.ts';
import { WireError } from '../netlink/wire.ts';

const MAX_LABEL = 63;
/** The whole name, with the lengths of labels and the final 0. */
const MAX_NAME = 255;
const POINTER = 0xc0;
const DOT = 0x2e;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
const NINE = 0x39;

function labelText(label: Uint8Array): string {
  let text = '';
  for (const byte of label) {
    if (byte === DOT || byte === BACKSLASH) text += `\\${String.fromCharCode(byte)}`;
    else if (byte > 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\${String(byte).padStart(3, '0')}`;
  }
  return text;
}

/** Names that can be written as they are: labels of printable ASCII without dots and backslashes, none too long. */
const PLAIN = /^(?:[!-\-/-[\]-~]{1,63}\.)*[!-\-/-[\]-~]{1,63}$/;

/** The labels of a name that was given as text; one dot at the end is as good as none. Throws WireError. */
export function nameLabels(text: string): Uint8Array[] {
  const labels: Uint8Array[] = [];
  let label: number[] = [];
  const bytes = Buffer.from(text);
  const end = (): void => {
    if (label.length === 0 || label.length > MAX_LABEL) {
      throw new WireError(0, `«${text}»: a label must have 1 to ${MAX_LABEL} bytes`, 'dns');
    }
    labels.push(Uint8Array.from(label));
    label = [];
  };
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === DOT) {
      if (bytes.length === 1) break; // the root
      end();
    } else if (byte === BACKSLASH) {
      const digits = /^[0-9]{3}/.exec(bytes.toString('latin1', i + 1, i + 4))?.[0];
      label.push(digits === undefined ? (bytes[i + 1] ?? BACKSLASH) : Number(digits) & 0xff);
      i += digits === undefined ? 1 : 3;
    } else {
      label.push(byte);
    }
  }
  if (label.length > 0) end();
  const size = labels.reduce((sum, each) => sum + each.length + 1, 1);
  if (size > MAX_NAME) throw new WireError(0, `«${text}»: a name has at most ${MAX_NAME} bytes`, 'dns');
  return labels;
}

/** True where both names mean the same: the case of ASCII letters does not matter, nor does a dot at the end. */
export const sameName = (a: string, b: string): boolean =>
  a === b || a.replace(/\.$/, '').toLowerCase() === b.replace(/\.$/, '').toLowerCase();

/**
 * Reads a name. Pointers must lead towards the start of the message, so they cannot make a loop; `compressed` false
 * refuses them (DHCP options, RFC 8415 §10).
 */
export function readName(reader: ByteReader, compressed = true): string {
  const { bytes } = reader;
  const labels: string[] = [];
  let size = 1;
  let at = reader.at;
  let limit = at;
  let jumped = false;
  for (;;) {
    const length = jumped ? bytes[at++] : reader.u8();
    if (length === undefined) throw reader.error('a name leads beyond the end', at);
    if (!jumped) at = reader.at;
    if (length === 0) return labels.join('.');
    if (length >= POINTER) {
      const low = jumped ? bytes[at] : reader.u8();
      const target = ((length & 0x3f) << 8) | (low ?? 0xffff);
      if (!compressed) throw reader.error('a compressed name where none is allowed', at - 1);
      if (target >= limit) throw reader.error('a pointer in a name does not lead backwards', at - 1);
      limit = at = target;
      jumped = true;
      continue;
    }
    if (length > MAX_LABEL) throw reader.error('a label of an unknown kind', at - 1);
    const label = jumped ? bytes.subarray(at, at + length) : reader.take(length);
    if (label.length < length) throw reader.error('a label leads beyond the end', at);
    at += length;
    size += length + 1;
    if (size > MAX_NAME) throw reader.error('a name is too long', at);
    labels.push(labelText(label));
  }
}

/** Where names begin in the message that is written, by their text. */
export type NamePlaces = Map<string, number>;

/** The text that {@link readName} makes of a name: without escapes that it does not need, and without a dot at the end. */
function usualText(text: string): string {
  const bare = text.endsWith('.') ? text.slice(0, -1) : text;
  // The lengths of its labels and of the root take two bytes more than its dots.
  const plain = bare.length + 2 <= MAX_NAME && PLAIN.test(bare);
  return plain ? bare : nameLabels(text).map(labelText).join('.');
}

/** Writes the label that begins at `from` of a name in its usual text; where the next one begins. */
function writeLabel(writer: ByteWriter, text: string, from: number): number {
  const place = writer.length;
  writer.u8(0);
  let at = from;
  for (; at < text.length; at++) {
    let code = text.charCodeAt(at);
    if (code === DOT) break;
    if (code === BACKSLASH) {
      const digits = text.charCodeAt(at + 1) <= NINE && text.charCodeAt(at + 1) >= ZERO;
      code = digits ? Number(text.slice(at + 1, at + 4)) : text.charCodeAt(at + 1);
      at += digits ? 3 : 1;
    }
    writer.u8(code);
  }
  writer.patch8(place, writer.length - place - 1);
  return at + 1;
}

/** Writes a name; with `places` the end that was written before becomes a pointer (RFC 1035 §4.1.4). Throws WireError. */
export function writeName(writer: ByteWriter, text: string, places?: NamePlaces): void {
  const usual = usualText(text);
  for (let at = 0; at < usual.length;) {
    if (places !== undefined) {
      const rest = usual.slice(at);
      const place = places.get(rest);
      if (place !== undefined) {
        writer.u16((POINTER << 8) | place);
        return;
      }
      if (writer.length < 1 << 14) places.set(rest, writer.length);
    }
    at = writeLabel(writer, usual, at);
  }
  writer.u8(0);
}
