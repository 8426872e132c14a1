/** Acting on objects below the root of a layer, by descriptors of their directories. */
import { check, Errno } from '../errno.ts';
import { native } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import type { Place } from '../vm/mounts.ts';
import { closeFd } from './layer.ts';

export const O_PATH = 0o10000000;
export const O_NOFOLLOW = 0o400000;
export const O_DIRECTORY = 0o200000;
export const O_CLOEXEC = 0o2000000;
const AT_FDCWD = -100;

export const STAT_SIZE = 144;
export const S_IFMT = 0o170000;
export const S_IFLNK = 0o120000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;

/** The directory part of a relative path, "" where it is a single name. */
export const directoryOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
/** The last name of a relative path. */
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
export const join = (directory: string, name: string): string =>
  directory === '' ? name : `${directory}/${name}`;

/** st_mode of a struct stat. */
export const modeOf = (stat: Buffer): number => stat.readUInt32LE(24);
export const isDirectory = (stat: Buffer): boolean => (modeOf(stat) & S_IFMT) === S_IFDIR;
export const isLink = (stat: Buffer): boolean => (modeOf(stat) & S_IFMT) === S_IFLNK;
export const isRegular = (stat: Buffer): boolean => (modeOf(stat) & S_IFMT) === S_IFREG;
/** Two structs stat of one object: st_dev and st_ino. */
export const sameObject = (a: Buffer, b: Buffer): boolean => a.compare(b, 0, 16, 0, 16) === 0;

/** Lets `act` use the directory of `place` and the name in it. A root is in no directory: EBUSY. */
export function inDirectory<T>({ layer, path }: Place, act: (dirfd: number, name: string) => T): T {
  const directory = directoryOf(path);
  if (path === '') throw new Errno('EBUSY');
  if (directory === '') return act(layer.fd, path);
  const fd = check(native().openBeneath(layer.fd, directory, O_PATH | O_DIRECTORY, 0));
  try {
    return act(fd, nameOf(path));
  } finally {
    closeFd(fd);
  }
}

/** Lets `act` use a descriptor (O_PATH) of the object itself, a symbolic link too. */
export function withObject<T>({ layer, path }: Place, act: (fd: number) => T): T {
  if (path === '') return act(layer.fd);
  const fd = check(native().openBeneath(layer.fd, path, O_PATH | O_NOFOLLOW, 0));
  try {
    return act(fd);
  } finally {
    closeFd(fd);
  }
}

/** Lets `act` use a path that leads to the object, itself if it is a link, in calls that follow no link at its end. */
export function withPath<T>(place: Place, act: (path: string) => T): T {
  if (place.path === '') return act(`/proc/self/fd/${place.layer.fd}/.`);
  return inDirectory(place, (fd, name) => act(`/proc/self/fd/${fd}/${name}`));
}

const linkText = Buffer.alloc(4096);
/** The text of the symbolic link at `place`. */
export function readLink(place: Place): string {
  const length = inDirectory(place, (dirfd, name) =>
    check(native().syscall(SYS.readlinkat, dirfd, name, linkText, linkText.length)),
  );
  return linkText.toString('latin1', 0, length);
}

/** The text of a magic link of procfs. */
export function procLink(path: string): string | undefined {
  const length = native().syscall(SYS.readlinkat, AT_FDCWD, path, linkText, linkText.length);
  return length < 0 ? undefined : linkText.toString('latin1', 0, length);
}

/** Names in a real directory, with d_type and inode, without "." and "..". */
export function entriesOf({ layer, path }: Place): [string, number, number][] {
  const fd = check(
    path === ''
      ? native().syscall(SYS.openat, layer.fd, '.', O_DIRECTORY | O_CLOEXEC)
      : native().openBeneath(layer.fd, path, O_DIRECTORY, 0),
  );
  try {
    const list = native().readDirectory(fd);
    if (typeof list === 'number') throw new Errno(list);
    const entries: [string, number, number][] = [];
    for (let i = 0; i < list.length; i += 3) {
      if (list[i] === '.' || list[i] === '..') continue;
      entries.push([list[i] as string, list[i + 1] as number, list[i + 2] as number]);
    }
    return entries;
  } finally {
    closeFd(fd);
  }
}
