/** struct msghdr, iovec and cmsghdr in guest memory (cmsg(3)). */
import { Errno } from '../../errno.ts';
import type { Control } from '../../ioth/lwip/meta.ts';
import type { Call } from '../../vm/call.ts';

export const MSGHDR_SIZE = 56;
/** Most elements of a vector (UIO_MAXIOV). */
const MOST_PARTS = 1024;
/** More than fits into one datagram. */
const MOST_BYTES = 1 << 17;

export interface MessageHeader {
  /** Address of the struct in the guest. */
  readonly at: number;
  readonly name: number;
  readonly nameLength: number;
  readonly parts: readonly { at: number; size: number }[];
  readonly control: number;
  readonly controlLength: number;
}

/** A pointer or size of 64 bits, exact up to 53. */
const word = (bytes: Buffer, at: number): number =>
  bytes.readInt32LE(at + 4) * 2 ** 32 + bytes.readUInt32LE(at);

export function readMessageHeader(call: Call, at: number): MessageHeader {
  const bytes = call.read(at, MSGHDR_SIZE);
  const count = word(bytes, 24);
  if (count < 0 || count > MOST_PARTS) throw new Errno('EMSGSIZE');
  const vector = call.read(word(bytes, 16), count * 16);
  const parts = [];
  for (let i = 0; i < count; i++) {
    const size = word(vector, i * 16 + 8);
    if (size < 0) throw new Errno('EINVAL');
    parts.push({ at: word(vector, i * 16), size });
  }
  const nameLength = bytes.readInt32LE(8);
  if (nameLength < 0) throw new Errno('EINVAL');
  return {
    at,
    name: word(bytes, 0),
    nameLength,
    parts,
    control: word(bytes, 32),
    controlLength: word(bytes, 40),
  };
}

export const sizeOf = ({ parts }: MessageHeader): number =>
  Math.min(
    parts.reduce((sum, { size }) => sum + size, 0),
    MOST_BYTES,
  );

/** The bytes that a vector names. */
export function gather(call: Call, header: MessageHeader): Buffer {
  if (header.parts.length === 1) {
    const { at, size } = header.parts[0]!;
    if (size > MOST_BYTES) throw new Errno('EMSGSIZE');
    return call.read(at, size);
  }
  if (sizeOf(header) === MOST_BYTES) throw new Errno('EMSGSIZE');
  return Buffer.concat(header.parts.map(({ at, size }) => call.read(at, size)));
}

/** Spreads `bytes` over the vector. */
export function scatter(call: Call, header: MessageHeader, bytes: Uint8Array): void {
  let done = 0;
  for (const { at, size } of header.parts) {
    if (done === bytes.length) return;
    const part = bytes.subarray(done, done + size);
    if (part.length > 0) call.write(at, part);
    done += part.length;
  }
}

const ALIGN = 8;
const CMSGHDR = 16;
const aligned = (size: number): number => Math.ceil(size / ALIGN) * ALIGN;

export function readControl(call: Call, { control, controlLength }: MessageHeader): Control[] {
  if (control === 0 || controlLength < CMSGHDR) return [];
  if (controlLength > 20480) throw new Errno('ENOBUFS');
  const bytes = call.read(control, controlLength);
  const list: Control[] = [];
  for (let at = 0; at + CMSGHDR <= bytes.length;) {
    const length = word(bytes, at);
    if (length < CMSGHDR || at + length > bytes.length) throw new Errno('EINVAL');
    const [level, type] = [bytes.readInt32LE(at + 8), bytes.readInt32LE(at + 12)];
    list.push({ level, type, data: bytes.subarray(at + CMSGHDR, at + length) });
    at += aligned(length);
  }
  return list;
}

/** Writes control messages; what does not fit is left out. Whether that happened, and the bytes used. */
export function writeControl(
  call: Call,
  { control, controlLength }: MessageHeader,
  list: readonly Control[],
): { cut: boolean; used: number } {
  let used = 0;
  for (const { level, type, data } of list) {
    if (used + CMSGHDR + data.length > controlLength) return { cut: true, used };
    const bytes = Buffer.alloc(Math.min(aligned(CMSGHDR + data.length), controlLength - used));
    bytes.writeBigUInt64LE(BigInt(CMSGHDR + data.length));
    bytes.writeInt32LE(level, 8);
    bytes.writeInt32LE(type, 12);
    data.copy(bytes, CMSGHDR);
    call.write(control + used, bytes);
    used += bytes.length;
  }
  return { cut: false, used };
}

/** Fills in what recvmsg(2) says of the message it received. */
export function writeMessageHeader(
  call: Call,
  header: MessageHeader,
  name: number,
  control: number,
  flags: number,
): void {
  const nameLength = Buffer.alloc(4);
  nameLength.writeInt32LE(name);
  call.write(header.at + 8, nameLength);
  const rest = Buffer.alloc(12);
  rest.writeBigUInt64LE(BigInt(control));
  rest.writeInt32LE(flags, 8);
  call.write(header.at + 40, rest);
}
