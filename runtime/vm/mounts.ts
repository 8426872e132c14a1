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
  /** What a guest finds at the target. */
  readonly node: VirtualNode;
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
}

/** A single file that exists only in a view: a stack, a synthesized text. */
export interface VirtualNode {
  /** Changed in place by chmod(2) and chown(2), where the node allows them. */
  readonly attributes: NodeAttributes;
  /** False where chmod and chown are refused with EPERM (text files). */
  readonly changeable: boolean;
  /**
   * A descriptor of the supervisor, opened for `flags` (open(2)), that the guest gets; the caller closes it.
   * A node that cannot be opened throws Errno (a stack: ENXIO, as a socket file).
   */
  open(flags: number, process: Process): number;
}

/** What a view puts in the place of a path. */
export type Claim =
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
