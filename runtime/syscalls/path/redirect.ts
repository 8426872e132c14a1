/**
 * Calls on paths that a view leads to another real object. The supervisor does them on the guest's behalf, from
 * its own copy of the path. What is behind a redirect is read only for guests, like a file system mounted `ro`.
 */
import { check, Errno, ERRNO } from '../../errno.ts';
import { native } from '../../native.ts';
import { mayUse, R_OK, W_OK, X_OK } from '../../vm/access.ts';
import type { Call } from '../../vm/call.ts';
import type { Claim, NodeAttributes } from '../../vm/mounts.ts';
import { inject, type Outcome } from '../outcome.ts';
import { SYS } from '../table.ts';
import type { Target } from './resolve.ts';
import { decodeStat, S_IFDIR, typeOf } from './structs.ts';

/** Flags of open(2), as x86-64 has them. */
export const O = {
  ACCMODE: 3,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  NONBLOCK: 0o4000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
} as const;
const AT_SYMLINK_NOFOLLOW = 0x100;
const F_SETFL = 4;

type Redirect = Target & { claim: Extract<Claim, { kind: 'redirect' }> };

/** Where the supervisor finds the object: a directory and a path from there. */
function place({ claim, slash }: Redirect): [number, string] {
  const path = claim.path === '' ? '.' : claim.path;
  return [claim.dirfd, slash ? `${path}/` : path];
}

const lookFlags = (target: Redirect): number => (target.noFollow && !target.slash ? AT_SYMLINK_NOFOLLOW : 0);

/** The object's struct stat, or a negated errno. */
export function statOf(target: Redirect): Buffer | number {
  const stat = Buffer.alloc(144);
  const result = native().syscall(SYS.newfstatat, ...place(target), stat, lookFlags(target));
  return result < 0 ? result : stat;
}

function attributes(target: Redirect): NodeAttributes {
  const stat = statOf(target);
  if (typeof stat === 'number') throw new Errno(stat);
  return decodeStat(stat);
}

/** Throws the errno that a call gets which would change what is at `target`. */
export function refuseChange(target: Redirect): never {
  attributes(target);
  throw new Errno('EROFS');
}

/** Throws the errno that a call gets which would make something new at `target`. */
export function refuseNew(target: Redirect): never {
  throw new Errno(typeof statOf(target) === 'number' ? 'EROFS' : 'EEXIST');
}

/** Throws the errno of a rename or link of `from`; `to` is undefined where that is outside of all redirects. */
export function refuseMove(from: Redirect, to: Redirect | undefined): never {
  attributes(from);
  throw new Errno(to ? 'EROFS' : 'EXDEV');
}

/**
 * Throws EACCES unless the guest may use the object as `wanted` says. The kernel checks the supervisor, so a guest
 * that has changed its identity is checked here, by the mode of the object.
 */
function requireAccess(call: Call, target: Redirect, wanted: number): void {
  const who = call.process.credentials();
  if (who?.uid === call.vm.uid) return;
  if (!mayUse(attributes(target), call.process, wanted)) throw new Errno('EACCES');
}

export function accessRedirect(call: Call, target: Redirect, mode: number): Outcome {
  if (mode & ~(R_OK | W_OK | X_OK)) throw new Errno('EINVAL');
  const file = attributes(target);
  if (mode & W_OK) throw new Errno('EROFS');
  if (mode === 0) return 0;
  if (call.process.credentials()?.uid !== call.vm.uid) {
    if (!mayUse(file, call.process, mode)) throw new Errno('EACCES');
    return 0;
  }
  return check(native().syscall(SYS.faccessat2, ...place(target), mode, lookFlags(target)));
}

export function openRedirect(call: Call, target: Redirect, flags: number): Outcome {
  const cloexec = (flags & O.CLOEXEC) !== 0;
  if (flags & O.PATH) {
    return inject(check(native().syscall(SYS.openat, ...place(target), flags | O.CLOEXEC)), cloexec);
  }
  const stat = statOf(target);
  if (typeof stat === 'number')
    throw new Errno(flags & O.CREAT && stat === -ERRNO['ENOENT']! ? 'EROFS' : stat);
  if (flags & O.CREAT && flags & O.EXCL) throw new Errno('EEXIST');
  const writes = (flags & O.ACCMODE) !== 0 || (flags & O.TRUNC) !== 0;
  if (writes) throw new Errno(typeOf(decodeStat(stat).mode) === S_IFDIR ? 'EISDIR' : 'EROFS');
  requireAccess(call, target, R_OK);
  // The supervisor must never wait, as it would for the writer of a FIFO.
  const mine = (flags & ~(O.CREAT | O.EXCL)) | O.CLOEXEC | O.NOCTTY | O.NONBLOCK;
  const fd = check(native().syscall(SYS.openat, ...place(target), mine));
  if (!(flags & O.NONBLOCK)) native().syscall(SYS.fcntl, fd, F_SETFL, flags & ~O.CLOEXEC);
  return inject(fd, cloexec);
}

export function statxRedirect(
  call: Call,
  target: Redirect,
  flags: number,
  mask: number,
  out: number,
): Outcome {
  const bytes = Buffer.alloc(256);
  check(native().syscall(SYS.statx, ...place(target), flags | lookFlags(target), mask >>> 0, bytes));
  call.write(out, bytes);
  return 0;
}

export function readlinkRedirect(call: Call, target: Redirect, out: number, size: number): Outcome {
  const text = Buffer.alloc(Math.min(size, 4096));
  const length = check(native().syscall(SYS.readlinkat, ...place(target), text, text.length));
  call.write(out, text.subarray(0, length));
  return length;
}

export function statfsRedirect(call: Call, target: Redirect, out: number): Outcome {
  const [dirfd, path] = place(target);
  const fd = check(native().syscall(SYS.openat, dirfd, path, O.PATH | O.CLOEXEC));
  try {
    const bytes = Buffer.alloc(120);
    check(native().syscall(SYS.fstatfs, fd, bytes));
    call.write(out, bytes);
    return 0;
  } finally {
    native().syscall(SYS.close, fd);
  }
}

export type RedirectClaim = Redirect['claim'];

/** Longest path, with its NUL. */
export const PATH_MAX = 4096;
const linkText = Buffer.alloc(PATH_MAX);

/** The text of a symbolic link, or a negated errno: -EINVAL for what exists and is none. */
export function linkOf({ dirfd, path }: RedirectClaim): string | number {
  if (path === '') return -ERRNO['EINVAL']!;
  const length = native().syscall(SYS.readlinkat, dirfd, path, linkText, PATH_MAX);
  return length < 0 ? length : linkText.toString('latin1', 0, length);
}

export const isRealDirectory = ({ dirfd, path }: RedirectClaim): boolean =>
  linkOf({ kind: 'redirect', dirfd, path: path === '' ? '.' : `${path}/.` }) === -ERRNO['EINVAL']!;

export type { Redirect };
