import { watchedIn } from '../../runtime/files/subtree.ts';
import type { DirectoryEntry, FileTree, Place } from '../../runtime/vm/mounts.ts';

/** A tree of which some parts are left to what lies below the mount (`except=`). */
export class Except implements FileTree {
  readonly #tree: FileTree;
  readonly #paths: readonly string[];

  constructor(tree: FileTree, paths: readonly string[]) {
    this.#tree = tree;
    this.#paths = paths;
  }

  get layers(): FileTree['layers'] {
    return this.#tree.layers;
  }
  get readOnly(): boolean {
    return this.#tree.readOnly;
  }
  get version(): number {
    return this.#tree.version ?? NaN;
  }
  excludes(path: string): boolean {
    return this.#paths.some((each) => path.startsWith(each) && (path[each.length] ?? '/') === '/');
  }
  find(path: string, stat: Buffer): Place | number {
    return this.#tree.find(path, stat);
  }
  prepare(path: string): Promise<void> | undefined {
    return this.#tree.prepare?.(path);
  }
  change<T>(path: string, act: (place: Place) => T, truncate?: boolean): T {
    return this.#tree.change(path, act, truncate);
  }
  create<T>(path: string, act: (place: Place) => T): T {
    return this.#tree.create(path, act);
  }
  remove(path: string, directory: boolean): void {
    this.#tree.remove(path, directory);
  }
  rename(from: string, to: string, flags: number): void {
    this.#tree.rename(from, to, flags);
  }
  link(from: string, to: string): void {
    this.#tree.link(from, to);
  }
  watch(path: string): Place {
    return watchedIn(this.#tree, path);
  }
  list(path: string): DirectoryEntry[] | undefined {
    return this.#tree.list(path);
  }
}
