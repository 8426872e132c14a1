/** Where each call that names a file has its path and flags, what it does, and what kind of call it is. */
import { Errno } from '../../errno.ts';
import type { Call } from '../../vm/call.ts';
import { AT, AT_REMOVEDIR, IN } from '../constants.ts';
import type { SyscallName } from '../table.ts';
import * as act from './acts.ts';
import { openHow } from './how.ts';
import { O } from './redirect.ts';
import type { LinkUse } from './resolve.ts';

const { AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_EACCESS } = AT;

/** How a call names its file. */
export interface Row {
  /** Index of the argument with the address of the path. */
  path: number;
  /** Index of the directory's descriptor; without it, paths start from the working directory. */
  dirfd?: number;
  /** Whether a symbolic link at the end is meant itself. */
  noFollow?: LinkUse | ((call: Call) => LinkUse);
  /** What is done; `next` is the index of the argument after the path. */
  act: act.Act;
}

/** flags in argument `index`, AT_SYMLINK_NOFOLLOW among them */
const atFlags = (index: number) => (call: Call) => (call.int(index) & AT_SYMLINK_NOFOLLOW) !== 0;
/** open(2): a link is not followed with O_NOFOLLOW, nor where only a new file will do. */
export const openUse = (flags: number): LinkUse => {
  if (flags & O.CREAT && !(flags & O.PATH)) return flags & (O.EXCL | O.NOFOLLOW) ? 'name' : 'create';
  return (flags & O.NOFOLLOW) !== 0;
};
const openFlags = (index: number) => (call: Call) => openUse(call.int(index));
const howFlags = (call: Call) => openUse(openHow(call).flags);

const plain = (what: act.Act): Row => ({ path: 0, act: what });
const plainLink = (what: act.Act): Row => ({ path: 0, noFollow: true, act: what });
const plainName = (what: act.Act): Row => ({ path: 0, noFollow: 'name', act: what });
const at = (what: act.Act, noFollow: NonNullable<Row['noFollow']> = false): Row => ({
  dirfd: 0,
  path: 1,
  noFollow,
  act: what,
});

export const ROWS = {
  open: { path: 0, noFollow: openFlags(1), act: act.open },
  openat: at(act.open, openFlags(2)),
  openat2: at(act.openat2, howFlags),
  creat: { path: 0, noFollow: 'create', act: act.creat },
  stat: plain(act.stat),
  lstat: plainLink(act.stat),
  newfstatat: at(act.stat, atFlags(3)),
  statx: at(act.statx, atFlags(2)),
  access: plain(act.access),
  faccessat: at(act.access),
  faccessat2: at(act.access, atFlags(3)),
  readlink: plainLink(act.readlink),
  readlinkat: at(act.readlink, true),
  chmod: plain(act.chmod),
  fchmodat: at(act.chmod),
  fchmodat2: at(act.chmod, atFlags(3)),
  chown: plain(act.chown),
  lchown: plainLink(act.chown),
  fchownat: at(act.chown, atFlags(4)),
  utime: plain(act.touch(act.UTIMBUF)),
  utimes: plain(act.touch(act.TIMEVALS)),
  futimesat: at(act.touch(act.TIMEVALS)),
  utimensat: at(act.touch(act.TIMESPECS), atFlags(3)),
  truncate: plain(act.truncate),
  statfs: plain(act.statfs),
  symlink: { path: 1, noFollow: 'name', act: act.make },
  symlinkat: { dirfd: 1, path: 2, noFollow: 'name', act: act.make },
  mkdir: plainName(act.make),
  mkdirat: at(act.make, 'name'),
  mknod: plainName(act.make),
  mknodat: at(act.make, 'name'),
  unlink: plainName(act.unlink),
  unlinkat: at(act.unlinkat, 'name'),
  rmdir: plainName(act.rmdir),
  chdir: plain(act.chdir),
  getxattr: plain(act.noAttributes),
  lgetxattr: plainLink(act.noAttributes),
  getxattrat: at(act.noAttributes, atFlags(2)),
  listxattr: plain(act.listAttributes),
  llistxattr: plainLink(act.listAttributes),
  listxattrat: at(act.listAttributes, atFlags(2)),
  setxattr: plain(act.noAttributes),
  lsetxattr: plainLink(act.noAttributes),
  setxattrat: at(act.noAttributes, atFlags(2)),
  removexattr: plain(act.noAttributes),
  lremovexattr: plainLink(act.noAttributes),
  removexattrat: at(act.noAttributes, atFlags(2)),
  file_getattr: at(act.noAttributes, atFlags(4)),
  file_setattr: at(act.noAttributes, atFlags(4)),
  name_to_handle_at: at(act.noAttributes, (call) => (call.int(4) & AT_SYMLINK_FOLLOW) === 0),
  inotify_add_watch: { path: 1, noFollow: (call) => (call.int(2) & IN.IN_DONT_FOLLOW) !== 0, act: act.watch },
} as const satisfies Partial<Record<SyscallName, Row>>;

