/**
 * Copy on write: a lower tree that stays as it is, and an upper directory that takes all changes. What is in the
 * upper directory hides what the lower tree has at the same path; directories of both are merged.
 *
 * Every step leaves trees that mount again: a copy gets its name when it is complete, a name of the lower tree is
 * hidden before the upper directory's own is removed, and after a new one has come into its place.
 */
import { check, ERRNO, Errno, type ErrnoName } from '../../runtime/errno.ts';
import { BindTree, linkWithin, moveWithin } from '../../runtime/files/bind.ts';
import { actingAs, asSelf } from '../../runtime/files/identity.ts';
import type { Layer } from '../../runtime/files/layer.ts';
import * as place from '../../runtime/files/place.ts';
import { directoryOf, inDirectory, isDirectory, join, STAT_SIZE } from '../../runtime/files/place.ts';
import { watchedIn } from '../../runtime/files/subtree.ts';
import { MIRROR, native, type TreeMirror } from '../../runtime/native.ts';
import { SYS } from '../../runtime/syscalls/table.ts';
import type { DirectoryEntry, FileTree, Place } from '../../runtime/vm/mounts.ts';
import { CopiesAhead, LARGE } from './ahead.ts';
import { copyObject, copyTimes } from './copy.ts';
import { requireRemovable, requireWritable } from './permission.ts';
import { hasDirectory, listOf } from './merge.ts';
import { PRIVATE, removeAll, Whiteouts } from './whiteouts.ts';

const [ENOENT, ENOTDIR, ELOOP] = [-ERRNO['ENOENT']!, -ERRNO['ENOTDIR']!, -ERRNO['ELOOP']!];
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;
/** Names of directories that are remembered. */
const MOST_ABSENT = 10_000;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
/** Refusals of the lower tree on which mincow makes a copy. */
const REFUSED: readonly string[] = ['EACCES', 'EPERM', 'EROFS'] satisfies ErrnoName[];

export interface CowOptions {
  readOnly: boolean;
  /** Changes are tried on the lower tree first (mincow). */
  minimal: boolean;
}

export class CowTree implements FileTree {
  readonly layers: FileTree['layers'] = [];
  readonly readOnly: boolean;
  readonly mirror: TreeMirror | undefined;
  readonly #upper: Layer;
  readonly #lower: FileTree;
  readonly #minimal: boolean;
  readonly #whiteouts: Whiteouts;
  readonly #ahead: CopiesAhead;
  /** Directories that the upper directory is known not to have. */
  readonly #absent = new Set<string>();
  /** Directories whose changes somebody watches, or has watched. */
  readonly #watched = new Set<string>();
  #version = 0;

  /** `upper` and `lower` belong to whoever has made them. EBUSY where `upper` is in use already. */
  constructor(upper: Layer, lower: FileTree, { readOnly, minimal }: CowOptions) {
    this.#upper = upper;
    this.#lower = lower;
    this.readOnly = readOnly;
    this.#minimal = minimal;
    if (lower instanceof BindTree) this.mirror = new (native().TreeMirror)(MIRROR.cow, upper, lower.layer);
    this.#whiteouts = new Whiteouts(upper, readOnly, this.mirror);
    this.#ahead = new CopiesAhead(upper, this.#whiteouts);
  }

  close(): void {
    this.#ahead.close();
    this.#whiteouts.close();
  }

  /** Changes with everything that may change a listing. A lower tree that changes by itself has no number: NaN. */
  get version(): number {
    return this.#version + (this.#lower.version ?? NaN);
  }

