/**
 * getdents64(2) of directories that no single real directory has: merged ones, and those that mounts stand in. The
 * guest's descriptor is one of the real directories; where it has got to is kept, as always, in its file offset,
 * which is ours to choose. Entries come in the order of a hash of their names, so that every offset means the same
 * whatever is made and removed meanwhile, and nothing has to be remembered.
 *
 * A listing that the kernel has begun, because at that time the real directory had all of it, is the kernel's to end:
 * its offsets mean nothing here. So ours are such that no file system has.
 */
import { check, Errno } from '../../errno.ts';
import { asCaller } from '../../files/identity.ts';
import { closeFd } from '../../files/layer.ts';
import { entriesOf, procLink, STAT_SIZE } from '../../files/place.ts';
import { native } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import type { DirectoryEntry, FileTree } from '../../vm/mounts.ts';
import type { View } from '../../vm/view.ts';
import type { Handler } from '../handler.ts';
import { PASS, type Outcome } from '../outcome.ts';
import { SYS } from '../table.ts';
import { seenAs } from './compiled.ts';
import { claimAt, fromRoot } from './resolve.ts';

const SEEK_SET = 0;
const SEEK_CUR = 1;
const DT_DIR = 4;
const DT_REG = 8;
/** Bytes of struct linux_dirent64 before the name. */
const HEADER = 19;
/** Listings that are kept: large directories are read in many calls. */
const MOST_LISTINGS = 16;
/** Our offsets lie above this, and below twice this. Those of file systems are below, or hashes of 63 bits. */
const OURS = 2 ** 33;
/** How long a listing is good, in ms. */
const LISTING_MS = 1000;

/** An entry with the offset that follows it. */
interface Placed {
  entry: DirectoryEntry;
  next: number;
}

const listings = new Map<string, { entries: Placed[]; made: number }>();

/** 32 bits of FNV-1a, above the offsets of "." and "..". */
function hash(name: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) value = Math.imul(value ^ name.charCodeAt(i), 0x01000193);
  return (value >>> 0) + 3;
}

/** So many entries are ordered by numbers that hold a hash and an index, which is several times faster. */
const MOST_INDEXED = 2 ** 20;

const byName = ({ entry: [a] }: Placed, { entry: [b] }: Placed): number => (a < b ? -1 : a > b ? 1 : 0);

/** In the order of hashes, those of one hash in that of names. */
function ordered(entries: readonly DirectoryEntry[]): Placed[] {
  if (entries.length > MOST_INDEXED)
    return entries
      .map((entry) => ({ entry, next: hash(entry[0]) }))
      .sort((a, b) => a.next - b.next || byName(a, b));
  const keys = new Float64Array(entries.length);
  for (let i = 0; i < keys.length; i++) keys[i] = hash(entries[i]![0]) * MOST_INDEXED + i;
  keys.sort();
  const placed: Placed[] = [];
  for (const key of keys) {
    const item = { entry: entries[key % MOST_INDEXED]!, next: Math.floor(key / MOST_INDEXED) };
    let at = placed.length;
    for (; at > 0 && placed[at - 1]!.next === item.next && byName(placed[at - 1]!, item) > 0; at--)
      placed[at] = placed[at - 1]!;
    placed[at] = item;
  }
  return placed;
}

function place(entries: readonly DirectoryEntry[], self: number, parent: number): Placed[] {
  const placed = ordered(entries);
  placed.unshift({ entry: ['.', DT_DIR, self], next: 1 }, { entry: ['..', DT_DIR, parent], next: 2 });
  // Two names of one hash get different offsets.
  let last = OURS;
  for (const each of placed) each.next = last = Math.max(OURS + each.next, last + 1);
  return placed;
}

/** A number of up to 53 bits as a 64-bit one. */
function writeLong(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value >>> 0, at);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

/** As many entries after offset `from` as there is room for. */
function encode(entries: readonly Placed[], from: number, room: number): { bytes: Buffer; next: number } {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle]!.next <= from) low = middle + 1;
    else high = middle;
  }
  const bytes = Buffer.alloc(Math.min(room, 1 << 20));
  let at = 0;
  let offset = from;
  for (let i = low; i < entries.length; i++) {
    const { entry, next } = entries[i]!;
    const [name, type, inode] = entry;
    const length = (HEADER + name.length + 1 + 7) & ~7;
    if (at + length > bytes.length) {
      if (at === 0) throw new Errno('EINVAL');
      break;
    }
    writeLong(bytes, inode, at);
    writeLong(bytes, next, at + 8);
    bytes.writeUInt16LE(length, at + 16);
    bytes.writeUInt8(type, at + 18);
    bytes.write(name, at + HEADER, 'latin1');
    at += length;
    offset = next;
  }
  return { bytes: bytes.subarray(0, at), next: offset };
}

/** Names of mounts that stand in the directory at `path`, with the type of what they are. */
function mountsIn(call: Call, path: string): DirectoryEntry[] {
  const { view } = call.process;
  const prefix = path === '/' ? '/' : `${path}/`;
  return view.mounts
    .list()
    .filter(
      ({ target }) =>
        target.startsWith(prefix) && target !== '/' && !target.slice(prefix.length).includes('/'),
    )
    .filter(
      ({ target, type, tree }) =>
        view.mounts.covering(target)?.target === target && (tree !== undefined || type !== ''),
    )
    .map((mount) => {
      const mode = mount.node?.attributes.mode;
      const type = mode === undefined ? DT_DIR : (mode >> 12) & 0xf;
      return [mount.target.slice(prefix.length), type === 0 ? DT_REG : type, mount.node?.attributes.ino ?? 1];
    });
}

