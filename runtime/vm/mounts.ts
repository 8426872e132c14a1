import type { Layer } from '../files/layer.ts';
import type { TreeMirror } from '../native.ts';
import type { Stack } from '../ioth/stack.ts';
import type { Process } from './process.ts';

/** Something mounted in a view. */
export interface Mount {
  /** File system type, as in mount(2). */
  readonly type: string;
  readonly source: string;
  /** Absolute, canonical path (byte string). */
  readonly target: string;
  /** The text of `-o`. */
  readonly options: string;
  /** The stack, where the mount is one. */
  readonly stack?: Stack;
  /** What a guest finds at the target, where that is a single file that only the view has. */
  readonly node?: VirtualNode;
  /** What a guest finds at and below the target, where that is a tree of real files. One of node and tree is there. */
  readonly tree?: FileTree;
  /** A reason why it cannot be unmounted now (EBUSY), or undefined. */
  busy?(): string | undefined;
  unmount(): void | Promise<void>;
}

/** Attributes of a virtual file, as stat(2) shows them. */
export interface NodeAttributes {
  /** Type and permission bits: st_mode. */
  mode: number;
  uid: number;
  gid: number;
  ino: number;
  /** Seconds since 1970 of the three times. */
  time: number;
  size: number;
  /** st_dev, where it has to be that of the descriptor that open gives. */
  dev?: number;
  /** st_rdev of a device; 0 by default. */
  rdev?: number;
}

/** A single file that exists only in a view: a stack, a synthesized text. */
export interface VirtualNode {
  /** Changed in place by chmod(2) and chown(2), where the node allows them. */
  readonly attributes: NodeAttributes;
  /** False where chmod and chown are refused with EPERM (text files). */
  readonly changeable: boolean;
  /**
   * A descriptor of the supervisor, opened for `flags` (open(2)), that the guest gets; the caller closes it.
   * A node that cannot be opened throws Errno (a stack: ENXIO, as a socket file). One that has to wait listens to
   * `call.signal`.
   */
  open(flags: number, process: Process, call?: { readonly signal: AbortSignal }): number | Promise<number>;
}

/** Where an object of a tree really is: `path` (byte string, no leading slash, "" for the root) below a layer. */
export interface Place {
  readonly layer: Layer;
  readonly path: string;
}

/** An entry of a directory: name, d_type (readdir(3)), inode. */
export type DirectoryEntry = [name: string, type: number, inode: number];

/**
 * A tree of files that a view has at the target of a mount. It says where objects really are; the path layer acts
 * on them. Paths are byte strings relative to the root of the tree, canonical ("" or "a/b"): symbolic links are
 * followed by the path layer, so that they lead where the *view* has it. Methods other than `find` throw Errno.
 *
 * Places are used at once: nothing else happens between the answer and what is done with it.
 */
export interface FileTree {
  /** All layers that its objects may be in. */
  readonly layers: readonly Layer[];
  /** Nothing can be changed in it (EROFS). */
  readonly readOnly: boolean;
  /**
   * Finds what is at `path` and fills `stat` (struct stat of it). A negated errno where there is nothing: -ELOOP when
   * a symbolic link lies on the way, so that the path has to be followed name by name.
   */
  find(path: string, stat: Buffer): Place | number;
  /**
   * Does beforehand what takes long in {@link change} of `path`, without holding up anybody else; undefined where
   * that is nothing. Rejects with Errno.
   */
  prepare?(path: string): Promise<void> | undefined;
  /** Lets `act` change the existing object at `path` where it may be changed. `truncate`: its content is not needed. */
  change<T>(path: string, act: (place: Place) => T, truncate?: boolean): T;
  /** Lets `act` make something new at `path`, where nothing is. */
  create<T>(path: string, act: (place: Place) => T): T;
  /** rmdir(2) or unlink(2). */
  remove(path: string, directory: boolean): void;
  /** renameat2(2) with RENAME_NOREPLACE and RENAME_EXCHANGE. */
  rename(from: string, to: string, flags: number): void;
  /** link(2): `to` becomes another name of the file `from`. */
  link(from: string, to: string): void;
  /**
   * The object at `path`, which is there, that has the events of changes made through the tree (inotify(7)); without it,
   * that which `find` gives.
   */
  watch?(path: string): Place;
  /** The entries of a directory that no single real directory has, "." and ".." not among them; else undefined. */
  list(path: string): DirectoryEntry[] | undefined;
  /** Another number when `list` may have become another; without it, nothing is remembered of answers. */
  readonly version?: number;
  /** What the addon knows of the tree, where that is enough to look at files in it. */
  readonly mirror?: TreeMirror | undefined;
  /** True where the path is not the tree's: the view below it is seen there (`except=`). */
  excludes?(path: string): boolean;
}

/** What a view puts in the place of a path. */
export type Claim =
  /** an object of a mounted tree, or of the host's tree (`mount` is undefined) seen from the view */
  | { kind: 'tree'; tree: FileTree; path: string; mount?: Mount }
  /** a file that exists only in the view */
  | { kind: 'node'; node: VirtualNode }
  /** another real object: `path` (byte string, may be "") relative to directory `dirfd` (or absolute, -100) */
  | { kind: 'redirect'; dirfd: number; path: string }
  /** the path does not exist for this process, or may not be used */
  | { kind: 'deny'; errno: 'ENOENT' | 'EACCES' | 'EPERM' | 'ECONNREFUSED' };

/** A part of the file tree on which a view has something to say. */
export interface PathRule {
  /**
   * Canonical path (byte string), in which a component `*` stands for any one name. The rule is asked about
   * this path and everything below it.
   */
  readonly prefix: string;
  /**
   * The claim on `path` (canonical: absolute, no symlinks, `.` or `..`), made by `process`; undefined where
   * the host's own file is meant. In the procfs of the host `self` has been replaced by numbers.
   */
  claim(path: string, process: Process): Claim | undefined;
}

/** True where `path` lies below `target`, and is not itself the target. */
export const isBelow = (path: string, target: string): boolean =>
  target === '/' ? path !== '/' : path.startsWith(target) && path[target.length] === '/';

/** The part of `path` below `target`, without leading slash; "" for the target itself. */
export const below = (path: string, target: string): string =>
  path === target ? '' : path.slice(target === '/' ? 1 : target.length + 1);

/** Orders mounts: the newest wins, as when one file system is mounted over another. */
export class MountTable {
  readonly #mounts: Mount[] = [];

  add(mount: Mount): void {
    this.#mounts.push(mount);
  }

  /** Takes the newest mount on exactly `target` out of the table. */
  remove(mount: Mount): void {
    const index = this.#mounts.lastIndexOf(mount);
    if (index >= 0) this.#mounts.splice(index, 1);
  }

  /** The newest mount on exactly `target`. */
  at(target: string): Mount | undefined {
    return this.#mounts.findLast((mount) => mount.target === target);
  }

  /**
   * The newest mount that has something at `path`: at its target, or below it in a tree that does not exclude it.
   */
  covering(path: string): Mount | undefined {
    return this.#mounts.findLast(
      (mount) =>
        mount.target === path ||
        (mount.tree !== undefined &&
          isBelow(path, mount.target) &&
          !mount.tree.excludes?.(below(path, mount.target))),
    );
  }

  /** In the order of mounting. */
  list(): readonly Mount[] {
    return this.#mounts;
  }

  copy(): MountTable {
    const copy = new MountTable();
    for (const mount of this.#mounts) copy.add(mount);
    return copy;
  }
}