const LINK_OR_SELF = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
/** The others mean nothing here. */
const STAT_FLAGS = LINK_OR_SELF | AT.AT_NO_AUTOMOUNT | AT.AT_STATX_FORCE_SYNC | AT.AT_STATX_DONT_SYNC;
/** Where calls have their flags, and which ones there are: EINVAL for others. */
const FLAGS: Partial<Record<SyscallName, readonly [index: number, known: number]>> = {
  newfstatat: [3, STAT_FLAGS],
  statx: [2, STAT_FLAGS],
  faccessat2: [3, LINK_OR_SELF | AT_EACCESS],
  fchmodat2: [3, LINK_OR_SELF],
  fchownat: [4, LINK_OR_SELF],
  utimensat: [3, LINK_OR_SELF],
  unlinkat: [2, AT_REMOVEDIR],
  linkat: [4, AT_SYMLINK_FOLLOW | AT_EMPTY_PATH],
  getxattrat: [2, LINK_OR_SELF],
  setxattrat: [2, LINK_OR_SELF],
  listxattrat: [2, LINK_OR_SELF],
  removexattrat: [2, LINK_OR_SELF],
};

/** EINVAL for flags that a call does not have. */
export function requireFlags(name: SyscallName, call: Call): void {
  const [index, known] = FLAGS[name] ?? [];
  if (index !== undefined && call.int(index) & ~known!) throw new Errno('EINVAL');
}

/** Calls that open; a device or a FIFO is then best left to the kernel, which knows the caller. */
export const OPENS: ReadonlySet<SyscallName> = new Set(['open', 'openat', 'openat2', 'creat']);

/** Calls that never change what they name. */
const LOOKS =
  /^(?:l?stat|newfstatat|statx|f?access|faccessat2?|readlink(?:at)?|statfs|chdir|l?(?:get|list)xattr(?:at)?|file_getattr|name_to_handle_at|inotify_add_watch|fanotify_mark)$/;
const WRITES = O.CREAT | O.TRUNC | 3;

/** Calls that change a file that is there, and keep its content. */
const KEEPS =
  /^(?:l?chmod|fchmodat2?|l?chown|fchownat|utimes?|futimesat|utimensat|truncate|l?(?:set|remove)xattr(?:at)?)$/;

/** Calls whose target may have to be copied first (FileTree.prepare). */
export function needsContent(name: SyscallName, call: Call): boolean {
  if (!OPENS.has(name)) return KEEPS.test(name);
  if (name === 'creat') return false;
  const flags = name === 'openat2' ? openHow(call).flags : call.int(name === 'open' ? 1 : 2);
  return (flags & 3) !== 0 && !(flags & (O.TRUNC | O.PATH));
}

/** Whether a call may change what it names, or the directory of that. */
export function changes(name: SyscallName, call: Call): boolean {
  if (!OPENS.has(name)) return !LOOKS.test(name);
  // The flags of openat2(2) are in the guest's memory, like its path.
  if (name === 'creat' || name === 'openat2') return true;
  const flags = call.int(name === 'open' ? 1 : 2);
  return (flags & WRITES) !== 0 && !(flags & O.PATH);
}
