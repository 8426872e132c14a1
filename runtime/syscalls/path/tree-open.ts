/** Opening files of mounted trees: the supervisor opens, and the guest gets the descriptor. */
import { open as openFile } from 'node:fs';
import { check, Errno } from '../../errno.ts';
import { actingAs, asCaller, asSelf, withUmask } from '../../files/identity.ts';
import { closeFd, hostRoot } from '../../files/layer.ts';
import { directoryOf, isDirectory, isLink, isRegular, join, modeOf } from '../../files/place.ts';
import { native } from '../../native.ts';
import { R_OK, W_OK, X_OK } from '../../vm/access.ts';
import type { Call } from '../../vm/call.ts';
import type { Place } from '../../vm/mounts.ts';
import { inject, LENT, rewrite, type Answer, type Outcome } from '../outcome.ts';
import { SYS } from '../table.ts';
import { changeMagic, controllingTerminal } from './guard.ts';
import { O } from './redirect.ts';
import { AT_FDCWD, type TreeTarget } from './resolve.ts';
import { accessTree } from './tree-attributes.ts';
import { lastDots, requireParent } from './tree-names.ts';

const O_TMPFILE = 0o20200000;
const S_IFIFO = 0o010000;
const S_IFSOCK = 0o140000;
const S_IFCHR = 0o020000;
const S_IFMT = 0o170000;
/** Device number of /dev/tty. */
const DEV_TTY = 0x500n;
const F_SETFL = 4;
const F_DUPFD = 0;
const F_DUPFD_CLOEXEC = 1030;
const AT_EMPTY_PATH = 0x1000;
const AT_EACCESS = 0x200;
const PERMISSIONS = 0o7777;
/** Flags that matter to the guest's own descriptor, or that the supervisor must not act on. */
const NOT_MINE = O.CLOEXEC | O.CREAT | O.EXCL | O.NOFOLLOW;

const writes = (flags: number): boolean => (flags & O.ACCMODE) !== 0 || (flags & O.TRUNC) !== 0;

/** open(2) and its kin: `flags` and `mode` as the guest gave them. */
export function openTree(call: Call, target: TreeTarget, flags: number, mode: number): Answer {
  const fd = asCaller(call, () => openFor(call, target, flags, mode));
  if (typeof fd !== 'number') return fd;
  const cloexec = (flags & O.CLOEXEC) !== 0;
  if (!(flags & O.PATH) || !isPathDescriptor(fd)) return inject(fd, cloexec);
  // The kernel does not let a descriptor of this kind be put into others: the caller copies one that it is lent.
  return rewrite(SYS.fcntl, [LENT, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0], { lend: fd });
}

const F_GETFL = 3;
const isPathDescriptor = (fd: number): boolean => (native().syscall(SYS.fcntl, fd, F_GETFL) & O.PATH) !== 0;

function openFor(call: Call, target: TreeTarget, flags: number, mode: number): number | Promise<Outcome> {
  const { place, stat, slash } = target;
  if (target.magic !== undefined) return openMagic(call, target.magic, flags);
  if ((flags & O_TMPFILE) === O_TMPFILE && !(flags & O.PATH)) return openNameless(call, target, flags, mode);
  if (slash && flags & O.CREAT && !(flags & O.PATH)) refuseSlash(call, target, flags);
  if (!place) return makeFile(call, target, flags, mode);
  if (slash && !isDirectory(stat)) throw new Errno('ENOTDIR');
  if (flags & O.PATH) return openPath(place, stat, flags);
  if (flags & O.CREAT && flags & O.EXCL) throw new Errno('EEXIST');
  if (isLink(stat)) throw new Errno(flags & O.DIRECTORY ? 'ENOTDIR' : 'ELOOP');
  if (isDirectory(stat) && (writes(flags) || flags & O.CREAT)) throw new Errno('EISDIR');
  if (flags & O.DIRECTORY && !isDirectory(stat)) throw new Errno('ENOTDIR');
  if (!isDirectory(stat) && !isRegular(stat)) return openSpecial(call, place, stat, flags);
  if (!writes(flags)) return check(openAt(place, flags));
  return target.claim.tree.change(
    target.claim.path,
    (at) => check(openAt(at, flags)),
    (flags & O.TRUNC) !== 0,
  );
}

/** A descriptor of the regular file or directory at `place`. */
export function openAt({ layer, path }: Place, flags: number): number {
  const mine = (flags & ~NOT_MINE) | O.CLOEXEC | O.NOCTTY;
  if (path !== '') return native().openBeneath(layer.fd, path, mine >>> 0, 0);
  // The root is an O_PATH descriptor: it is opened anew through procfs.
  return native().syscall(SYS.openat, AT_FDCWD, `/proc/self/fd/${layer.fd}`, mine);
}

function openPath(place: Place, stat: Buffer, flags: number): number {
  const { layer, path } = place;
  if (flags & O.DIRECTORY && !isDirectory(stat)) throw new Errno('ENOTDIR');
  if (path === '') return check(native().syscall(SYS.fcntl, layer.fd, F_DUPFD_CLOEXEC, 3));
  return check(
    native().openBeneath(layer.fd, path, O.PATH | O.CLOEXEC | O.NOFOLLOW | (flags & O.DIRECTORY), 0),
  );
}

/** A name with a slash behind it is a directory's: no file can be made there. */
function refuseSlash(call: Call, target: TreeTarget, flags: number): never {
  if (!target.place) requireParent(target);
  // The path is argument 0 of open and creat, else argument 1.
  const dots = lastDots(call, target, call.spec.args[0] === 'path' ? 0 : 1);
  throw new Errno(dots && flags & O.EXCL ? 'EEXIST' : 'EISDIR');
}

