/** What each call does on a path that leads into a mounted tree. */
import { check, Errno } from '../../errno.ts';
import { asCaller } from '../../files/identity.ts';
import { closeFd } from '../../files/layer.ts';
import { isDirectory, withObject } from '../../files/place.ts';
import { watchedIn } from '../../files/subtree.ts';
import { native } from '../../native.ts';
import { R_OK } from '../../vm/access.ts';
import type { Call } from '../../vm/call.ts';
import { AT, AT_REMOVEDIR, IN } from '../constants.ts';
import { TIMESPECS, TIMEVALS, UTIMBUF } from './acts.ts';
import { openHow } from './how.ts';
import type { Answer, Outcome } from '../outcome.ts';
import { SYS, type SyscallName } from '../table.ts';
import type { TimeFormat } from './node.ts';
import { O } from './redirect.ts';
import type { TreeTarget } from './resolve.ts';
import * as look from './tree-attributes.ts';
import * as names from './tree-names.ts';
import { chdirTree, openTree } from './tree-open.ts';

/** Does a call on a target in a tree; `next` is the index of the argument after the path. */
export type TreeAct = (call: Call, target: TreeTarget, next: number) => Answer;

const { AT_EACCESS, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW } = AT;

const open: TreeAct = (call, target, next) => openTree(call, target, call.int(next), call.int(next + 1));
const creat: TreeAct = (call, target, next) => openTree(call, target, O.CREAT | O.TRUNC | 1, call.int(next));
const openat2: TreeAct = (call, target) => {
  const { flags, mode } = openHow(call);
  return openTree(call, target, flags, mode);
};
const stat: TreeAct = (call, target, next) => look.statTree(call, target, call.arg(next));
const access: TreeAct = (call, target, next) => look.accessTree(call, target, call.int(next), 0);
const chmod: TreeAct = (call, target, next) => look.chmodTree(call, target, call.int(next));
const chown: TreeAct = (call, target, next) =>
  look.chownTree(call, target, call.int(next), call.int(next + 1));
const touch =
  (format: TimeFormat): TreeAct =>
  (call, target, next) =>
    look.touchTree(call, target, call.arg(next), format);
const readlink: TreeAct = (call, target, next) =>
  look.readlinkTree(call, target, call.arg(next), call.int(next + 1));
const mkdir: TreeAct = (call, target, next) => names.mkdirTree(call, target, call.int(next), next - 1);
const mknod: TreeAct = (call, target, next) =>
  names.mknodTree(call, target, call.int(next), call.arg(next + 1), next - 1);
const symlink: TreeAct = (call, target, next) =>
  names.symlinkTree(call, target, call.readString(call.arg(0)), next - 1);
const getxattr: TreeAct = (call, target, next) =>
  look.getAttribute(call, target, call.arg(next), call.arg(next + 1), call.arg(next + 2));
const listxattr: TreeAct = (call, target, next) =>
  look.listAttributes(call, target, call.arg(next), call.arg(next + 1));
const setxattr: TreeAct = (call, target, next) =>
  look.setAttribute(call, target, call.arg(next), call.arg(next + 1), call.arg(next + 2), call.int(next + 3));
const removexattr: TreeAct = (call, target, next) => look.removeAttribute(call, target, call.arg(next));

/** struct xattr_args of setxattrat(2): address of the value, its size, flags. */
function attributeArgs(call: Call, index: number): [address: number, size: number, flags: number] {
  const bytes = call.read(call.arg(index), 16);
  return [Number(bytes.readBigInt64LE(0)), bytes.readInt32LE(8), bytes.readInt32LE(12)];
}
const getxattrat: TreeAct = (call, target, next) => {
  const [address, size] = attributeArgs(call, next + 2);
  return look.getAttribute(call, target, call.arg(next + 1), address, size);
};
const setxattrat: TreeAct = (call, target, next) => {
  const [address, size, flags] = attributeArgs(call, next + 2);
  return look.setAttribute(call, target, call.arg(next + 1), address, size, flags);
};

/** Events of inotify(7) that tell of changes. */
const CHANGES = IN.IN_ALL_EVENTS & ~(IN.IN_ACCESS | IN.IN_OPEN | IN.IN_CLOSE_NOWRITE);

/**
 * inotify_add_watch(2): the watch is put into the guest's own instance, on the object that has the events of changes made
 * through the tree.
 */
