/** Making, removing and moving names in mounted trees. */
import { check, Errno } from '../../errno.ts';
import { asCaller, withUmask } from '../../files/identity.ts';
import { inDirectory, isDirectory } from '../../files/place.ts';
import { native } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import type { Outcome } from '../outcome.ts';
import { SYS } from '../table.ts';
import { AT_FDCWD, type TreeTarget } from './resolve.ts';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const PERMISSIONS = 0o7777;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const AT_SYMLINK_FOLLOW = 0x400;

/** Lets `make` make something at the target, where nothing may be. A name with a slash behind is a directory's. */
function makeNew(
  call: Call,
  target: TreeTarget,
  directory: boolean,
  make: (dirfd: number, name: string) => number,
): Outcome {
  if (target.place) throw new Errno('EEXIST');
  if (target.slash && !directory) throw new Errno('ENOENT');
  const { tree, path } = target.claim;
  asCaller(call, () =>
    tree.create(path, (place) => withUmask(call, () => inDirectory(place, (fd, name) => check(make(fd, name))))),
  );
  return 0;
}

export const mkdirTree = (call: Call, target: TreeTarget, mode: number): Outcome =>
  makeNew(call, target, true, (fd, name) => native().syscall(SYS.mkdirat, fd, name, mode & PERMISSIONS));

export function mknodTree(call: Call, target: TreeTarget, mode: number, device: number): Outcome {
  if ((mode & S_IFMT) === S_IFDIR) throw new Errno('EPERM');
  const type = mode & S_IFMT || S_IFREG;
  return makeNew(call, target, false, (fd, name) =>
    native().syscall(SYS.mknodat, fd, name, type | (mode & PERMISSIONS), device),
  );
}

export function symlinkTree(call: Call, target: TreeTarget, text: string): Outcome {
  if (text === '') throw new Errno('ENOENT');
  return makeNew(call, target, false, (fd, name) => native().syscall(SYS.symlinkat, text, fd, name));
}

/** True for what a mount of the view stands on. */
const isMountPoint = (call: Call, target: TreeTarget): boolean =>
  call.process.view.mounts.at(target.path) !== undefined;

export function removeTree(call: Call, target: TreeTarget, directory: boolean): Outcome {
  const { place, stat, slash, claim } = target;
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

export function renameTree(call: Call, from: TreeTarget, to: TreeTarget, flags: number): Outcome {
  if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) || flags === (RENAME_NOREPLACE | RENAME_EXCHANGE))
    throw new Errno('EINVAL');
  const tree = sameTree(from, to);
  if (!from.place) throw new Errno('ENOENT');
  if (flags & RENAME_NOREPLACE && to.place) throw new Errno('EEXIST');
  if (flags & RENAME_EXCHANGE && !to.place) throw new Errno('ENOENT');
  if (!isDirectory(from.stat) && (from.slash || (to.slash && !(flags & RENAME_EXCHANGE)))) throw new Errno('ENOTDIR');
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
  const tree = sameTree(from, to);
  if (isDirectory(from.stat)) throw new Errno('EPERM');
  asCaller(call, () => tree.link(from.claim.path, to.claim.path));
  return 0;
}

/** Gives a file that a descriptor of the caller refers to (O_TMPFILE) a name in a tree. */
export function linkMagic(call: Call, path: string, to: TreeTarget): Outcome {
  if (to.place) throw new Errno('EEXIST');
  asCaller(call, () =>
    to.claim.tree.create(to.claim.path, (place) =>
      inDirectory(place, (fd, name) =>
        check(native().syscall(SYS.linkat, AT_FDCWD, path, fd, name, AT_SYMLINK_FOLLOW)),
      ),
    ),
  );
  return 0;
}
