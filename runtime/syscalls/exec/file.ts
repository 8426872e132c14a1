/** Files that a guest is to execute, found in its view and opened by the supervisor. */
import { check, Errno } from '../../errno.ts';
import { native } from '../../native.ts';
import { mayUse, X_OK } from '../../vm/access.ts';
import type { Call } from '../../vm/call.ts';
import type { FileTree, NodeAttributes } from '../../vm/mounts.ts';
import { AT_FDCWD, resolve } from '../path/resolve.ts';
import { O } from '../path/redirect.ts';
import { isRooted } from '../path/root.ts';
import { decodeStat, S_IFDIR, S_IFREG, typeOf } from '../path/structs.ts';
import { SYS } from '../table.ts';
import { imageOf, type Image } from './image.ts';

const AT_EMPTY_PATH = 0x1000;
const F_DUPFD_CLOEXEC = 1030;
const S_IFLNK = 0o120000;
const READ = O.CLOEXEC | O.NOCTTY | O.NONBLOCK;

/** A file that is to be executed. Whoever has it closes it. */
export class Executable {
  /** A descriptor of the supervisor. */
  readonly fd: number;
  /** The view has it elsewhere than the host has a file of this name. */
  moved: boolean;
  readonly attributes: NodeAttributes;

  constructor(fd: number, moved: boolean) {
    this.fd = fd;
    this.moved = moved;
    const stat = Buffer.alloc(144);
    const result = native().syscall(SYS.newfstatat, fd, '', stat, AT_EMPTY_PATH);
    if (result < 0) this.close();
    check(result);
    this.attributes = decodeStat(stat);
  }

  /** The error of a process that may not execute it. */
  denies(call: Call): Errno | undefined {
    const type = typeOf(this.attributes.mode);
    if (type === S_IFLNK) return new Errno('ELOOP');
    return type === S_IFREG && mayUse(this.attributes, call.process, X_OK) ? undefined : new Errno('EACCES');
  }

  /** What is in it; undefined where it cannot be read, or is nothing that can be executed (ENOEXEC). */
  image(): Image | undefined {
    const readAt = (offset: number, length: number): Buffer => {
      const bytes = Buffer.alloc(length);
      const got = native().syscall(SYS.pread64, this.fd, bytes, length, offset);
      return bytes.subarray(0, Math.max(0, got));
    };
    return imageOf(readAt);
  }

  get readable(): boolean {
    return native().syscall(SYS.pread64, this.fd, Buffer.alloc(1), 1, 0) >= 0;
  }

  /** The path (a byte string) by which the caller's own file tree has it; undefined where it has none there. */
  pathFor(call: Call): string | undefined {
    const text = Buffer.alloc(4096);
    const length = native().syscall(SYS.readlinkat, AT_FDCWD, `/proc/self/fd/${this.fd}`, text, text.length);
    const path = text.toString('latin1', 0, Math.max(0, length));
    const there = path.startsWith('/') ? hostFile(call, path) : undefined;
    if (!there) return undefined;
    there.close();
    return there.is(this) ? path : undefined;
  }

  /** A copy of the descriptor, for somebody who closes it. */
  copy(): number {
    return check(native().syscall(SYS.fcntl, this.fd, F_DUPFD_CLOEXEC, 3));
  }

  /** Whether it is the file `other`. */
  is(other: Executable): boolean {
    return this.attributes.ino === other.attributes.ino && this.attributes.dev === other.attributes.dev;
  }

  close(): void {
    native().syscall(SYS.close, this.fd);
  }
}

/** Opens for reading, or just to have it where it may be executed but not read. A descriptor or a negated errno. */
function openAt(dirfd: number, path: string, noFollow: boolean): number {
  const follow = noFollow ? O.NOFOLLOW : 0;
  const fd = native().syscall(SYS.openat, dirfd, path, READ | follow);
  return fd >= 0 ? fd : native().syscall(SYS.openat, dirfd, path, O.PATH | O.CLOEXEC | follow);
}

/** The name by which the supervisor finds what the caller's own file tree has at `path`. */
function nameOf(call: Call, dirfd: number, path: string): string {
  if (path.startsWith('/')) return `/proc/${call.tid}/root${path}`;
  const from = dirfd === AT_FDCWD ? 'cwd' : `fd/${dirfd}`;
  return `/proc/${call.tid}/${from}/${path}`;
}

/** What the host has at `path`, whatever the view says; undefined where it has nothing that can be opened. */
export function hostFile(call: Call, path: string): Executable | undefined {
  const fd = openAt(AT_FDCWD, nameOf(call, AT_FDCWD, path), false);
  return fd < 0 ? undefined : new Executable(fd, false);
}

/**
 * What the caller means by `path`, from directory `dirfd` of its own. Undefined where the view says nothing about
 * it and it cannot be opened: the kernel knows the errno. Throws Errno where the view knows it.
 */
export function findExecutable(
  call: Call,
  dirfd: number,
  path: string,
  noFollow = false,
): Executable | undefined {
  const target = resolve(call, dirfd, path, noFollow);
  if (!target) {
    const fd = openAt(AT_FDCWD, nameOf(call, dirfd, path), noFollow);
    return fd < 0 ? undefined : new Executable(fd, false);
  }
  const { claim, slash } = target;
  // A relative path may start from a directory of a layer, where the kernel finds only what that layer has; an absolute
  // one may start from a root directory of the view.
  const written = !path.startsWith('/') || isRooted(call.process);
  const kernels = nameOf(call, dirfd, written ? path : target.path);
  if (claim.kind === 'deny') throw new Errno(claim.errno);
  if (claim.kind === 'tree') return unlessHosts(kernels, treeFile(claim.tree, claim.path, noFollow), slash);
  if (claim.kind === 'redirect') {
    const fd = check(openAt(claim.dirfd, claim.path, noFollow));
    return unlessHosts(kernels, fd, slash);
  }
  if (slash) throw new Errno('ENOTDIR');
  if (typeOf(claim.node.attributes.mode) !== S_IFREG) throw new Errno('EACCES');
  const fd = claim.node.open(O.CLOEXEC, call.process);
  if (typeof fd !== 'number') throw new Errno('EACCES');
  return new Executable(fd, true);
}

/**
 * What `fd` is, which counts as moved unless the kernel finds the same file, by what we call `name`. A path with a slash at
 * its end means a directory.
 */
function unlessHosts(name: string, fd: number, slash: boolean): Executable {
  const file = new Executable(fd, true);
  if (slash && typeOf(file.attributes.mode) !== S_IFDIR) {
    file.close();
    throw new Errno('ENOTDIR');
  }
  const other = openAt(AT_FDCWD, name, false);
  if (other < 0) return file;
  const hosts = new Executable(other, false);
  hosts.close();
  if (!hosts.is(file)) return file;
  file.moved = false;
  return file;
}

/** The object at `path` of a mounted tree; a symbolic link at its end has been followed, or is refused. */
function treeFile(tree: FileTree, path: string, noFollow: boolean): number {
  const place = tree.find(path, Buffer.alloc(144));
  if (typeof place === 'number') throw new Errno(place);
  const [dirfd, name] =
    place.path === '' ? [AT_FDCWD, `/proc/self/fd/${place.layer.fd}`] : [place.layer.fd, place.path];
  return check(openAt(dirfd, name, noFollow && place.path !== ''));
}