function watch(call: Call, target: TreeTarget, next: number): Outcome {
  look.existing(target);
  const instance = check(native().syscall(SYS.pidfd_getfd, call.process.pidfd, call.int(0), 0));
  const mask = call.int(next) & ~IN.IN_DONT_FOLLOW;
  const add = (fd: number): number =>
    check(native().syscall(SYS.inotify_add_watch, instance, `/proc/self/fd/${fd}`, mask >>> 0));
  try {
    if (target.magic !== undefined || !(mask & CHANGES)) return look.look(call, target, add);
    if (mask & IN.IN_ONLYDIR && !isDirectory(target.stat)) throw new Errno('ENOTDIR');
    look.accessTree(call, target, R_OK, AT_EACCESS);
    const { tree, path } = target.claim;
    return asCaller(call, () => withObject(watchedIn(tree, path), add));
  } finally {
    closeFd(instance);
  }
}

const HANDLE_HEADER = 8;
const MAX_HANDLE_SIZE = 128;
/** name_to_handle_at(2): the handle of the real object. */
function handle(call: Call, target: TreeTarget, next: number): Outcome {
  const [address, mountId, flags] = [call.arg(next), call.arg(next + 1), call.int(next + 2)];
  const room = call.read(address, HANDLE_HEADER).readUInt32LE(0);
  if (room > MAX_HANDLE_SIZE) throw new Errno('EINVAL');
  const bytes = Buffer.alloc(HANDLE_HEADER + MAX_HANDLE_SIZE);
  bytes.writeUInt32LE(room, 0);
  const id = Buffer.alloc(8);
  const mine = (flags & ~AT_SYMLINK_FOLLOW) | AT_EMPTY_PATH;
  const result = look.look(call, target, (fd) =>
    native().syscall(SYS.name_to_handle_at, fd, '', bytes, id, mine),
  );
  const length = bytes.readUInt32LE(0);
  call.write(address, bytes.subarray(0, result < 0 ? 4 : HANDLE_HEADER + length));
  check(result);
  call.write(mountId, id.subarray(0, 4));
  return 0;
}

const unsupported: TreeAct = () => {
  throw new Errno('ENOTSUP');
};

/** By name of the call. */
export const TREE_ACTS: Partial<Record<SyscallName, TreeAct>> = {
  open,
  openat: open,
  openat2,
  creat,
  stat,
  lstat: stat,
  newfstatat: stat,
  /* the stat buffer follows the path */
  statx: (call, target, next) =>
    look.statxTree(call, target, call.int(next), call.int(next + 1), call.arg(next + 2)),
  access,
  faccessat: access,
  faccessat2: (call, target, next) =>
    look.accessTree(call, target, call.int(next), call.int(next + 1) & AT_EACCESS),
  readlink,
  readlinkat: readlink,
  chmod,
  fchmodat: chmod,
  fchmodat2: chmod,
  chown,
  lchown: chown,
  fchownat: chown,
  utime: touch(UTIMBUF),
  utimes: touch(TIMEVALS),
  futimesat: touch(TIMEVALS),
  utimensat: touch(TIMESPECS),
  truncate: (call, target, next) => look.truncateTree(call, target, call.arg(next)),
  statfs: (call, target, next) => look.statfsTree(call, target, call.arg(next)),
  symlink,
  symlinkat: symlink,
  mkdir,
  mkdirat: mkdir,
  mknod,
  mknodat: mknod,
  unlink: (call, target) => names.removeTree(call, target, false, 0),
  rmdir: (call, target) => names.removeTree(call, target, true, 0),
  unlinkat: (call, target, next) => names.removeTree(call, target, (call.int(next) & AT_REMOVEDIR) !== 0, 1),
  chdir: chdirTree,
  getxattr,
  lgetxattr: getxattr,
  getxattrat,
  listxattr,
  llistxattr: listxattr,
  listxattrat: (call, target, next) =>
    look.listAttributes(call, target, call.arg(next + 1), call.arg(next + 2)),
  setxattr,
  lsetxattr: setxattr,
  setxattrat,
  removexattr,
  lremovexattr: removexattr,
  removexattrat: (call, target, next) => look.removeAttribute(call, target, call.arg(next + 1)),
  file_getattr: unsupported,
  file_setattr: unsupported,
  name_to_handle_at: handle,
  inotify_add_watch: watch,
  fanotify_mark: unsupported,
};
