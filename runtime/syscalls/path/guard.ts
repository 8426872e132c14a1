/**
 * Protecting the files of read-only and lower trees from guests who reach them past the view. A call that is left to the
 * kernel reads its path again, which may be another one by then, so where something is protected the supervisor does
 * itself whatever changes files. A file of the host that was opened by such a trick for reading is known by where the
 * kernel says that it is, and is not changed through its descriptor either.
 */
import { readFileSync } from 'node:fs';
import { check, Errno } from '../../errno.ts';
import { asCaller } from '../../files/identity.ts';
import { closeFd } from '../../files/layer.ts';
import { O_CLOEXEC, O_PATH, procLink, STAT_SIZE } from '../../files/place.ts';
import { native } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import type { Handler } from '../handler.ts';
import { PASS, type Outcome } from '../outcome.ts';
import { SYS, type SyscallName } from '../table.ts';
import { claimAt, isGuarded, protects, seenAs } from './compiled.ts';
import { AT_FDCWD, hostTarget, isPseudo, resolve, type LinkUse, type TreeTarget } from './resolve.ts';

const AT_EMPTY_PATH = 0x1000;
const F_GETFL = 3;
const ACCESS_MODE = 3;
/** Offset of st_nlink in struct stat. */
const NLINK = 16;

// -- What is protected -----------------------------------------------------------------------------------------

/** True for a descriptor (ours) of a file that the view protects, and that was not opened through the view. */
function isProtected(call: Call, fd: number): boolean {
  const { view } = call.process;
  const text = procLink(`/proc/self/fd/${fd}`) ?? '';
  // What was opened through the view is protected by the private mount of its layer.
  if (!text.startsWith('/') || seenAs(view, text) !== undefined) return false;
  const claim = claimAt(view, text, call.process);
  if (claim?.kind !== 'tree' || !claim.mount || !protects(claim.mount)) return false;
  if (isPseudo(text) && !isPseudo(claim.mount.target)) return false;
  // A file that has no name any more, or never had one (memfd_create(2)), is in no tree.
  const stat = Buffer.alloc(STAT_SIZE);
  check(native().syscall(SYS.newfstatat, fd, '', stat, AT_EMPTY_PATH));
  return stat.readBigUInt64LE(NLINK) > 0n;
}

/** Lets `act` use a descriptor of what the magic link `path` of procfs leads to: O_PATH, or the guest's own one. */
export function withMagic<T>(call: Call, path: string, act: (fd: number, mayWrite: boolean) => T): T {
  const [, pid, number] = /\/proc\/(\d+)(?:\/task\/\d+)?\/fd\/(\d+)$/.exec(path) ?? [];
  const own = Number(pid) === call.process.pid;
  const mine = own
    ? native().syscall(SYS.pidfd_getfd, call.process.pidfd, Number(number), 0)
    : asCaller(call, () => native().syscall(SYS.openat, AT_FDCWD, path, O_PATH | O_CLOEXEC));
  const fd = check(mine);
  try {
    return act(fd, own && (native().syscall(SYS.fcntl, fd, F_GETFL) & (ACCESS_MODE | O_PATH)) in WRITABLE);
  } finally {
    closeFd(fd);
  }
}
/** Access modes of descriptors that can be written to. */
const WRITABLE = { 1: true, 2: true };

/** As {@link withMagic}, for an `act` that changes the object. EROFS where it is protected. */
export const changeMagic = <T>(call: Call, path: string, act: (fd: number) => T): T =>
  withMagic(call, path, (fd, mayWrite) => {
    if (isGuarded(call.process.view) && !mayWrite && isProtected(call, fd)) throw new Errno('EROFS');
    return asCaller(call, () => act(fd));
  });

// -- Paths -----------------------------------------------------------------------------------------------------

/** Calls that take a descriptor alone with AT_EMPTY_PATH: index of their flags. */
const EMPTY: Partial<Record<SyscallName, number>> = {
  fchownat: 4,
  fchmodat2: 3,
  utimensat: 3,
  setxattrat: 2,
  removexattrat: 2,
};

/** Calls that take a null address for the descriptor itself. */
const NULL_PATH: ReadonlySet<SyscallName> = new Set(['utimensat', 'futimesat']);

/**
 * What a call would change that the kernel could do: the host's object, found from our copy of the path. `path` is the
 * index of the path.
 */
