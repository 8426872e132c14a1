/**
 * The protocol of /dev/fuse (linux/fuse.h, version 7.31 and later) as far as a file system needs it whose root is a
 * regular file and which has no other file. All numbers are little endian, as on every machine that we run on.
 */

export const OPCODE = {
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  INIT: 26,
  INTERRUPT: 36,
  DESTROY: 38,
  POLL: 40,
  BATCH_FORGET: 42,
} as const;

export const HEADER_IN = 40;
export const HEADER_OUT = 16;
/** Most bytes of one read or write. */
export const MOST_BYTES = 1 << 20;
/** The kernel asks that a request with MOST_BYTES fits. */
export const REQUEST_ROOM = MOST_BYTES + 4096;
/** Read with positions, without the page cache in between. */
export const FOPEN_DIRECT_IO = 1;
export const FOPEN_NONSEEKABLE = 4;
export const FATTR_SIZE = 1 << 3;
export const POLL_SCHEDULE_NOTIFY = 1;

const NOTIFY_POLL = 1;
const PAGE = 4096;
/** Seconds for which attributes are valid: for ever, since they are answered before they are asked for. */
const FOREVER = 0x7fff_ffffn;

const INIT_FLAGS = {
  ASYNC_READ: 1 << 0,
  ATOMIC_O_TRUNC: 1 << 3,
  BIG_WRITES: 1 << 5,
  MAX_PAGES: 1 << 22,
  INIT_EXT: 1 << 30,
} as const;
/** In flags2: files of direct I/O can be mapped shared (Linux 6.6). */
const DIRECT_IO_ALLOW_MMAP = 1 << 4;

/** A request of the kernel. The body lies in the buffer that it was read into. */
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

/** The answer to INIT: what we speak, and as much of what the kernel offers as we use. */
export function initReply(body: Buffer): Buffer {
  const offered = body.readUInt32LE(12);
  const extended = (offered & INIT_FLAGS.INIT_EXT) !== 0 && body.length >= 20;
  const wanted = Object.values(INIT_FLAGS).reduce((all, flag) => all | flag, 0);
  const out = Buffer.alloc(64);
  out.writeUInt32LE(7, 0);
  out.writeUInt32LE(extended ? 36 : 31, 4);
  out.writeUInt32LE(body.readUInt32LE(8), 8); // readahead
  out.writeUInt32LE((offered & wanted) >>> 0, 12);
  out.writeUInt16LE(16, 16); // requests in the background
  out.writeUInt16LE(12, 18);
  out.writeUInt32LE(MOST_BYTES, 20);
  out.writeUInt32LE(1, 24); // granularity of times, ns
  out.writeUInt16LE(MOST_BYTES / PAGE, 28);
  if (extended) out.writeUInt32LE(body.readUInt32LE(16) & DIRECT_IO_ALLOW_MMAP, 32);
  return out;
}

/** The answer to GETATTR: a regular file. */
export function attributesReply(size: number): Buffer {
  const out = Buffer.alloc(104);
  out.writeBigUInt64LE(FOREVER, 0);
  out.writeBigUInt64LE(1n, 16); // inode
  out.writeBigUInt64LE(BigInt(size), 24);
  out.writeBigUInt64LE(BigInt(Math.ceil(size / 512)), 32);
  out.writeUInt32LE(0o100666, 76);
  out.writeUInt32LE(1, 80); // links
  out.writeUInt32LE(PAGE, 96);
  return out;
}

export function openReply(handle: number, flags: number): Buffer {
  const out = Buffer.alloc(16);
  out.writeBigUInt64LE(BigInt(handle), 0);
  out.writeUInt32LE(flags, 8);
  return out;
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
