/** A tree that is one real tree, seen at another place. */
import { check, Errno } from '../errno.ts';
import { MIRROR, native, type TreeMirror } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import type { DirectoryEntry, FileTree, Place } from '../vm/mounts.ts';
import type { Layer } from './layer.ts';
import { inDirectory } from './place.ts';

const AT_REMOVEDIR = 0x200;

/** One layer as a tree. */
export class BindTree implements FileTree {
  readonly layers: readonly Layer[];
  readonly readOnly: boolean;
  readonly layer: Layer;
  readonly version = 0;
  readonly mirror: TreeMirror;

  constructor(layer: Layer, readOnly: boolean) {
    this.layer = layer;
    this.layers = [layer];
    this.readOnly = readOnly;
    this.mirror = new (native().TreeMirror)(MIRROR.bind, layer);
  }

  find(path: string, stat: Buffer): Place | number {
    const result = native().look(this.layer.fd, path, stat);
    return result < 0 ? result : { layer: this.layer, path };
  }

  change<T>(path: string, act: (place: Place) => T): T {
    return act(this.#writable(path));
  }

  create<T>(path: string, act: (place: Place) => T): T {
    return act(this.#writable(path));
  }

  remove(path: string, directory: boolean): void {
    inDirectory(this.#writable(path), (dirfd, name) =>
      check(native().syscall(SYS.unlinkat, dirfd, name, directory ? AT_REMOVEDIR : 0)),
    );
  }

  rename(from: string, to: string, flags: number): void {
    moveWithin(this.#writable(from), this.#writable(to), flags);
  }

  link(from: string, to: string): void {
    linkWithin(this.#writable(from), this.#writable(to));
  }

  list(): DirectoryEntry[] | undefined {
    return undefined;
  }

  #writable(path: string): Place {
    if (this.readOnly) throw new Errno('EROFS');
    return { layer: this.layer, path };
  }
}

/** renameat2(2) between two places of one layer. */
export function moveWithin(from: Place, to: Place, flags: number): void {
  inDirectory(from, (fromDir, fromName) =>
    inDirectory(to, (toDir, toName) =>
      check(native().syscall(SYS.renameat2, fromDir, fromName, toDir, toName, flags)),
    ),
  );
}

/** linkat(2) between two places of one layer. */
export function linkWithin(from: Place, to: Place): void {
  inDirectory(from, (fromDir, fromName) =>
    inDirectory(to, (toDir, toName) =>
      check(native().syscall(SYS.linkat, fromDir, fromName, toDir, toName, 0)),
    ),
  );
}
