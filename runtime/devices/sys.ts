/** System calls of the supervisor that devices need. */
import { check, ERRNO } from '../errno.ts';
import { native } from '../native.ts';
import { SYS } from '../syscalls/table.ts';

export const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_STATX_DONT_SYNC = 0x4000;
const STATX_INO = 0x100;
const F_SETFL = 4;

/** Flags of open(2) (as in path/redirect.ts, which knows fewer). */
export const OPEN = {
  ACCMODE: 3,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DIRECT: 0o40000,
  NOFOLLOW: 0o400000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
} as const;

/** Flags that say how to find or make a file, which is done already when a device is opened. */
const FOR_FINDING = OPEN.CREAT | OPEN.EXCL | OPEN.TRUNC | OPEN.NOFOLLOW;

export const closeFd = (fd: number): void => void native().syscall(SYS.close, fd);

/** Opens the file behind descriptor `fd` once more, for `flags` of a guest that opens a device. */
export function openAgain(fd: number, flags: number): number {
  const path = `/proc/self/fd/${fd}`;
  const mine = (flags & ~FOR_FINDING) | OPEN.CLOEXEC;
  const again = native().syscall(SYS.openat, AT_FDCWD, path, mine);
  if (again !== -ERRNO['EINVAL']! || !(flags & OPEN.DIRECT)) return check(again);
  return check(native().syscall(SYS.openat, AT_FDCWD, path, mine & ~OPEN.DIRECT));
}

/** Opens a file of the host for `flags` of a guest, without waiting for anybody. */
export function openPath(path: string, flags: number): number {
  const mine = (flags & ~FOR_FINDING) | OPEN.CLOEXEC | OPEN.NONBLOCK | OPEN.NOCTTY;
  const fd = check(native().syscall(SYS.openat, AT_FDCWD, path, mine));
  if (!(flags & OPEN.NONBLOCK)) native().syscall(SYS.fcntl, fd, F_SETFL, flags & ~OPEN.CLOEXEC);
  return fd;
}

/**
 * What identifies the object behind a descriptor, or behind a path: file system and inode. It never waits for a
 * FUSE server, which may be this process. Undefined where there is none.
 */
export function identityOf(fd: number, path = ''): string | undefined {
  const out = new Uint8Array(256);
  const flags = AT_STATX_DONT_SYNC | (path === '' ? AT_EMPTY_PATH : 0);
  if (native().syscall(SYS.statx, fd, path, flags, STATX_INO, out) < 0) return undefined;
  const view = new DataView(out.buffer);
  return `${view.getUint32(136, true)}:${view.getUint32(140, true)}:${view.getBigUint64(32, true)}`;
}
