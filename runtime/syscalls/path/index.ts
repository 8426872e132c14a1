/**
 * The calls that name files. A table says where each of them has its path and flags and what it does; one
 * function asks the view. A path on which the view has nothing to say is the kernel's.
 */
import { Errno } from '../../errno.ts';
import type { Call } from '../../vm/call.ts';
import type { Claim } from '../../vm/mounts.ts';
import type { Handler } from '../handler.ts';
import { PASS, type Answer } from '../outcome.ts';
import type { SyscallName } from '../table.ts';
import { isDirectory } from '../../files/place.ts';
import * as act from './acts.ts';
import { getcwd, getdents64 } from './directory.ts';
import { openHow } from './how.ts';
import { isGuarded } from './compiled.ts';
import { descriptorTarget, guardedTarget, guardHandlers } from './guard.ts';
import {
  AT_FDCWD,
  hostDirectory,
  kernelMounts,
  resolve,
  useOwnRoots,
  type LinkUse,
  type Target,
  type TreeTarget,
} from './resolve.ts';
import { openConfined } from './openat2.ts';
import { O } from './redirect.ts';
import { TREE_ACTS } from './tree-acts.ts';
import { lastDots, linkTree, renameTree, requireParent } from './tree-names.ts';

const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_SYMLINK_FOLLOW = 0x400;
const AT_EMPTY_PATH = 0x1000;
const IN_DONT_FOLLOW = 0x02000000;

