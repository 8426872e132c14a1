/** Structures of the kernel's interface that calls about files fill, as x86-64 has them (stat(2), statx(2), statfs(2)). */
import type { NodeAttributes } from '../../vm/mounts.ts';

const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;

/** What kind of file it is: the S_IFMT bits of its mode. */
export const typeOf = (mode: number): number => mode & S_IFMT;

/** Device number of files that exist only in a view: 0:1048575, the last of those for file systems without device. */
export const VIRTUAL_DEVICE = { major: 0, minor: 0xfffff } as const;
/** As st_dev has it (new_encode_dev of the kernel). */
const VIRTUAL_ST_DEV =
  ((VIRTUAL_DEVICE.minor & 0xff) | (VIRTUAL_DEVICE.major << 8) | ((VIRTUAL_DEVICE.minor & ~0xff) << 12)) >>>
  0;
const BLOCK_SIZE = 4096;
/** statfs(2) f_type of files that exist only in a view: "umvu" in ASCII. */
const VIRTUAL_MAGIC = 0x75_6d_76_75;
const NAME_MAX = 255;
/** STATX_BASIC_STATS */
const STATX_BASIC = 0x7ff;

const sectors = (size: number): bigint => BigInt(Math.ceil(size / 512));

/** struct stat of x86-64. */
export function encodeStat(file: NodeAttributes): Buffer {
  const out = Buffer.alloc(144);
  out.writeBigUInt64LE(BigInt(file.dev ?? VIRTUAL_ST_DEV), 0);
  out.writeBigUInt64LE(BigInt(file.ino), 8);
  out.writeBigUInt64LE(1n, 16); // links
  out.writeUInt32LE(file.mode, 24);
  out.writeUInt32LE(file.uid, 28);
  out.writeUInt32LE(file.gid, 32);
  out.writeBigUInt64LE(BigInt(file.rdev ?? 0), 40);
  out.writeBigInt64LE(BigInt(file.size), 48);
  out.writeBigInt64LE(BigInt(BLOCK_SIZE), 56);
  out.writeBigInt64LE(sectors(file.size), 64);
  for (const at of [72, 88, 104]) out.writeBigInt64LE(BigInt(Math.floor(file.time)), at);
  return out;
}

/** The parts of a struct stat that permission checks need. */
export function decodeStat(stat: Buffer): NodeAttributes {
  return {
    dev: Number(stat.readBigUInt64LE(0)),
    ino: Number(stat.readBigUInt64LE(8)),
    mode: stat.readUInt32LE(24),
    uid: stat.readUInt32LE(28),
    gid: stat.readUInt32LE(32),
    size: Number(stat.readBigInt64LE(48)),
    time: Number(stat.readBigInt64LE(88)),
  };
}

/** struct statx. */
export function encodeStatx(file: NodeAttributes): Buffer {
  const out = Buffer.alloc(256);
  const dev = file.dev ?? VIRTUAL_ST_DEV;
  out.writeUInt32LE(STATX_BASIC, 0);
  out.writeUInt32LE(BLOCK_SIZE, 4);
  out.writeUInt32LE(1, 16); // links
  out.writeUInt32LE(file.uid, 20);
  out.writeUInt32LE(file.gid, 24);
  out.writeUInt16LE(file.mode, 28);
  out.writeBigUInt64LE(BigInt(file.ino), 32);
  out.writeBigUInt64LE(BigInt(file.size), 40);
  out.writeBigUInt64LE(sectors(file.size), 48);
  // Access, change and modification; there is no time of birth.
  for (const at of [64, 96, 112]) out.writeBigInt64LE(BigInt(Math.floor(file.time)), at);
  for (const [number, at] of [
    [file.rdev ?? 0, 128],
    [dev, 136],
  ] as const) {
    out.writeUInt32LE((number >>> 8) & 0xfff, at);
    out.writeUInt32LE((number & 0xff) | ((number >>> 12) & 0xfff00), at + 4);
  }
  return out;
}

/** struct statfs of x86-64, for a file system that holds nothing but the file. */
export function encodeStatfs(): Buffer {
  const out = Buffer.alloc(120);
  out.writeBigInt64LE(BigInt(VIRTUAL_MAGIC), 0);
  out.writeBigInt64LE(BigInt(BLOCK_SIZE), 8);
  out.writeBigInt64LE(1n, 40); // files
  out.writeBigInt64LE(BigInt(NAME_MAX), 64);
  out.writeBigInt64LE(BigInt(BLOCK_SIZE), 72);
  return out;
}
