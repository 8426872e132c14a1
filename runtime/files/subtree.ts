/** A part of another tree, as a tree of its own: what is mounted may be something that the view has already. */
import { Errno } from '../errno.ts';
import type { DirectoryEntry, FileTree, Place } from '../vm/mounts.ts';
import type { Layer } from './layer.ts';
import { join, STAT_SIZE } from './place.ts';

/** What has the events of changes of the existing object at `path` of a tree. */
export function watchedIn(tree: FileTree, path: string): Place {
  if (tree.watch) return tree.watch(path);
  const place = tree.find(path, Buffer.alloc(STAT_SIZE));
  if (typeof place === 'number') throw new Errno(place);
  return place;
}

export class SubTree implements FileTree {
  readonly #tree: FileTree;
  readonly #root: string;
  readonly readOnly: boolean;
  /** None of its own: directories that are opened in it are those of the other tree. */
  readonly layers: readonly Layer[] = [];

  constructor(tree: FileTree, root: string, readOnly: boolean) {
    this.#tree = tree;
    this.#root = root;
    this.readOnly = readOnly || tree.readOnly;
  }

  get version(): number {
    return this.#tree.version ?? NaN;
  }

  #at(path: string): string {
    return this.#root === '' || path === '' ? this.#root + path : join(this.#root, path);
  }

  find(path: string, stat: Buffer): Place | number {
    return this.#tree.find(this.#at(path), stat);
  }

  prepare(path: string): Promise<void> | undefined {
    return this.readOnly ? undefined : this.#tree.prepare?.(this.#at(path));
  }

  change<T>(path: string, act: (place: Place) => T, truncate?: boolean): T {
    this.#requireWritable();
    return this.#tree.change(this.#at(path), act, truncate);
  }

  create<T>(path: string, act: (place: Place) => T): T {
    this.#requireWritable();
    return this.#tree.create(this.#at(path), act);
  }

  remove(path: string, directory: boolean): void {
    this.#requireWritable();
    this.#tree.remove(this.#at(path), directory);
  }

  rename(from: string, to: string, flags: number): void {
    this.#requireWritable();
    this.#tree.rename(this.#at(from), this.#at(to), flags);
  }

  link(from: string, to: string): void {
    this.#requireWritable();
    this.#tree.link(this.#at(from), this.#at(to));
  }

  watch(path: string): Place {
    return watchedIn(this.#tree, this.#at(path));
  }

  list(path: string): DirectoryEntry[] | undefined {
    return this.#tree.list(this.#at(path));
  }

  #requireWritable(): void {
    if (this.readOnly) throw new Errno('EROFS');
  }
}
