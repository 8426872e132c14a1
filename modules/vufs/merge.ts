/** Two trees as one: names of the upper one hide those of the lower, directories that both have are merged. */
import { ERRNO, Errno } from '../../runtime/errno.ts';
import { BindTree } from '../../runtime/files/bind.ts';
import { MIRROR, native, type TreeMirror } from '../../runtime/native.ts';
import { directoryOf, entriesOf, isDirectory, STAT_SIZE } from '../../runtime/files/place.ts';
import { watchedIn } from '../../runtime/files/subtree.ts';
import type { DirectoryEntry, FileTree, Place } from '../../runtime/vm/mounts.ts';

const NOT_HERE = new Set([-ERRNO['ENOENT']!, -ERRNO['ENOTDIR']!, -ERRNO['ELOOP']!]);
/** Offset of st_mtim in struct stat; st_ctim follows. */
const MTIME = 88;
const scratch = Buffer.alloc(STAT_SIZE);

/** Whether `tree` has a directory at `path`. */
export const hasDirectory = (tree: FileTree, path: string): boolean =>
  typeof tree.find(path, scratch) !== 'number' && isDirectory(scratch);

/** All entries of the directory that `tree` has at `path`. */
export function listOf(tree: FileTree, path: string): DirectoryEntry[] {
  const merged = tree.list(path);
  if (merged) return merged;
  const place = tree.find(path, scratch);
  if (typeof place === 'number') throw new Errno(place);
  return entriesOf(place);
}

/**
 * The lower tree takes all changes; what the upper one has is read-only (EROFS), like the directories that only it
 * has.
 */
export class MergeTree implements FileTree {
  readonly #upper: FileTree;
  readonly #lower: FileTree;
  readonly layers: FileTree['layers'] = [];
  readonly readOnly: boolean;
  readonly mirror: TreeMirror | undefined;

  constructor(upper: FileTree, lower: FileTree, readOnly: boolean) {
    this.#upper = upper;
    this.#lower = lower;
    this.readOnly = readOnly;
    this.mirror =
      upper instanceof BindTree && lower instanceof BindTree
        ? new (native().TreeMirror)(MIRROR.merge, upper.layer, lower.layer)
        : undefined;
  }

  find(path: string, stat: Buffer): Place | number {
    const upper = this.#upper.find(path, stat);
    if (typeof upper !== 'number' && isDirectory(stat)) this.#showChange(path, stat);
    if (typeof upper !== 'number' || upper !== -ERRNO['ENOENT']!) return upper;
    const lower = this.#lower.find(path, stat);
    // A directory of the upper tree hides a file or link of the lower one, and what would be behind it.
    if (typeof lower === 'number' && NOT_HERE.has(lower) && hasDirectory(this.#upper, directoryOf(path)))
      return upper;
    return lower;
  }

  /** A directory of both trees has changed when one of them has. */
  #showChange(path: string, stat: Buffer): void {
    const lower = this.#lower.find(path, scratch);
    if (typeof lower === 'number' || !isDirectory(scratch)) return;
    if (scratch.readBigInt64LE(MTIME) > stat.readBigInt64LE(MTIME))
      scratch.copy(stat, MTIME, MTIME, MTIME + 32);
  }

  change<T>(path: string, act: (place: Place) => T, truncate?: boolean): T {
    this.#requireLower(path);
    return this.#lower.change(path, act, truncate);
  }

  create<T>(path: string, act: (place: Place) => T): T {
    this.#requireDirectory(directoryOf(path));
    return this.#lower.create(path, act);
  }

  remove(path: string, directory: boolean): void {
    this.#requireLower(path);
    this.#lower.remove(path, directory);
  }

  rename(from: string, to: string, flags: number): void {
    this.#requireLower(from);
    const there = this.find(to, scratch);
    if (typeof there === 'number') this.#requireDirectory(directoryOf(to));
    else this.#requireLower(to);
    this.#lower.rename(from, to, flags);
  }

  link(from: string, to: string): void {
    this.#requireLower(from);
    this.#requireDirectory(directoryOf(to));
    this.#lower.link(from, to);
  }

  /** What can be changed in a directory of both is in the lower tree. */
  watch(path: string): Place {
    return watchedIn(this.#hasLower(path) ? this.#lower : this.#ofBoth(path), path);
  }

  /** The tree that has the object that shows at `path`. */
  #ofBoth(path: string): FileTree {
    return typeof this.#upper.find(path, scratch) === 'number' ? this.#lower : this.#upper;
  }

  list(path: string): DirectoryEntry[] | undefined {
    const [upper, lower] = [hasDirectory(this.#upper, path), this.#hasLower(path)];
    if (upper && lower) {
      const entries = new Map(listOf(this.#lower, path).map((entry) => [entry[0], entry]));
      for (const entry of listOf(this.#upper, path)) entries.set(entry[0], entry);
      return [...entries.values()];
    }
    return (lower ? this.#lower : this.#upper).list(path);
  }

  /** Whether the lower tree has a directory at `path` that shows. */
  #hasLower(path: string): boolean {
    const found = this.#lower.find(path, scratch);
    if (typeof found === 'number' || !isDirectory(scratch)) return false;
    const upper = this.#upper.find(path, scratch);
    return typeof upper === 'number' ? upper === -ERRNO['ENOENT']! : isDirectory(scratch);
  }

  /** EROFS for what the upper tree has. A directory of both is not the lower tree's to change. */
  #requireLower(path: string): void {
    if (this.readOnly || typeof this.#upper.find(path, scratch) !== 'number') throw new Errno('EROFS');
  }

  /** The directory that something new goes into has to be there in the lower tree. */
  #requireDirectory(path: string): void {
    if (this.readOnly) throw new Errno('EROFS');
    if (this.#hasLower(path)) return;
    throw new Errno(hasDirectory(this.#upper, path) ? 'EROFS' : 'ENOENT');
  }
}