  #changed(): void {
    this.#version++;
    this.#absent.clear();
    this.mirror?.changed();
  }

  // -- Looking -------------------------------------------------------------------------------------------------

  find(path: string, stat: Buffer): Place | number {
    if (Whiteouts.owns(path)) return ENOENT;
    const upper = this.#lookUpper(path, stat);
    if (upper >= 0) return this.#inUpper(path);
    if (upper !== ENOENT) return upper;
    const lower = this.#findLower(path, stat);
    if (lower === ENOTDIR || lower === ELOOP) {
      // A directory of the upper tree hides a file or link of the lower one, and what would be behind it.
      return this.#upperHasDirectory(directoryOf(path)) ? ENOENT : lower;
    }
    return lower;
  }

  #lookUpper(path: string, stat: Buffer): number {
    const directory = directoryOf(path);
    if (directory !== '' && this.#absent.has(directory)) return ENOENT;
    const result = native().look(this.#upper.fd, path, stat);
    if (result === ENOENT && directory !== '' && native().look(this.#upper.fd, directory, stat) === ENOENT) {
      if (this.#absent.size >= MOST_ABSENT) this.#absent.clear();
      this.#absent.add(directory);
    }
    return result;
  }

  /** What the lower tree has that is not hidden; the copy, where a file with several names has been copied. */
  #findLower(path: string, stat: Buffer): Place | number {
    if (this.#whiteouts.hides(path)) return ENOENT;
    const found = this.#lower.find(path, stat);
    if (typeof found === 'number') return found;
    if (isDirectory(stat) && this.#whiteouts.namesIn(path)) this.#whiteouts.showChange(path, stat);
    if (!place.isRegular(stat) || linksOf(stat) < 2) return found;
    const copy = this.#whiteouts.copyOf(keyOf(stat));
    if (copy === undefined) return found;
    const links = stat.readBigUInt64LE(16);
    check(asSelf(() => native().look(this.#upper.fd, copy, stat)));
    stat.writeBigUInt64LE(links, 16);
    return this.#inUpper(copy);
  }

  #lowerHas(path: string): boolean {
    return (
      !this.#whiteouts.hides(path) && typeof this.#lower.find(path, Buffer.alloc(STAT_SIZE)) !== 'number'
    );
  }

  #upperHas(path: string): boolean {
    return native().look(this.#upper.fd, path, Buffer.alloc(STAT_SIZE)) >= 0;
  }

  #upperHasDirectory(path: string): boolean {
    const stat = Buffer.alloc(STAT_SIZE);
    return !this.#absent.has(path) && this.#lookUpper(path, stat) >= 0 && isDirectory(stat);
  }

  #inUpper(path: string): Place {
    return { layer: this.#upper, path };
  }

  list(path: string): DirectoryEntry[] | undefined {
    const upper = this.#upperHasDirectory(path);
    const lower = !this.#whiteouts.hides(path) && hasDirectory(this.#lower, path);
    const gone = this.#whiteouts.namesIn(path);
    if (!lower && path !== '') return undefined;
    if (!upper && !gone) return this.#lower.list(path);
    const entries = new Map<string, DirectoryEntry>();
    if (lower)
      for (const entry of listOf(this.#lower, path)) if (!gone?.has(entry[0])) entries.set(entry[0], entry);
    if (upper) for (const entry of place.entriesOf(this.#inUpper(path))) entries.set(entry[0], entry);
    if (path === '') entries.delete(PRIVATE);
    return [...entries.values()];
  }

  // -- Changing ------------------------------------------------------------------------------------------------

  prepare(path: string): Promise<void> | undefined {
    const stat = Buffer.alloc(STAT_SIZE);
    const found = this.readOnly || this.#minimal ? ENOENT : this.find(path, stat);
    if (typeof found === 'number' || found.layer === this.#upper || !place.isRegular(stat)) return undefined;
    const size = Number(stat.readBigInt64LE(48));
    return size < LARGE ? undefined : this.#ahead.start(keyOf(stat), found, size);
  }

  /**
   * Changes happen in the upper directory, so what is watched has to be there: it is copied. From then on
   * also a name of the lower tree goes through the upper directory when it is removed.
   */
  watch(path: string): Place {
    const stat = Buffer.alloc(STAT_SIZE);
    const found = this.find(path, stat);
    if (typeof found === 'number') throw new Errno(found);
    if (isDirectory(stat) && !this.#minimal) this.#watched.add(path);
    if (found.layer === this.#upper) return found;
    // Whoever may read a file of root's needs no copy of it just for that.
    const copies = isDirectory(stat) || (isSmall(stat) && !actingAs());
    if (this.readOnly || this.#minimal || !copies) return watchedIn(this.#lower, path);
    this.#copyUp(path, found, stat, false);
    return this.#inUpper(path);
  }

  /** Gives a name that is to be removed to the upper directory, where that is watched; else false. */
  #bringUp(path: string): boolean {
    const stat = Buffer.alloc(STAT_SIZE);
    const found = this.#watched.has(directoryOf(path)) ? this.find(path, stat) : ENOENT;
    if (typeof found === 'number' || (place.isRegular(stat) && !isSmall(stat))) return false;
    if (found.layer === this.#upper) this.#requireName(path);
    else this.#copyUp(path, found, stat, false);
    return true;
  }

  change<T>(path: string, act: (place: Place) => T, truncate = false): T {
    this.#requireChangeable();
    const stat = Buffer.alloc(STAT_SIZE);
    const found = this.find(path, stat);
    if (typeof found === 'number') throw new Errno(found);
    if (found.layer === this.#upper) return act(found);
    return this.#lowerFirst(
      () => this.#lower.change(path, act, truncate),
      () => {
        if (actingAs() && truncate) requireWritable(stat);
        this.#copyUp(path, found, stat, truncate);
        return act(this.#inUpper(path));
      },
    );
  }

  create<T>(path: string, act: (place: Place) => T): T {
    this.#requireChangeable();
    this.#changed();
    if (Whiteouts.owns(path)) throw new Errno('EPERM');
    const above = directoryOf(path);
    const inUpper = (): T => {
      this.#upDirectory(above);
      return act(this.#inUpper(path));
    };
    return this.#madeInLower(path)
      ? this.#lowerFirst(() => this.#lower.create(path, act), inUpper)
      : inUpper();
  }

  /** Whether something new at `path` is tried in the lower tree first. */
  #madeInLower(path: string): boolean {
    const above = directoryOf(path);
    return this.#minimal && !this.#whiteouts.hides(path) && !this.#upperHas(above) && above !== '';
  }

  remove(path: string, directory: boolean): void {
    this.#requireChangeable();
    this.#changed();
    if (path === '') throw new Errno('EBUSY');
    if (directory && this.#isFull(path)) throw new Errno('ENOTEMPTY');
    const upper = this.#upperHas(path);
    requireRemovable(this, path);
    if (!upper && !this.#bringUp(path))
      return this.#lowerFirst(
        () => this.#lower.remove(path, directory),
        () => {
          this.#whiteouts.add(path);
          this.#touch(directoryOf(path));
        },
      );
    if (this.#lowerHas(path)) this.#whiteouts.add(path);
    inDirectory(this.#inUpper(path), (dirfd, name) =>
      check(native().syscall(SYS.unlinkat, dirfd, name, directory ? AT_REMOVEDIR : 0)),
    );
  }

  /** Something in the directory has changed that its upper part does not know of. */
  #touch(directory: string): void {
    if (!this.#upperHasDirectory(directory)) return;
    const [now, omit] = [0x3fffffffn, 0x3ffffffen];
    const times = Buffer.from(new BigInt64Array([0n, omit, 0n, now]).buffer);
    asSelf(() =>
      place.withObject(this.#inUpper(directory), (fd) =>
        native().syscall(SYS.utimensat, fd, '', times, AT_EMPTY_PATH),
      ),
    );
  }

  rename(from: string, to: string, flags: number): void {
    this.#requireChangeable();
    this.#changed();
    const [fromStat, toStat] = [Buffer.alloc(STAT_SIZE), Buffer.alloc(STAT_SIZE)];
    const source = this.find(from, fromStat);
    const target = this.find(to, toStat);
    if (typeof source === 'number') throw new Errno(source);
    const exists = typeof target !== 'number';
    requireNoLoop(from, to, flags);
    if (exists && place.sameObject(fromStat, toStat)) return;
    if (exists && !(flags & RENAME_EXCHANGE)) this.#requireReplaceable(fromStat, toStat, to);
    const isUp = (found: Place | number): boolean => typeof found !== 'number' && found.layer === this.#upper;
    const below = !isUp(source) && !isUp(target) && this.#madeInLower(to);
    const above = (): void => this.#renameUp(from, to, flags, isDirectory(fromStat), exists);
    if (below) this.#lowerFirst(() => this.#lower.rename(from, to, flags), above);
    else above();
  }

  /** rename(2) in the upper directory, which gets what it lacks. */
  #renameUp(from: string, to: string, flags: number, directory: boolean, exists: boolean): void {
    for (const [path, there] of [
      [from, true],
      [to, exists],
    ] as const) {
      if (there) requireRemovable(this, path);
      this.#upDirectory(directoryOf(path));
    }
    this.#copyAll(from);
    if (flags & RENAME_EXCHANGE) return this.#exchange(from, to);
    if (directory && this.#lowerHas(to)) this.#whiteouts.add(to);
    const gone = this.#lowerHas(from);
    moveWithin(this.#inUpper(from), this.#inUpper(to), flags & RENAME_NOREPLACE);
    if (gone) this.#whiteouts.add(from);
  }

  link(from: string, to: string): void {
    this.#requireChangeable();
    if (Whiteouts.owns(to)) throw new Errno('EPERM');
    const stat = Buffer.alloc(STAT_SIZE);
    const found = this.find(from, stat);
    if (typeof found === 'number') throw new Errno(found);
    const inUpper = (): void => {
      if (found.layer !== this.#upper) this.#copyUp(from, found, stat, false);
      this.#requireName(from);
      this.#changed();
      this.#upDirectory(directoryOf(to));
      linkWithin(this.#inUpper(from), this.#inUpper(to));
    };
    const below = this.#minimal && found.layer !== this.#upper && this.#madeInLower(to);
    if (below) this.#lowerFirst(() => this.#lower.link(from, to), inUpper);
    else inUpper();
  }

  #exchange(from: string, to: string): void {
    this.#copyAll(to);
    for (const path of [from, to]) if (this.#lowerHas(path)) this.#whiteouts.add(path);
    moveWithin(this.#inUpper(from), this.#inUpper(to), RENAME_EXCHANGE);
  }

  #requireChangeable(): void {
    if (this.readOnly) throw new Errno('EROFS');
  }

  /** What mincow means: `below` first, and `above` where that is refused. */
  #lowerFirst<T>(below: () => T, above: () => T): T {
    if (!this.#minimal) return above();
    try {
      return below();
    } catch (error) {
      if (!(error instanceof Errno) || !REFUSED.includes(error.code)) throw error;
      return above();
    }
  }

  /** rename(2) over something: only what is of the same kind, and no directory with something in it. */
  #requireReplaceable(from: Buffer, to: Buffer, path: string): void {
    if (!isDirectory(from) && isDirectory(to)) throw new Errno('EISDIR');
    if (isDirectory(from) && !isDirectory(to)) throw new Errno('ENOTDIR');
    if (isDirectory(to) && this.#isFull(path)) throw new Errno('ENOTEMPTY');
  }

  #isFull(path: string): boolean {
    const entries = this.list(path);
    if (entries) return entries.length > 0;
    const found = this.find(path, Buffer.alloc(STAT_SIZE));
    if (typeof found === 'number') throw new Errno(found);
    return asSelf(() => place.entriesOf(found)).length > 0;
  }

  // -- Copying up ----------------------------------------------------------------------------------------------

  /** Sees to it that the upper directory has the directory `path` of the tree. */
  #upDirectory(path: string): void {
    const stat = Buffer.alloc(STAT_SIZE);
    const upper = native().look(this.#upper.fd, path, stat);
    if (upper >= 0 && isDirectory(stat)) return;
    const found = this.find(path, stat);
    if (typeof found === 'number') throw new Errno(found);
    if (!isDirectory(stat)) throw new Errno('ENOTDIR');
    this.#copyUp(path, found, stat, false);
  }

  /** Copies one object of the lower tree, and the directories that it lies in. */
  #copyUp(path: string, from: Place, stat: Buffer, empty: boolean): void {
    asSelf(() => {
      const above = directoryOf(path);
      this.#upDirectory(above);
      const ahead = place.isRegular(stat) && !empty ? this.#ahead.take(keyOf(stat)) : undefined;
      const work = this.#inUpper(ahead ?? this.#whiteouts.workName());
      try {
        copyObject(from, stat, work, empty ? 'none' : ahead === undefined ? 'all' : 'there');
        if (place.isRegular(stat) && linksOf(stat) > 1) this.#whiteouts.addCopy(keyOf(stat), work.path);
        this.#changed();
        this.#keepingTimes(above, () => moveWithin(work, this.#inUpper(path), RENAME_NOREPLACE));
      } catch (error) {
        if (this.#upperHas(work.path)) removeAll(this.#upper, work.path);
        throw error;
      }
    });
  }

  /** The copies of a directory's files do not count as changes of it. */
  #keepingTimes(directory: string, act: () => void): void {
    const stat = Buffer.alloc(STAT_SIZE);
    check(native().look(this.#upper.fd, directory, stat));
    act();
    copyTimes(stat, this.#inUpper(directory));
  }

  /** Copies an object and everything below it. */
  #copyAll(path: string): void {
    const stat = Buffer.alloc(STAT_SIZE);
    const found = this.find(path, stat);
    if (typeof found === 'number') throw new Errno(found);
    if (found.layer !== this.#upper) this.#copyUp(path, found, stat, false);
    else if (found.path !== path) this.#requireName(path);
    if (!isDirectory(stat) || !this.#lowerHas(path)) return;
    for (const [name] of asSelf(() => listOf(this, path))) this.#copyAll(join(path, name));
  }

  /** A file that was copied by another of its names gets this one in the upper directory. */
  #requireName(path: string): void {
    const found = this.find(path, Buffer.alloc(STAT_SIZE));
    if (typeof found === 'number') throw new Errno(found);
    if (found.path === path) return;
    asSelf(() => {
      this.#upDirectory(directoryOf(path));
      linkWithin(found, this.#inUpper(path));
    });
  }
}

const isSmall = (stat: Buffer): boolean => place.isRegular(stat) && stat.readBigInt64LE(48) < LARGE;
const linksOf = (stat: Buffer): number => Number(stat.readBigUInt64LE(16));
/** What tells a file of the lower tree from all others: device, inode, and the time of its last change. */
const keyOf = (stat: Buffer): string =>
  [0, 8, 104, 112].map((at) => stat.readBigUInt64LE(at).toString(36)).join('-');

/** A directory cannot become part of itself. */
function requireNoLoop(from: string, to: string, flags: number): void {
  if (from === '' || to === '') throw new Errno('EBUSY');
  if (to.startsWith(`${from}/`)) throw new Errno('EINVAL');
  if (from.startsWith(`${to}/`)) throw new Errno(flags & RENAME_EXCHANGE ? 'EINVAL' : 'ENOTEMPTY');
}
