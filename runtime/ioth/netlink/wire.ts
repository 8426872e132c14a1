/**
 * The frame of netlink messages (netlink(7)): headers and attributes. All words are little endian, which is the
 * host order of the machines that are supported; lengths are padded to 4 bytes. Nothing here opens a socket.
 */

/** Bytes that are not what they claim to be. `offset` is where, counted from the first byte parsed. */
export class WireError extends Error {
  readonly offset: number;
  constructor(offset: number, what: string, protocol = 'netlink') {
    super(`${protocol}: ${what} (at byte ${offset})`);
    this.name = 'WireError';
    this.offset = offset;
  }
}

/** Message types of netlink itself (linux/netlink.h). */
export const NLMSG = { NOOP: 1, ERROR: 2, DONE: 3 } as const;
/** Flags of a request (linux/netlink.h). */
export const NLM_F = {
  REQUEST: 1,
  MULTI: 2,
  ACK: 4,
  DUMP: 0x300,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
} as const;

const HEADER = 16;
const ATTRIBUTE_HEADER = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER do not belong to an attribute's type. */
const TYPE_MASK = 0x3fff;

/** One message: struct nlmsghdr and what follows it. */
export interface NetlinkMessage {
  type: number;
  flags: number;
  seq: number;
  pid: number;
  payload: Uint8Array;
}

/** One attribute: struct rtattr and its value. */
export interface Attribute {
  type: number;
  data: Uint8Array;
}

const align = (length: number): number => (length + 3) & ~3;

/** A view for reading or writing the words of `bytes`. */
export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The messages in `bytes`, as one recv(2) returned them. Payloads are views into `bytes`. */
export function parseMessages(bytes: Uint8Array): NetlinkMessage[] {
  const view = viewOf(bytes);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < bytes.length;) {
    if (at + HEADER > bytes.length) throw new WireError(at, 'a message header is cut short');
    const length = view.getUint32(at, true);
    if (length < HEADER || at + length > bytes.length)
      throw new WireError(at, `bad message length ${length}`);
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      seq: view.getUint32(at + 8, true),
      pid: view.getUint32(at + 12, true),
      payload: bytes.subarray(at + HEADER, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** The bytes of one message, padded. */
export function serializeMessage(message: NetlinkMessage): Uint8Array {
  const length = HEADER + message.payload.length;
  const bytes = new Uint8Array(align(length));
  const view = viewOf(bytes);
  view.setUint32(0, length, true);
  view.setUint16(4, message.type, true);
  view.setUint16(6, message.flags, true);
  view.setUint32(8, message.seq, true);
  view.setUint32(12, message.pid, true);
  bytes.set(message.payload, HEADER);
  return bytes;
}

/** The attributes in `bytes` from `start` on. Values are views into `bytes`. */
export function parseAttributes(bytes: Uint8Array, start = 0): Attribute[] {
  const view = viewOf(bytes);
  const attributes: Attribute[] = [];
  for (let at = start; at < bytes.length;) {
    if (at + ATTRIBUTE_HEADER > bytes.length) throw new WireError(at, 'an attribute header is cut short');
    const length = view.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER || at + length > bytes.length) {
      throw new WireError(at, `bad attribute length ${length}`);
    }
    const data = bytes.subarray(at + ATTRIBUTE_HEADER, at + length);
    attributes.push({ type: view.getUint16(at + 2, true) & TYPE_MASK, data });
    at += align(length);
  }
  return attributes;
}

/** The bytes of `attributes` behind `header` (a multiple of 4 bytes). */
export function serializeAttributes(
  attributes: readonly Attribute[],
  header: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const size = attributes.reduce((sum, a) => sum + align(ATTRIBUTE_HEADER + a.data.length), header.length);
  const bytes = new Uint8Array(size);
  const view = viewOf(bytes);
  bytes.set(header);
  let at = header.length;
  for (const { type, data } of attributes) {
    if (data.length > 0xffff - ATTRIBUTE_HEADER) throw new WireError(at, 'an attribute is too long');
    view.setUint16(at, ATTRIBUTE_HEADER + data.length, true);
    view.setUint16(at + 2, type, true);
    bytes.set(data, at + ATTRIBUTE_HEADER);
    at += align(ATTRIBUTE_HEADER + data.length);
  }
  return bytes;
}

/** The error number in an NLMSG_ERROR message: 0 is an acknowledgement, otherwise a negated errno. */
export function parseError(payload: Uint8Array): number {
  if (payload.length < 4) throw new WireError(0, 'an error message is cut short');
  return viewOf(payload).getInt32(0, true);
}

/** A 32-bit attribute value. */
export function serializeWord(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

/** The 32-bit value of `attribute`. */
export function parseWord({ data, type }: Attribute): number {
  if (data.length !== 4) throw new WireError(0, `attribute ${type} is not a word`);
  return viewOf(data).getUint32(0, true);
}

/** A NUL-terminated attribute value; `text` is a byte string. */
export const serializeText = (text: string): Uint8Array =>
  Uint8Array.from(Buffer.from(`${text}\0`, 'latin1'));

/** The text of `attribute`, up to its NUL. */
export function parseText({ data }: Attribute): string {
  const end = data.indexOf(0);
  return Buffer.from(data.subarray(0, end < 0 ? data.length : end)).toString('latin1');
}
