/** Looking at files of mounted trees, and changing their attributes. */
import { check, Errno } from '../../errno.ts';
import { actingAs, asCaller } from '../../files/identity.ts';
import { isDirectory, isLink, isRegular, readLink, withObject, withPath } from '../../files/place.ts';
import { native } from '../../native.ts';
import { mayUse, R_OK, W_OK, X_OK } from '../../vm/access.ts';
import type { Call } from '../../vm/call.ts';
import type { Place } from '../../vm/mounts.ts';
import type { Outcome } from '../outcome.ts';
import { SYS } from '../table.ts';
import { seenAs } from './compiled.ts';
import { changeMagic, withMagic } from './guard.ts';
import type { TimeFormat } from './node.ts';
import { AT_FDCWD, type TreeTarget } from './resolve.ts';
import { fromRoot, virtualRoot } from './root.ts';
import { decodeStat } from './structs.ts';

const AT_EMPTY_PATH = 0x1000;
const AT_EACCESS = 0x200;
/** Offsets of st_mtim and st_ctim in struct stat. */
const [MTIME, CTIME] = [88, 104];
const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;
const XATTR_NAME_MAX = 255;
const XATTR_SIZE_MAX = 65536;

/** The object, which has to be there, and to be a directory where the path says so. */
export function existing(target: TreeTarget): Place {
  const { place, stat, slash } = target;
  if (!place) throw new Errno('ENOENT');
  if (slash && !isDirectory(stat)) throw new Errno('ENOTDIR');
  return place;
}

/** Lets `act` look at the object by a descriptor: O_PATH, or the caller's own one. */
export function look<T>(call: Call, target: TreeTarget, act: (fd: number) => T): T {
  const place = existing(target);
  if (target.magic !== undefined) return withMagic(call, target.magic, (fd) => asCaller(call, () => act(fd)));
  return asCaller(call, () => withObject(place, act));
}

/** Lets `act` change the object by its descriptor (O_PATH). */
function change<T>(call: Call, target: TreeTarget, act: (fd: number) => T, truncate?: boolean): T {
  existing(target);
  if (target.magic !== undefined) return changeMagic(call, target.magic, act);
  const { tree, path } = target.claim;
  return asCaller(call, () => tree.change(path, (place) => withObject(place, act), truncate));
}

/** The path by which calls that have no descriptor take an object that is no link. */
const byDescriptor = (fd: number): string => `/proc/self/fd/${fd}`;

// -- Looking -------------------------------------------------------------------------------------------------

export function statTree(call: Call, target: TreeTarget, out: number): Outcome {
  existing(target);
  call.write(out, target.stat);
  return 0;
}

export function statxTree(call: Call, target: TreeTarget, flags: number, mask: number, out: number): Outcome {
  const bytes = Buffer.alloc(256);
  look(call, target, (fd) =>
    check(native().syscall(SYS.statx, fd, '', (flags & ~0x100) | AT_EMPTY_PATH, mask >>> 0, bytes)),
  );
  showAs(target.stat, bytes);
  call.write(out, bytes);
  return 0;
}

/** What a tree says of an object and its layer does not: links and times in `stat` are copied to a struct statx. */
function showAs(stat: Buffer, statx: Buffer): void {
  statx.writeUInt32LE(Number(stat.readBigUInt64LE(16)), 16);
  for (const [from, to] of [
    [MTIME, 112],
    [CTIME, 96],
  ] as const) {
    stat.copy(statx, to, from, from + 8);
    statx.writeUInt32LE(Number(stat.readBigInt64LE(from + 8)), to + 8);
  }
}

export function accessTree(call: Call, target: TreeTarget, mode: number, flags: number): Outcome {
  if (mode & ~(R_OK | W_OK | X_OK)) throw new Errno('EINVAL');
  const place = existing(target);
  const special = !isDirectory(target.stat) && !isRegular(target.stat);
  const own = target.magic === undefined;
  if (own && mode & W_OK && target.claim.tree.readOnly && !special) throw new Errno('EROFS');
  // What will be written is a copy, so the layer's being read-only does not count.
  const copied = own && (mode & W_OK) !== 0 && place.layer.readOnly;
  asCaller(call, () => {
    if (copied && (call.vm.uid === 0 || actingAs()) && !mayUse(decodeStat(target.stat), call.process, W_OK))
      throw new Errno('EACCES');
  });
  // For another user we act with his effective identity alone: our real one is root's.
  const effective = asCaller(call, actingAs) ? AT_EACCESS : flags;
  const asked = copied ? mode & ~W_OK : mode;
  return look(call, target, (fd) =>
    check(native().syscall(SYS.faccessat2, fd, '', asked, (effective & AT_EACCESS) | AT_EMPTY_PATH)),
  );
}

export function readlinkTree(call: Call, target: TreeTarget, out: number, size: number): Outcome {
  if (size <= 0) throw new Errno('EINVAL');
  const place = existing(target);
  if (!isLink(target.stat)) throw new Errno('EINVAL');
  const real = asCaller(call, () => readLink(place));
  const shown = target.link === undefined ? real : linkText(call, target.link, real);
  const text = Buffer.from(shown, 'latin1').subarray(0, size);
  call.write(out, text);
  return text.length;
}

/** The text of a link of procfs, which leads to `real`, as the view has it and from the caller's root directory. */
function linkText(call: Call, link: string, real: string): string {
  const seen = virtualRoot(link, call.vm) ?? seenAs(call.process.view, real) ?? real;
  return seen.startsWith('/') ? (fromRoot(call, seen) ?? seen) : seen;
}

