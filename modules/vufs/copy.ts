/** Copies of single objects of one layer in another, with everything that can be kept of them. */
import { check, ERRNO, Errno } from '../../runtime/errno.ts';
import { closeFd } from '../../runtime/files/layer.ts';
import * as place from '../../runtime/files/place.ts';
import { native } from '../../runtime/native.ts';
import { openAt } from '../../runtime/syscalls/path/tree-open.ts';
import { SYS } from '../../runtime/syscalls/table.ts';
import type { Place } from '../../runtime/vm/mounts.ts';

const O_CREAT_EXCL_WRONLY = 0o301;
const FICLONE = 0x40049409;
const SEEK_SET = 0;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const AT_EMPTY_PATH = 0x1000;
/** Bytes in one step. */
const CHUNK = 8 << 20;
const XATTR_SIZE_MAX = 65536;

/** Attributes that a file system may refuse, or that are not for everybody to write. */
const OPTIONAL = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EACCES', 'EINVAL'].map((name) => -ERRNO[name]!));

/** What of a file's content is to be copied: all, nothing (it will be truncated), or all has been copied already. */
export type Content = 'all' | 'none' | 'there';

/** Makes `to`, where nothing is unless its content is there, a copy of `from`. */
export function copyObject(from: Place, stat: Buffer, to: Place, content: Content): void {
  const mode = place.modeOf(stat);
  place.inDirectory(to, (dirfd, name) => {
    if (place.isDirectory(stat)) check(native().syscall(SYS.mkdirat, dirfd, name, 0o700));
    else if (place.isLink(stat)) check(native().syscall(SYS.symlinkat, place.readLink(from), dirfd, name));
    else if (place.isRegular(stat)) {
      const size = content === 'none' ? 0 : Number(stat.readBigInt64LE(48));
      if (content !== 'there') Array.from(copyContent(from, to, size));
    } else check(native().syscall(SYS.mknodat, dirfd, name, mode, Number(stat.readBigUInt64LE(40))));
  });
  copyAttributes(from, stat, to);
}

/** Makes `to` a file with the first `size` bytes of `from`, in steps of some milliseconds. */
export function* copyContent(from: Place, to: Place, size: number): Generator<void, void, void> {
  const source = size > 0 ? check(openAt(from, 0)) : -1;
  try {
    const copy = check(native().openBeneath(to.layer.fd, to.path, O_CREAT_EXCL_WRONLY, 0o600));
    try {
      if (size > 0) yield* copyData(source, copy, size);
    } finally {
      closeFd(copy);
    }
  } finally {
    if (source >= 0) closeFd(source);
  }
}

/** Shares the blocks where the file system can; else copies what is no hole. */
function* copyData(source: number, copy: number, size: number): Generator<void, void, void> {
  if (native().syscall(SYS.ioctl, copy, FICLONE, source) >= 0) return;
  for (let at = 0; at < size;) {
    const data = native().syscall(SYS.lseek, source, at, SEEK_DATA);
    if (data === -ERRNO['ENXIO']!) break;
    const start = data < 0 ? at : data;
    const hole = data < 0 ? size : native().syscall(SYS.lseek, source, start, SEEK_HOLE);
    const end = hole < 0 ? size : Math.min(hole, size);
    yield* copyRange(source, copy, start, end);
    at = end;
  }
  check(native().syscall(SYS.ftruncate, copy, size));
}

const buffer = Buffer.alloc(1 << 20);
function* copyRange(source: number, copy: number, start: number, end: number): Generator<void, void, void> {
  check(native().syscall(SYS.lseek, source, start, SEEK_SET));
  check(native().syscall(SYS.lseek, copy, start, SEEK_SET));
  for (let at = start; at < end;) {
    const room = Math.min(end - at, CHUNK);
    let done = native().syscall(SYS.copy_file_range, source, null, copy, null, room, 0);
    if (done < 0 && done !== -ERRNO['ENOSPC']!) done = readAndWrite(source, copy, room);
    if (check(done) === 0) return;
    at += done;
    yield;
  }
}

function readAndWrite(source: number, copy: number, room: number): number {
  const read = native().syscall(SYS.read, source, buffer, Math.min(room, buffer.length));
  for (let at = 0; at < read;) {
    const written = native().syscall(SYS.write, copy, buffer.subarray(at, read), read - at);
    if (written < 0) return written;
    at += written;
  }
  return read;
}

/** Owner, mode, extended attributes and times. Without the right to give files away they stay the user's. */
function copyAttributes(from: Place, stat: Buffer, to: Place): void {
  const { uid, gid } = { uid: stat.readUInt32LE(28), gid: stat.readUInt32LE(32) };
  place.withObject(to, (fd) => {
    const result = native().syscall(SYS.fchownat, fd, '', uid, gid, AT_EMPTY_PATH);
    if (result < 0 && !OPTIONAL.has(result)) throw new Errno(result);
    if (!place.isLink(stat))
      check(native().syscall(SYS.fchmodat, -100, `/proc/self/fd/${fd}`, place.modeOf(stat) & 0o7777));
  });
  copyExtended(from, to);
  copyTimes(stat, to);
}

export function copyTimes(stat: Buffer, to: Place): void {
  const times = Buffer.alloc(32);
  stat.copy(times, 0, 72, 88);
  stat.copy(times, 16, 88, 104);
  place.withObject(to, (fd) => native().syscall(SYS.utimensat, fd, '', times, AT_EMPTY_PATH));
}

function copyExtended(from: Place, to: Place): void {
  const names = place.withPath(from, (path) => {
    const length = native().syscall(SYS.llistxattr, path, null, 0);
    if (length <= 0) return [];
    const list = Buffer.alloc(XATTR_SIZE_MAX);
    const got = native().syscall(SYS.llistxattr, path, list, list.length);
    return got < 0 ? [] : list.toString('latin1', 0, got).split('\0').filter(Boolean);
  });
  for (const name of names) {
    const value = Buffer.alloc(XATTR_SIZE_MAX);
    const size = place.withPath(from, (path) =>
      native().syscall(SYS.lgetxattr, path, name, value, value.length),
    );
    if (size < 0) continue;
    const result = place.withPath(to, (path) => native().syscall(SYS.lsetxattr, path, name, value, size, 0));
    if (result < 0 && !OPTIONAL.has(result)) throw new Errno(result);
  }
}