/** How a call names its file. */
interface Row {
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
const openUse = (flags: number): LinkUse => {
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

const ROWS = {
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
  inotify_add_watch: { path: 1, noFollow: (call) => (call.int(2) & IN_DONT_FOLLOW) !== 0, act: act.watch },
} as const satisfies Partial<Record<SyscallName, Row>>;

const LINK_OR_SELF = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
/** AT_NO_AUTOMOUNT and AT_STATX_SYNC_TYPE mean nothing here. */
const STAT_FLAGS = LINK_OR_SELF | 0x800 | 0x6000;
const AT_EACCESS = 0x200;
const AT_REMOVEDIR = 0x200;
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

function requireFlags(name: SyscallName, call: Call): void {
  const [index, known] = FLAGS[name] ?? [];
  if (index !== undefined && call.int(index) & ~known!) throw new Errno('EINVAL');
}

/** Calls that open; a device or a FIFO is then best left to the kernel, which knows the caller. */
const OPENS: ReadonlySet<SyscallName> = new Set(['open', 'openat', 'openat2', 'creat']);

function handlerOf(name: SyscallName, row: Row): Handler {
  const { path, dirfd, noFollow = false, act: what } = row;
  const inTree = TREE_ACTS[name]!;
  const answer: Handler = (call) => {
    requireFlags(name, call);
    const confined = name === 'openat2' ? openConfined(call, openUse) : undefined;
    if (confined !== undefined) return confined;
    const link = typeof noFollow === 'function' ? noFollow(call) : noFollow;
    const from = dirfd === undefined ? AT_FDCWD : call.int(dirfd);
    let target = resolve(call, from, call.arg(path), link);
    const guarded = isGuarded(call.process.view) && changes(name, call);
    if (!target && guarded) target = guardedTarget(call, name, from, path, link);
    if (!target) return PASS;
    if (target.claim.kind === 'deny') throw new Errno(target.claim.errno);
    if (isTree(target) && target.forKernel && !guarded && OPENS.has(name)) return PASS;
    if (!isTree(target)) return what(call, target, path + 1);
    const ready = needsContent(name, call) ? target.claim.tree.prepare?.(target.claim.path) : undefined;
    if (!ready) return inTree(call, target, path + 1);
    // The path may lead elsewhere by then.
    const { signal } = call;
    return ready.then(() => {
      if (signal.aborted) throw signal.reason as Error;
      return answer(call);
    });
  };
  return answer;
}

/** Calls that never change what they name. */
const LOOKS =
  /^(?:l?stat|newfstatat|statx|f?access|faccessat2?|readlink(?:at)?|statfs|chdir|l?(?:get|list)xattr(?:at)?|file_getattr|name_to_handle_at|inotify_add_watch|fanotify_mark)$/;
const WRITES = O.CREAT | O.TRUNC | 3;

/** Calls that change a file that is there, and keep its content. */
const KEEPS =
  /^(?:l?chmod|fchmodat2?|l?chown|fchownat|utimes?|futimesat|utimensat|truncate|l?(?:set|remove)xattr(?:at)?)$/;

function needsContent(name: SyscallName, call: Call): boolean {
  if (!OPENS.has(name)) return KEEPS.test(name);
  if (name === 'creat') return false;
  const flags = name === 'openat2' ? openHow(call).flags : call.int(name === 'open' ? 1 : 2);
  return (flags & 3) !== 0 && !(flags & (O.TRUNC | O.PATH));
}

function changes(name: SyscallName, call: Call): boolean {
  if (!OPENS.has(name)) return !LOOKS.test(name);
  // The flags of openat2(2) are in the guest's memory, like its path.
  if (name === 'creat' || name === 'openat2') return true;
  const flags = call.int(name === 'open' ? 1 : 2);
  return (flags & WRITES) !== 0 && !(flags & O.PATH);
}

/** Where a call with two paths has them: [descriptor, path] each, -1 where there is no descriptor. */
type Pair = readonly [readonly [number, number], readonly [number, number]];
const PLAIN_PAIR: Pair = [
  [-1, 0],
  [-1, 1],
];
const AT_PAIR: Pair = [
  [0, 1],
  [2, 3],
];

const isTree = (target: Target): target is TreeTarget => target.claim.kind === 'tree';

/** What is done when both paths lead into trees. */
type TreePair = (call: Call, from: TreeTarget, to: TreeTarget, dots: boolean) => Answer;

/** What the first of two paths fails with before the second is looked at; else the dots at its end. */
function precheck(call: Call, from: TreeTarget, index: number, whole: boolean): string | undefined {
  if (whole && !from.place) throw new Errno('ENOENT');
  if (whole && from.slash && !isDirectory(from.stat)) throw new Errno('ENOTDIR');
  if (!from.place) requireParent(from);
  return lastDots(call, from, index);
}

function pairHandler(
  pair: Pair,
  what: act.PairAct,
  inTrees: TreePair,
  follow?: (call: Call) => boolean,
  empty?: (call: Call) => boolean,
): Handler {
  // link(2) looks its first path up completely before the second; rename(2) only up to the last names.
  const fromFirst = what === act.link;
  return (call): Answer => {
    const find = (i: 0 | 1, host: boolean): Target | undefined => {
      const [dirfd, path] = pair[i];
      if (host && i === 0 && empty?.(call) && call.readString(call.arg(path)) === '')
        return descriptorTarget(call, call.int(dirfd));
      const noFollow = i > 0 || !fromFirst ? 'name' : !(follow?.(call) ?? false);
      return resolve(call, dirfd < 0 ? AT_FDCWD : call.int(dirfd), call.arg(path), noFollow, host);
    };
    // What is protected is not left to the kernel, see guardedTarget.
    const all = isGuarded(call.process.view);
    let from = find(0, all);
    const early = from && isTree(from) ? precheck(call, from, pair[0][1], fromFirst) : undefined;
    let to = find(1, all);
    if (!from && !to) return PASS;
    for (const target of [from, to]) if (target?.claim.kind === 'deny') throw new Errno(target.claim.errno);
    // Where one of them is in a tree the other one is looked for by us too.
    if (from?.claim.kind === 'tree' && !to) to = find(1, true);
    if (to?.claim.kind === 'tree' && !from) from = find(0, true);
    if (from && to && isTree(from) && isTree(to)) {
      if (!to.place) requireParent(to);
      const late = lastDots(call, to, pair[1][1]);
      if (!fromFirst && (early ?? lastDots(call, from, pair[0][1]))) throw new Errno('EBUSY');
      return inTrees(call, from, to, late !== undefined);
    }
    const real = (target: Target | undefined) => (target && isTree(target) ? undefined : target);
    return what(real(from), real(to));
  };
}

const renames = (pair: Pair, flags: (call: Call) => number): Handler =>
  pairHandler(pair, act.rename, (call, from, to, dots) => renameTree(call, from, to, flags(call), dots));
/** `flags` of linkat(2): whether they have a bit. */
const links = (pair: Pair, flags: (bit: number) => (call: Call) => boolean): Handler =>
  pairHandler(pair, act.link, linkTree, flags(AT_SYMLINK_FOLLOW), flags(AT_EMPTY_PATH));

/** Calls after which paths of guests may lead elsewhere than those of the supervisor. */
const ownRoot: Handler = (call) => {
  useOwnRoots(call.vm);
  return PASS;
};

const linkat = links(AT_PAIR, (bit) => (call) => (call.int(4) & bit) !== 0);

/**
 * chroot(2): the kernel keeps the root directory of each process, so it has to be a directory of the host that has the
 * same path in the view. Others are refused (EPERM).
 */
const chroot: Handler = (call) => {
  const target = resolve(call, AT_FDCWD, call.arg(0), false);
  if (target?.claim.kind === 'deny') throw new Errno(target.claim.errno);
  if (target?.claim.kind === 'node') throw new Errno('ENOTDIR');
  if (target) {
    if (isTree(target) && !target.place) throw new Errno('ENOENT');
    if (isTree(target) && !isDirectory(target.stat)) throw new Errno('ENOTDIR');
    if (hostDirectory(call, call.readString(call.arg(0))) !== target.path) throw new Errno('EPERM');
  }
  return ownRoot(call);
};

function handlers(rows: Partial<Record<SyscallName, Row>>): Partial<Record<SyscallName, Handler>> {
  return Object.fromEntries(
    Object.entries(rows).map(([name, row]) => [name, handlerOf(name as SyscallName, row)]),
  );
}

/** Handlers of the calls that name files. */
export const pathHandlers: Partial<Record<SyscallName, Handler>> = {
  ...handlers(ROWS),
  rename: renames(PLAIN_PAIR, () => 0),
  renameat: renames(AT_PAIR, () => 0),
  renameat2: renames(AT_PAIR, (call) => call.int(4)),
  link: links(PLAIN_PAIR, () => () => false),
  linkat: (call) => {
    requireFlags('linkat', call);
    return linkat(call);
  },
  chroot,
  pivot_root: ownRoot,
  setns: ownRoot,
  move_mount: (call) => {
    kernelMounts(call);
    return PASS;
  },
};

/** Handlers of calls that have no path, and yet say what a view with trees of files has. */
export const treeHandlers = { getcwd, getdents64, ...guardHandlers } as const;

/**
 * What the view of the caller has at a path that came in another way than as an argument (a socket's address);
 * a link at its end is followed. Undefined where it has nothing there.
 */
export const claimOn = (call: Call, path: string): Claim | undefined =>
  resolve(call, AT_FDCWD, path, false)?.claim;

export { kernelMounts, resolve } from './resolve.ts';