export function guardedTarget(
  call: Call,
  name: SyscallName,
  dirfd: number,
  path: number,
  link: LinkUse,
): TreeTarget {
  const address = call.arg(path);
  if (address === 0 && NULL_PATH.has(name)) return descriptorTarget(call, dirfd);
  const text = call.readString(address);
  if (text === '') {
    const flags = EMPTY[name];
    if (flags === undefined || !(call.int(flags) & AT_EMPTY_PATH)) throw new Errno('ENOENT');
    return descriptorTarget(call, dirfd);
  }
  const target = resolve(call, dirfd, text, link, true);
  if (target?.claim.kind === 'deny') throw new Errno(target.claim.errno);
  // What the view itself shows there cannot be changed this way.
  if (target?.claim.kind !== 'tree') throw new Errno('EROFS');
  if (target.path.startsWith('/proc/sys/net') && !sharesNetwork(call)) throw new Errno('EROFS');
  return target as TreeTarget;
}

/** In /proc/sys/net the kernel shows the settings of the network of whoever looks: ours. */
const sharesNetwork = (call: Call): boolean =>
  procLink(`/proc/${call.tid}/ns/net`) === procLink('/proc/self/ns/net');

/** What a descriptor of the caller refers to. */
export function descriptorTarget(call: Call, dirfd: number): TreeTarget {
  const magic = `/proc/${call.process.pid}/${dirfd === AT_FDCWD ? 'cwd' : `fd/${dirfd}`}`;
  const stat = Buffer.alloc(STAT_SIZE);
  if (native().syscall(SYS.newfstatat, AT_FDCWD, magic, stat, 0) < 0) throw new Errno('EBADF');
  return { ...hostTarget(call, { path: magic, slash: false, noFollow: false }), stat, magic };
}

// -- Terminals -------------------------------------------------------------------------------------------------

/** Path of the controlling terminal of the caller (tty(4)). ENXIO where it has none. */
export function controllingTerminal(call: Call): string {
  const [, fields = ''] = /\) (.*)$/s.exec(readFileSync(`/proc/${call.process.pid}/stat`, 'latin1')) ?? [];
  const device = Number(fields.split(' ')[4]);
  const [major, minor] = [(device >> 8) & 0xfff, (device & 0xff) | ((device >>> 12) & 0xfff00)];
  if (!device) throw new Errno('ENXIO');
  try {
    const event = readFileSync(`/sys/dev/char/${major}:${minor}/uevent`, 'latin1');
    return `/dev/${/^DEVNAME=(.*)$/m.exec(event)?.[1] ?? ''}`;
  } catch {
    return `/dev/pts/${minor}`;
  }
}

// -- Descriptors -----------------------------------------------------------------------------------------------

/** A call that changes the file behind a descriptor, its first argument. `act` gets our copy of the descriptor. */
const onDescriptor =
  (act: (call: Call, fd: number) => number): Handler =>
  (call): Outcome => {
    if (!isGuarded(call.process.view)) return PASS;
    const fd = check(native().syscall(SYS.pidfd_getfd, call.process.pidfd, call.int(0), 0));
    try {
      const mayWrite = (native().syscall(SYS.fcntl, fd, F_GETFL) & ACCESS_MODE) in WRITABLE;
      if (!mayWrite && isProtected(call, fd)) throw new Errno('EROFS');
      return asCaller(call, () => check(act(call, fd)));
    } finally {
      closeFd(fd);
    }
  };

const XATTR_SIZE_MAX = 65536;
const fsetxattr = onDescriptor((call, fd) => {
  const size = call.arg(3);
  if (size < 0 || size > XATTR_SIZE_MAX) throw new Errno('E2BIG');
  const value = call.read(call.arg(2), size);
  return native().syscall(SYS.fsetxattr, fd, call.readString(call.arg(1)), value, size, call.int(4));
});

/** Refuses, in guarded views, calls that lead past them. */
const refuseGuarded =
  (refuses: (call: Call) => boolean): Handler =>
  (call) => {
    if (isGuarded(call.process.view) && refuses(call)) throw new Errno('EPERM');
    return PASS;
  };

const OPEN_TREE_CLONE = 1;

/** For views with trees of files. */
export const guardHandlers = {
  fchmod: onDescriptor((call, fd) => native().syscall(SYS.fchmod, fd, call.int(1) & 0o7777)),
  fchown: onDescriptor((call, fd) => native().syscall(SYS.fchown, fd, call.int(1), call.int(2))),
  fsetxattr,
  fremovexattr: onDescriptor((call, fd) =>
    native().syscall(SYS.fremovexattr, fd, call.readString(call.arg(1))),
  ),
  // Handles, and copies of mounts, lead to files without a path of the view.
  open_by_handle_at: refuseGuarded(() => true),
  open_tree: refuseGuarded((call) => (call.int(2) & OPEN_TREE_CLONE) !== 0),
} as const;