export function statfsTree(call: Call, target: TreeTarget, out: number): Outcome {
  const bytes = Buffer.alloc(120);
  look(call, target, (fd) => check(native().syscall(SYS.fstatfs, fd, bytes)));
  call.write(out, bytes);
  return 0;
}

// -- Changing ------------------------------------------------------------------------------------------------

export function chmodTree(call: Call, target: TreeTarget, mode: number): Outcome {
  existing(target);
  if (isLink(target.stat)) throw new Errno('ENOTSUP');
  return change(call, target, (fd) =>
    check(native().syscall(SYS.fchmodat, AT_FDCWD, byDescriptor(fd), mode & 0o7777)),
  );
}

export const chownTree = (call: Call, target: TreeTarget, uid: number, gid: number): Outcome =>
  change(call, target, (fd) => check(native().syscall(SYS.fchownat, fd, '', uid, gid, AT_EMPTY_PATH)));

export function truncateTree(call: Call, target: TreeTarget, length: number): Outcome {
  if (length < 0) throw new Errno('EINVAL');
  existing(target);
  if (isDirectory(target.stat)) throw new Errno('EISDIR');
  if (!isRegular(target.stat)) throw new Errno('EINVAL');
  return change(
    call,
    target,
    (fd) => check(native().syscall(SYS.truncate, byDescriptor(fd), length)),
    length === 0,
  );
}

/** Two struct timespec from what a call of the utime family was given; null for the present. */
function timespecs(call: Call, address: number, format: TimeFormat): Buffer | null {
  if (address === 0) return null;
  const bytes = call.read(address, format.length);
  if (format.unit === 1e9) return bytes;
  const out = Buffer.alloc(32);
  for (const [i, offset] of [0, format.seconds].entries()) {
    out.writeBigInt64LE(bytes.readBigInt64LE(offset), 16 * i);
    if (format.fraction === undefined) continue;
    const micro = bytes.readBigInt64LE(offset + 8);
    if (micro < 0n || micro > 999_999n) throw new Errno('EINVAL');
    out.writeBigInt64LE(micro * 1000n, 16 * i + 8);
  }
  return out;
}

export function touchTree(call: Call, target: TreeTarget, address: number, format: TimeFormat): Outcome {
  const times = timespecs(call, address, format);
  existing(target);
  const fractions = times && [Number(times.readBigInt64LE(8)), Number(times.readBigInt64LE(24))];
  if (fractions?.every((each) => each === UTIME_OMIT)) return 0;
  if (
    fractions?.some((each) => (each < 0 || each > 999_999_999) && each !== UTIME_NOW && each !== UTIME_OMIT)
  )
    throw new Errno('EINVAL');
  return change(call, target, (fd) => check(native().syscall(SYS.utimensat, fd, '', times, AT_EMPTY_PATH)));
}

// -- Extended attributes -------------------------------------------------------------------------------------

/** The name of an attribute, with its NUL. */
function attributeName(call: Call, address: number): string {
  const name = call.readString(address, 65535);
  if (name === '' || name.length > XATTR_NAME_MAX) throw new Errno('ERANGE');
  return name;
}

/** Calls an xattr call on the object itself: the kernel answers into `buffer`, and the guest gets what it wrote. */
function answer(
  call: Call,
  target: TreeTarget,
  nr: 'getxattr' | 'listxattr',
  name: string | undefined,
  out: number,
  size: number,
): Outcome {
  const place = existing(target);
  const buffer = Buffer.alloc(Math.min(Math.max(size, 0), XATTR_SIZE_MAX));
  const words = name === undefined ? [buffer, buffer.length] : [name, buffer, buffer.length];
  const ask = (number: number, path: string): number => check(native().syscall(number, path, ...words));
  const result =
    target.magic === undefined
      ? asCaller(call, () => withPath(place, (path) => ask(SYS[`l${nr}`], path)))
      : look(call, target, (fd) => ask(SYS[nr], byDescriptor(fd)));
  if (buffer.length > 0) call.write(out, buffer.subarray(0, result));
  return result;
}

export const getAttribute = (
  call: Call,
  target: TreeTarget,
  name: number,
  out: number,
  size: number,
): Outcome => answer(call, target, 'getxattr', attributeName(call, name), out, size);

export const listAttributes = (call: Call, target: TreeTarget, out: number, size: number): Outcome =>
  answer(call, target, 'listxattr', undefined, out, size);

export function setAttribute(
  call: Call,
  target: TreeTarget,
  nameAt: number,
  valueAt: number,
  size: number,
  flags: number,
): Outcome {
  const name = attributeName(call, nameAt);
  if (size > XATTR_SIZE_MAX || size < 0) throw new Errno('E2BIG');
  const value = call.read(valueAt, size);
  return changeByPath(call, target, (path, follow) =>
    check(native().syscall(follow ? SYS.setxattr : SYS.lsetxattr, path, name, value, size, flags)),
  );
}

export function removeAttribute(call: Call, target: TreeTarget, nameAt: number): Outcome {
  const name = attributeName(call, nameAt);
  return changeByPath(call, target, (path, follow) =>
    check(native().syscall(follow ? SYS.removexattr : SYS.lremovexattr, path, name)),
  );
}

/** Lets `act` change the object by a path; `follow`: it is a link that leads to the object. */
function changeByPath(
  call: Call,
  target: TreeTarget,
  act: (path: string, follow: boolean) => number,
): number {
  existing(target);
  if (target.magic !== undefined) return changeMagic(call, target.magic, (fd) => act(byDescriptor(fd), true));
  const { tree, path } = target.claim;
  return asCaller(call, () => tree.change(path, (place) => withPath(place, (name) => act(name, false))));
}