/**
 * What the view has in the directory at `path`; undefined where the real directory `text` has all of it, unless the
 * listing is `begun` already.
 */
function listing(call: Call, path: string, text: string, begun: boolean): DirectoryEntry[] | undefined {
  const mounts = mountsIn(call, path);
  const claim = claimAt(call.process.view, path, call.process);
  const tree = claim?.kind === 'tree' ? claim : undefined;
  const merged = asCaller(call, () => tree?.tree.list(tree.path));
  if (!merged && mounts.length === 0 && !begun) return undefined;
  const entries = merged ?? (tree ? realEntries(call, tree) : hostEntries(call, text));
  if (mounts.length === 0) return entries;
  const have = new Set(entries.map(([name]) => name));
  const more = mounts.filter(([name]) => !have.has(name));
  return merged || more.length > 0 || begun ? [...entries, ...more] : undefined;
}

function realEntries(call: Call, { tree, path }: { tree: FileTree; path: string }): DirectoryEntry[] {
  const at = tree.find(path, Buffer.alloc(STAT_SIZE));
  if (typeof at === 'number') throw new Errno(at);
  return asCaller(call, () => entriesOf(at));
}

function hostEntries(call: Call, text: string): DirectoryEntry[] {
  const O_DIRECTORY = 0o200000;
  const O_CLOEXEC = 0o2000000;
  const fd = check(asCaller(call, () => native().syscall(SYS.openat, -100, text, O_DIRECTORY | O_CLOEXEC)));
  try {
    const list = native().readDirectory(fd);
    if (typeof list === 'number') throw new Errno(list);
    const entries: DirectoryEntry[] = [];
    for (let i = 0; i < list.length; i += 3) {
      const name = list[i] as string;
      if (name !== '.' && name !== '..') entries.push([name, list[i + 1] as number, list[i + 2] as number]);
    }
    return entries;
  } finally {
    closeFd(fd);
  }
}

/** The listing of the directory, from the start or, where it is `begun`, as a call before has seen it. */
function placedListing(call: Call, path: string, text: string, begun: boolean): Placed[] | undefined {
  const key = `${call.process.pid}:${call.int(0)}:${text}`;
  const known = listings.get(key);
  if (known && begun && performance.now() - known.made < LISTING_MS) return known.entries;
  const entries = listing(call, path, text, begun);
  listings.delete(key);
  if (!entries) return undefined;
  const placed = place(entries, 1, 1);
  listings.set(key, { entries: placed, made: performance.now() });
  for (const oldest of listings.keys()) {
    if (listings.size <= MOST_LISTINGS) break;
    listings.delete(oldest);
  }
  return placed;
}

/** Directories that turned out to be just the real ones, as long as nothing changes. */
const plain = new WeakMap<readonly string[], Map<string, number>>();
const MOST_PLAIN = 20_000;

export const getdents64: Handler = (call): Outcome => {
  const { view } = call.process;
  if (view.mounts.list().length === 0) return PASS;
  const text = procLink(`/proc/${call.tid}/fd/${call.int(0)}`);
  if (text === undefined || !text.startsWith('/')) return PASS;
  const path = seenAs(view, text) ?? text;
  const { tree } = view.mounts.covering(path) ?? {};
  if (tree === undefined && mountsIn(call, path).length === 0) return PASS;
  const known = plainOf(view);
  const version = tree?.version ?? NaN;
  if (known.get(text) === version) return PASS;
  const fd = check(native().syscall(SYS.pidfd_getfd, call.process.pidfd, call.int(0), 0));
  try {
    const from = native().syscall(SYS.lseek, fd, 0, SEEK_CUR);
    const begun = from > OURS && from < 2 * OURS;
    if (from !== 0 && !begun) return PASS;
    const entries = placedListing(call, path, text, begun);
    if (!entries) {
      if (known.size >= MOST_PLAIN) known.clear();
      if (!Number.isNaN(version)) known.set(text, version);
      return PASS;
    }
    const { bytes, next } = encode(entries, from, call.arg(2) >>> 0);
    if (bytes.length > 0) call.write(call.arg(1), bytes);
    if (next !== from) check(native().syscall(SYS.lseek, fd, next, SEEK_SET));
    return bytes.length;
  } finally {
    closeFd(fd);
  }
};

function plainOf(view: View): Map<string, number> {
  const key = view.prefixes();
  const known = plain.get(key) ?? new Map<string, number>();
  plain.set(key, known);
  return known;
}

/** getcwd(2): the path that the view has the directory at. */
export const getcwd: Handler = (call): Outcome => {
  const text = procLink(`/proc/${call.tid}/cwd`);
  const seen = text && (seenAs(call.process.view, text) ?? (call.process.root && text));
  if (seen === undefined || seen === '') return PASS;
  if (seen.endsWith(' (deleted)')) throw new Errno('ENOENT');
  const path = fromRoot(call, seen) ?? `(unreachable)${seen}`;
  const bytes = Buffer.from(`${path}\0`, 'latin1');
  if (bytes.length > call.arg(1)) throw new Errno('ERANGE');
  call.write(call.arg(0), bytes);
  return bytes.length;
};