function makeFile(call: Call, target: TreeTarget, flags: number, mode: number): number {
  if (!(flags & O.CREAT)) throw new Errno('ENOENT');
  if (flags & O.DIRECTORY) throw new Errno('EINVAL');
  const mine = ((flags & ~(O.CLOEXEC | O.NOFOLLOW)) | O.CLOEXEC | O.NOCTTY) >>> 0;
  const { tree, path } = target.claim;
  return tree.create(path, ({ layer, path: at }) =>
    withUmask(call, () => check(native().openBeneath(layer.fd, at, mine, mode & PERMISSIONS))),
  );
}

/** O_TMPFILE: a file without a name, in the directory where new files of `target` go. */
function openNameless(call: Call, target: TreeTarget, flags: number, mode: number): number {
  if (!target.place) throw new Errno('ENOENT');
  if (!isDirectory(target.stat)) throw new Errno('ENOTDIR');
  const mine = ((flags & ~O.CLOEXEC) | O.CLOEXEC) >>> 0;
  // As a file with a name, of which only the directory matters.
  return target.claim.tree.create(join(target.claim.path, 'nameless'), ({ layer, path }) =>
    withUmask(call, () =>
      check(native().openBeneath(layer.fd, directoryOf(path) || '.', mine, mode & PERMISSIONS)),
    ),
  );
}

function openSpecial(call: Call, place: Place, stat: Buffer, flags: number): number | Promise<Outcome> {
  const type = modeOf(stat) & S_IFMT;
  if (type === S_IFSOCK) throw new Errno('ENXIO');
  // Whoever has a terminal may open it anew, whoever owns it.
  if (stat.readBigUInt64LE(40) === DEV_TTY && type === S_IFCHR)
    return asSelf(() =>
      openNow(flags, (mine) => openAt({ layer: hostRoot(), path: controllingTerminal(call).slice(1) }, mine)),
    );
  const waits = type === S_IFIFO && !(flags & O.NONBLOCK) && (flags & O.ACCMODE) !== 2;
  if (waits) return openFifo(call, place, flags);
  return openNow(flags, (mine) => openAt(place, mine));
}

/** Opens without waiting for anybody. */
function openNow(flags: number, open: (flags: number) => number): number {
  const fd = check(open(flags | O.NONBLOCK));
  if (!(flags & O.NONBLOCK)) native().syscall(SYS.fcntl, fd, F_SETFL, flags & ~O.CLOEXEC);
  return fd;
}

/** Opens a FIFO, which waits for somebody at the other end, in another thread. */
function openFifo(call: Call, place: Place, flags: number): Promise<Outcome> {
  const wanted = (flags & O.ACCMODE) === 0 ? R_OK : W_OK;
  const object = openPath(place, Buffer.alloc(0), 0);
  check(native().syscall(SYS.faccessat2, object, '', wanted, AT_EMPTY_PATH | AT_EACCESS));
  const path = `/proc/self/fd/${object}`;
  // It cannot be interrupted, but it ends when we are at the other end ourselves.
  const release = (): void => {
    const partner = native().syscall(SYS.openat, AT_FDCWD, path, 2 | O.NONBLOCK | O.CLOEXEC);
    if (partner >= 0) setTimeout(closeFd, 100, partner);
  };
  const { signal } = call;
  signal.addEventListener('abort', release, { once: true });
  return new Promise((resolve, reject) => {
    openFile(path, flags & ~NOT_MINE, (error, fd) => {
      signal.removeEventListener('abort', release);
      closeFd(object);
      if (error) return reject(new Errno(error.errno ?? -5));
      if (!signal.aborted) return resolve(inject(fd, (flags & O.CLOEXEC) !== 0));
      closeFd(fd);
      reject(signal.reason as Error);
    });
  });
}

/** What a magic link of procfs leads to is opened as the kernel does it for the guest. */
function openMagic(call: Call, path: string, flags: number): number {
  const mine = (flags & ~(O.CREAT | O.EXCL)) | O.CLOEXEC | O.NOCTTY | O.NONBLOCK;
  const open = (link: string): number => check(native().syscall(SYS.openat, AT_FDCWD, link, mine));
  const fd = writes(flags)
    ? changeMagic(call, path, (object) => open(`/proc/self/fd/${object}`))
    : open(path);
  if (!(flags & (O.NONBLOCK | O.PATH))) native().syscall(SYS.fcntl, fd, F_SETFL, flags & ~O.CLOEXEC);
  return fd;
}

/** chdir(2): the caller enters the real directory that stands for the one of the view. */
export function chdirTree(call: Call, target: TreeTarget): Outcome {
  if (!target.place) throw new Errno('ENOENT');
  if (!isDirectory(target.stat)) throw new Errno('ENOTDIR');
  const { magic, place } = target;
  if (magic === undefined) accessTree(call, target, X_OK, AT_EACCESS);
  const lend = asCaller(call, () => {
    // A process of another user cannot take a descriptor of root's: it is given one, which cannot be O_PATH.
    const other = actingAs() !== undefined;
    const flags = O.DIRECTORY | O.CLOEXEC | (other ? 0 : O.PATH);
    if (magic !== undefined) return check(native().syscall(SYS.openat, AT_FDCWD, magic, flags));
    return other ? asSelf(() => check(openAt(place, flags))) : openPath(place, target.stat, O.DIRECTORY);
  });
  try {
    return rewrite(SYS.fchdir, [LENT], { lend });
  } catch (error) {
    closeFd(lend);
    throw error;
  }
}
