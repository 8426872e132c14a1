/**
 * The protocol of /dev/fuse (linux/fuse.h, version 7.31 and later) as far as requests reach JavaScript: those about the
 * content of the only file. The others are answered in native/src/fuse_front.cc. All numbers are little endian, as on
 * every machine that we run on.
 */

export const OPCODE = {
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  RELEASE: 18,
  FSYNC: 20,
  INTERRUPT: 36,
  POLL: 40,
} as const;

export const HEADER_IN = 40;
export const HEADER_OUT = 16;
/** Most bytes of one read or write, as in native/src/fuse_front.cc. */
export const MOST_BYTES = 1 << 20;
/** Read with positions, without the page cache in between. */
export const FOPEN_DIRECT_IO = 1;
export const FOPEN_NONSEEKABLE = 4;
export const POLL_SCHEDULE_NOTIFY = 1;

const NOTIFY_POLL = 1;

/** A request of the kernel. */
export interface Request {
  readonly opcode: number;
  readonly unique: bigint;
  readonly pid: number;
  readonly body: Buffer;
}

/** Undefined for what is no request. */
export function decodeRequest(bytes: Buffer): Request | undefined {
  if (bytes.length < HEADER_IN || bytes.readUInt32LE(0) !== bytes.length) return undefined;
  return {
    opcode: bytes.readUInt32LE(4),
    unique: bytes.readBigUInt64LE(8),
    pid: bytes.readUInt32LE(32),
    body: bytes.subarray(HEADER_IN),
  };
}

/** Writes the header of a reply with `length` bytes of body into `out`. `error` is zero or a negated errno. */
export function replyHeader(out: Buffer, unique: bigint, error: number, length: number): void {
  out.writeUInt32LE(HEADER_OUT + length, 0);
  out.writeInt32LE(error, 4);
  out.writeBigUInt64LE(unique, 8);
}

/** The answers to WRITE (bytes) and POLL (events). */
export function numberReply(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeUInt32LE(value >>> 0, 0);
  return out;
}

/** Tells the kernel that the file with poll handle `handle` is to be asked again. */
export function pollNotification(handle: bigint): Buffer {
  const out = Buffer.alloc(HEADER_OUT + 8);
  replyHeader(out, 0n, NOTIFY_POLL, 8);
  out.writeBigUInt64LE(handle, HEADER_OUT);
  return out;
}
