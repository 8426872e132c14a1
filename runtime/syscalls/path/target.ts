/** What paths of guests mean, and looking at what a tree has. */
import { ERRNO } from '../../errno.ts';
import { BindTree } from '../../files/bind.ts';
import { hostRoot } from '../../files/layer.ts';
import { STAT_SIZE } from '../../files/place.ts';
import type { Claim, FileTree, Place } from '../../vm/mounts.ts';

export { AT_FDCWD } from '../constants.ts';

/** What a path of a guest means in its view. */
export interface Target {
  /** Canonical (byte string). */
  readonly path: string;
  readonly claim: Claim;
  /** The path ended in a slash: only a directory will do. */
  readonly slash: boolean;
  /** A symbolic link at the end is meant itself. */
  readonly noFollow: boolean;
}

/** An object of a tree, or the place for one. */
export interface TreeTarget extends Target {
  readonly claim: Extract<Claim, { kind: 'tree' }>;
  /** Where it is; undefined where there is nothing (ENOENT). */
  readonly place: Place | undefined;
  /** struct stat of it. */
  readonly stat: Buffer;
  /** A magic link of procfs that leads to an object without a path: this is the path of the link. */
  readonly magic?: string;
  /** The kernel gets to the same device, FIFO or socket by the same path. */
  readonly forKernel?: boolean;
  /** A link of procfs that is meant itself: its path. */
  readonly link?: string;
}

export const isTree = (target: Target): target is TreeTarget => target.claim.kind === 'tree';

/**
 * Whether a symbolic link at the end is meant itself: not where a slash is behind it, except in calls that are about
 * the name and not about what it leads to ('name': mkdir, unlink, rename and their kin). Where a file may be made ('create') it is followed, but not with a slash
 * behind it.
 */
export type LinkUse = boolean | 'name' | 'create';

/** How openat2(2) confines a path: RESOLVE_* bits, and the directory (canonical) that it starts from. */
export interface Confined {
  readonly resolve: number;
  readonly base: string;
}

let host: FileTree | undefined;
/** The host's tree, for paths that have passed the view and left it again. */
export const hostTree = (): FileTree => (host ??= new BindTree(hostRoot(), false));

/** The object itself, and whether there is one. */
export interface Found {
  place: Place | undefined;
  stat: Buffer;
}

/** What a tree has at `path`; a negated errno where that cannot be told from the path as a whole. */
export function look(tree: FileTree, path: string): Found | number {
  const stat = Buffer.allocUnsafe(STAT_SIZE);
  const place = tree.find(path, stat);
  if (typeof place !== 'number') return { place, stat };
  return place === -ERRNO['ENOENT']! ? { place: undefined, stat } : place;
}

/** File systems that show every process something else, or belong to the kernel. */
export const isPseudo = (path: string): boolean => /^\/(?:proc|sys|dev)(?:\/|$)/.test(path);
