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

function labelText(label: Uint8Array): string {
  let text = '';
  for (const byte of label) {
    if (byte === DOT || byte === BACKSLASH) text += `\\${String.fromCharCode(byte)}`;
    else if (byte > 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\${String(byte).padStart(3, '0')}`;
  }
  return text;
}

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

/** Writes a name; with `places` the end that was written before becomes a pointer (RFC 1035 §4.1.4). */
export function writeName(writer: ByteWriter, text: string, places?: NamePlaces): void {
  const labels = nameLabels(text);
  for (const [i, label] of labels.entries()) {
    if (places !== undefined) {
      const rest = labels.slice(i).map(labelText).join('.');
      const place = places.get(rest);
      if (place !== undefined) {
        writer.u16((POINTER << 8) | place);
        return;
      }
      if (writer.length < 1 << 14) places.set(rest, writer.length);
    }
    writer.u8(label.length).put(label);
  }
  writer.u8(0);
}
