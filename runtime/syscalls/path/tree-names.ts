/** Making, removing and moving names in mounted trees. */
import { check, Errno } from '../../errno.ts';
import { asCaller, withUmask } from '../../files/identity.ts';
import { directoryOf, inDirectory, isDirectory, STAT_SIZE } from '../../files/place.ts';
import { native } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import type { Outcome } from '../outcome.ts';
import { SYS } from '../table.ts';
import { changeMagic } from './guard.ts';
import { AT_FDCWD, type TreeTarget } from './resolve.ts';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const PERMISSIONS = 0o7777;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const AT_SYMLINK_FOLLOW = 0x400;

/** "." or ".." at the end of the path in argument `index`; such names can be neither made nor removed. */
export function lastDots(call: Call, target: TreeTarget, index: number): '.' | '..' | undefined {
  // Only then is the path one of a directory.
  if (!target.slash) return undefined;
  const [, dots] = /(?:^|\/)(\.{1,2})\/*$/.exec(call.readString(call.arg(index))) ?? [];
  if (dots === undefined) return undefined;
  if (!target.place) throw new Errno('ENOENT');
  if (!isDirectory(target.stat)) throw new Errno('ENOTDIR');
  return dots as '.' | '..';
}

/** The directory that something is to be in has to be there, and to be one. */
export function requireParent({ claim }: TreeTarget): void {
  const stat = Buffer.alloc(STAT_SIZE);
  const found = claim.tree.find(directoryOf(claim.path), stat);
  if (typeof found === 'number') throw new Errno(found);
  if (!isDirectory(stat)) throw new Errno('ENOTDIR');
}

/**
 * Lets `make` make something at the target, whose path is argument `index`, and where nothing may be. A name with a slash behind is a directory's.
 */
function makeNew(
  call: Call,
  target: TreeTarget,
  directory: boolean,
  index: number,
  make: (dirfd: number, name: string) => number,
): Outcome {
  if (lastDots(call, target, index) || target.place) throw new Errno('EEXIST');
  if (target.slash && !directory) throw new Errno('ENOENT');
  const { tree, path } = target.claim;
  asCaller(call, () =>
    tree.create(path, (place) =>
      withUmask(call, () => inDirectory(place, (fd, name) => check(make(fd, name)))),
    ),
  );
  return 0;
}

export const mkdirTree = (call: Call, target: TreeTarget, mode: number, index: number): Outcome =>
  makeNew(call, target, true, index, (fd, name) =>
    native().syscall(SYS.mkdirat, fd, name, mode & PERMISSIONS),
  );

export function mknodTree(
  call: Call,
  target: TreeTarget,
  mode: number,
  device: number,
  index: number,
): Outcome {
  if ((mode & S_IFMT) === S_IFDIR) throw new Errno('EPERM');
  const type = mode & S_IFMT || S_IFREG;
  return makeNew(call, target, false, index, (fd, name) =>
    native().syscall(SYS.mknodat, fd, name, type | (mode & PERMISSIONS), device),
  );
}

export function symlinkTree(call: Call, target: TreeTarget, text: string, index: number): Outcome {
  if (text === '') throw new Errno('ENOENT');
  return makeNew(call, target, false, index, (fd, name) => native().syscall(SYS.symlinkat, text, fd, name));
}

/** True for what a mount of the view stands on. */
const isMountPoint = (call: Call, target: TreeTarget): boolean =>
  call.process.view.mounts.at(target.path) !== undefined;

/** rmdir(2) or unlink(2) of the path in argument `index`. */
export function removeTree(call: Call, target: TreeTarget, directory: boolean, index: number): Outcome {
  const { place, stat, slash, claim } = target;
  const dots = lastDots(call, target, index);
  if (dots && !directory) throw new Errno('EISDIR');
  if (dots) throw new Errno(dots === '.' ? 'EINVAL' : 'ENOTEMPTY');
  if (!place) throw new Errno('ENOENT');
  if (directory && !isDirectory(stat)) throw new Errno('ENOTDIR');
  if (!directory && isDirectory(stat)) throw new Errno('EISDIR');
  if (!directory && slash) throw new Errno('ENOTDIR');
  if (isMountPoint(call, target)) throw new Errno('EBUSY');
  asCaller(call, () => claim.tree.remove(claim.path, directory));
  return 0;
}

/** The trees of both ends, which have to be one. */
function sameTree(from: TreeTarget, to: TreeTarget): TreeTarget['claim']['tree'] {
  if (from.claim.tree !== to.claim.tree || from.claim.mount !== to.claim.mount) throw new Errno('EXDEV');
  return from.claim.tree;
}

/** renameat2(2); `dots`: the new path ends in them. */
export function renameTree(
  call: Call,
  from: TreeTarget,
  to: TreeTarget,
  flags: number,
  dots: boolean,
): Outcome {
  if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) || flags === (RENAME_NOREPLACE | RENAME_EXCHANGE))
    throw new Errno('EINVAL');
  const tree = sameTree(from, to);
  if (dots) throw new Errno(flags & RENAME_NOREPLACE ? 'EEXIST' : 'EBUSY');
  if (!from.place) throw new Errno('ENOENT');
  if (flags & RENAME_NOREPLACE && to.place) throw new Errno('EEXIST');
  if (flags & RENAME_EXCHANGE && !to.place) throw new Errno('ENOENT');
  if (!isDirectory(from.stat) && (from.slash || (to.slash && !(flags & RENAME_EXCHANGE))))
    throw new Errno('ENOTDIR');
  if (flags & RENAME_EXCHANGE && to.slash && !isDirectory(to.stat)) throw new Errno('ENOTDIR');
  if (isMountPoint(call, from) || isMountPoint(call, to)) throw new Errno('EBUSY');
  asCaller(call, () => tree.rename(from.claim.path, to.claim.path, flags));
  return 0;
}

export function linkTree(call: Call, from: TreeTarget, to: TreeTarget): Outcome {
  if (from.magic !== undefined) return linkMagic(call, from.magic, to);
  if (!from.place) throw new Errno('ENOENT');
  if (from.slash && !isDirectory(from.stat)) throw new Errno('ENOTDIR');
  if (to.place) throw new Errno('EEXIST');
  if (to.slash) throw new Errno('ENOENT');
  requireParent(to);
  const tree = sameTree(from, to);
  if (isDirectory(from.stat)) throw new Errno('EPERM');
  asCaller(call, () => tree.link(from.claim.path, to.claim.path));
  return 0;
}

/** Gives a file that a descriptor of the caller refers to (O_TMPFILE) a name in a tree. */
export function linkMagic(call: Call, path: string, to: TreeTarget): Outcome {
  if (to.place) throw new Errno('EEXIST');
  changeMagic(call, path, (object) =>
    to.claim.tree.create(to.claim.path, (place) =>
      inDirectory(place, (fd, name) =>
        check(native().syscall(SYS.linkat, AT_FDCWD, `/proc/self/fd/${object}`, fd, name, AT_SYMLINK_FOLLOW)),
      ),
    ),
  );
  return 0;
}
