/**
 * From the path that a guest names to what its view has there. The addon follows the path through the host's
 * tree up to the first claimed place (native/src/path_resolver.h); from there on it is followed here, because
 * only rules and trees know what is below.
 */
import { Errno, ERRNO } from '../../errno.ts';
import { BindTree } from '../../files/bind.ts';
import { closeFd, hostRoot, type Layer } from '../../files/layer.ts';
import {
  isDirectory,
  isLink,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  procLink,
  readLink as linkAt,
  STAT_SIZE,
} from '../../files/place.ts';
import { native, PATH_FLAGS, type PathTable } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import { viewsChanged } from '../../vm/epoch.ts';
import type { Claim, FileTree, Place } from '../../vm/mounts.ts';
import type { Process } from '../../vm/process.ts';
import type { Vm } from '../../vm/vm.ts';
import { SYS } from '../table.ts';
import { claimAt, compile, seenAs, wholeWay } from './compiled.ts';
import { RESOLVE } from './how.ts';
import { isMagic, procTarget } from './proc.ts';

export { claimAt, covering } from './compiled.ts';

export const AT_FDCWD = -100;
const PATH_MAX = 4096;
/** Symbolic links that are followed in one path (path_resolution(7)). */
const MOST_LINKS = 40;
const NAME_MAX = 255;

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

/** VMs with guests whose root directory or mounts may be others than the supervisor's. */
const ownRoots = new WeakSet<Vm>();

/**
 * From now on, looks from each caller's own root directory. To be called before a guest is let do what can change
 * where its paths lead: chroot(2), pivot_root(2), setns(2).
 */
export const useOwnRoots = (vm: Vm): void => {
  ownRoots.add(vm);
  viewsChanged();
};

/** What answers calls of the guests of `vm` before they come here; undefined where each has to be looked at. */
export const frontTable = (vm: Vm, { view }: Process): PathTable | undefined =>
  ownRoots.has(vm) ? undefined : compile(view).table;

/** As {@link useOwnRoots}, for mounts of the kernel: they matter where the caller has a mount namespace of its own. */
export function kernelMounts(call: Call): void {
  if (ownRoots.has(call.vm)) return;
  const namespace = (who: string) =>
    readLink({ kind: 'redirect', dirfd: AT_FDCWD, path: `/proc/${who}/ns/mnt` });
  if (namespace(String(call.tid)) !== namespace('self')) useOwnRoots(call.vm);
}

let host: FileTree | undefined;
/** The host's tree, for paths that have passed the view and left it again. */
const hostTree = (): FileTree => (host ??= new BindTree(hostRoot(), false));

/**
 * The tree below the caller's own root directory, good until the call is answered or waits; undefined where that is
 * the host's. Its source is the path that we know the root by, which paths of the walk begin with.
 */
function ownTree(call: Call): BindTree | undefined {
  if (!ownRoots.has(call.vm)) return undefined;
  const link = `/proc/${call.tid}/root`;
  const fd = native().syscall(SYS.openat, AT_FDCWD, link, O_PATH | O_CLOEXEC);
  if (fd < 0) throw new Errno('EPERM');
  // After the handler, which works at once or has taken what it needs.
  setImmediate(closeFd, fd);
  const text = procLink(link) ?? '/';
  const source = text === '/' ? '' : text;
  const layer: Layer = { fd, source, prefix: source, readOnly: false, close: () => undefined };
  return new BindTree(layer, false);
}

/**
 * What a path of the caller means: `where` is its address in the guest, or a byte string, and starts from `dirfd`
 * if it is relative. Undefined when the kernel gets to the same object by the same path. Throws Errno where the
 * path leads into the view and there to nothing (ENOENT, ENOTDIR, ELOOP); only the last name of a path into a tree
 * may be missing. With `host` also what the kernel would get to is a target, in the host's tree.
 */
export function resolve(
  call: Call,
  dirfd: number,
  where: number | string,
  noFollow: LinkUse,
  host = false,
  confined?: Confined,
): Target | undefined {
  const { prefixes, table } = compile(call.process.view);
  if (prefixes.length === 0) return undefined;
  const flags =
    (noFollow === true || noFollow === 'name' ? PATH_FLAGS.noFollow : 0) |
    (ownRoots.has(call.vm) ? PATH_FLAGS.ownRoot : 0);
  const { tid, process } = call;
  const found = table.resolve(tid, process.pid, dirfd, where, flags);
  if (found === undefined && !host) return undefined;
  if (!call.stillThere()) throw new Errno('ESRCH');
  const again = (path: string) => table.resolve(tid, process.pid, AT_FDCWD, path, flags);
  const own = ownTree(call);
  const walk = new Walk(process, tid, noFollow, again, confined, own, () =>
    startsInLayer(call, dirfd, where),
  );
  return found === undefined
    ? walk.runOnHost(hostPath(call, dirfd, where, own?.layer.source ?? ''))
    : walk.run(found, host);
}

/** Whether a path is a relative one, from a directory that the caller has through a layer. */
function startsInLayer(call: Call, dirfd: number, where: number | string): boolean {
  const path = typeof where === 'string' ? where : call.readString(where);
  if (path.startsWith('/')) return false;
  const base = procLink(`/proc/${call.tid}/${dirfd === AT_FDCWD ? 'cwd' : `fd/${dirfd}`}`);
  return base !== undefined && seenAs(call.process.view, base) !== undefined;
}

/** The absolute form of a path that the view has nothing to say about; `root` is that of the caller's root directory. */
function hostPath(call: Call, dirfd: number, where: number | string, root: string): string {
  const path = typeof where === 'string' ? where : call.readString(where);
  if (path === '') throw new Errno('ENOENT');
  if (path.startsWith('/')) return root + path;
  const base = procLink(`/proc/${call.tid}/${dirfd === AT_FDCWD ? 'cwd' : `fd/${dirfd}`}`);
  if (base === undefined) throw new Errno('EBADF');
  return `${base}/${path}`;
}

/** The object itself, and whether there is one. */
interface Object {
  place: Place | undefined;
  stat: Buffer;
}

/**
 * Procfs lets a process look at itself whoever it acts for, so our own folder there is closed to guests of other
 * users before it comes to that.
 */
function refuseOurs(path: string, caller: Process): void {
  const tid = /^\/proc\/(\d+)(?:\/|$)/.exec(path)?.[1];
  if (tid === undefined || native().syscall(SYS.tgkill, process.pid, Number(tid), 0) !== 0) return;
  if (caller.credentials()?.uid !== process.geteuid!()) throw new Errno('EACCES');
}

/** Follows the rest of a path through the tree of the view. */
class Walk {
  readonly #process: Process;
  readonly #tid: number;
  readonly #links: LinkUse;
  readonly #confined: Confined | undefined;
  /** Follows an absolute path through the host's tree, as the addon's resolver does. */
  readonly #again: (path: string) => string | undefined;
  /** Whether the path starts from a directory of a layer, which the kernel knows nothing else of; asked when it matters. */
  readonly #startsInLayer: () => boolean;
  #leaves: boolean | undefined;
  /** The tree below the caller's own root directory, where it has one. */
  readonly #own: BindTree | undefined;
  /** Canonical path of where the walk is, and what is still to be followed. */
  #at = '';
  #rest = '';
  #followed = 0;
  /** True after a place that the host does not have there: then the kernel cannot follow the path. */
  #virtual = false;

  constructor(
    process: Process,
    tid: number,
    noFollow: LinkUse,
    again: (path: string) => string | undefined,
    confined: Confined | undefined,
    own: BindTree | undefined,
    startsInLayer: () => boolean,
  ) {
    this.#own = own;
    this.#startsInLayer = startsInLayer;
    this.#confined = confined;
    this.#process = process;
    this.#tid = tid;
    this.#links = noFollow;
    this.#again = again;
  }

  /** Starts from a path of the host on which nothing is claimed. */
  runOnHost(path: string): Target | undefined {
    this.#at = path;
    this.#virtual = true;
    this.#outside();
    return this.#run();
  }

  /** Starts from what the addon's resolver has found; `host`: the kernel's ways are ours too. */
  run(found: string, host: boolean): Target | undefined {
    this.#split(found);
    this.#virtual = host;
    return this.#run();
  }

  #run(): Target | undefined {
    for (;;) {
      const claim = claimAt(this.#process.view, this.#at, this.#process);
      if (claim?.kind === 'node' && this.#rest !== '') throw new Errno('ENOTDIR');
      if (claim?.kind === 'node' || claim?.kind === 'deny') return this.#target(claim);
      const result = claim?.kind === 'redirect' ? this.#real(claim) : this.#inTree(claim);
      if (result !== 'on') return result;
    }
  }

  // -- Trees ---------------------------------------------------------------------------------------------------

  /** One step in a tree, or all of them at once. */
  #inTree(claim: Extract<Claim, { kind: 'tree' }> | undefined): Target | undefined | 'on' {
    const here = claim ?? this.#host();
    if (claim) {
      const whole = this.#whole(claim);
      if (whole) return whole === 'native' ? undefined : whole;
    }
    if (!claim && this.#virtual) refuseOurs(this.#below(this.#at), this.#process);
    const object = look(here.tree, here.path);
    // The kernel knows better than we do what the host has there: the caller may have mounts of its own.
    if (!claim && !this.#virtual && (typeof object === 'number' || !object.place)) return undefined;
    if (typeof object === 'number') throw new Errno(object);
    const { place, stat } = object;
    const more = /[^/]/.test(this.#rest);
    if (place) this.#virtual ||= !this.#native(place);
    if (place && isLink(stat) && (more || this.#follows(this.#rest !== ''))) return this.#follow(here, place);
    if (!more) {
      if (place && isLink(stat) && isMagicPlace(place)) return this.#magicTarget(here, object);
      // On the host the kernel finds the errno, and makes what is new.
      if (!this.#virtual && (!claim || (place && isPseudo(this.#at)))) return undefined;
      const forKernel = !this.#virtual && place !== undefined && isSpecial(stat);
      if (claim && place && this.#isShown(claim, place)) return this.#shown();
      const target: TreeTarget = { ...this.#treeTarget(here, object), forKernel };
      return target;
    }
    if (!place) throw new Errno('ENOENT');
    return this.#step(isDirectory(stat));
  }

  /** Devices, and what the kernel shows of itself, are the host's, whatever tree is mounted around them. */
  #isShown(claim: Extract<Claim, { kind: 'tree' }>, place: Place): boolean {
    return isPseudo(this.#at) && !isPseudo(claim.mount?.target ?? '') && this.#native(place);
  }

  /** What the host has where the walk is. */
  #shown(): TreeTarget {
    refuseOurs(this.#below(this.#at), this.#process);
    const here = this.#host();
    const object = look(here.tree, here.path);
    if (typeof object === 'number') throw new Errno(object);
    const link = object.place && isLink(object.stat) && isMagicPlace(object.place);
    return link ? this.#magicTarget(here, object) : this.#treeTarget(here, object);
  }

  /** Where the walk is, in the host's tree or in that of the caller's own root directory. */
  #host(): Extract<Claim, { kind: 'tree' }> {
    const below = this.#own && this.#below(this.#at);
    if (below === undefined || below === this.#at) {
      const tree = this.#own?.layer.source === '' ? this.#own : hostTree();
      return { kind: 'tree', tree, path: this.#at.slice(1) };
    }
    return { kind: 'tree', tree: this.#own!, path: below.slice(1) };
  }

  /** `path` as the caller writes it, from its own root directory. */
  #below(path: string): string {
    const root = this.#own?.layer.source ?? '';
    return path === root ? '/' : path.startsWith(`${root}/`) ? path.slice(root.length) : path;
  }

  /** True where the kernel would be at the same object, had it followed the same path. */
  #native({ layer, path }: Place): boolean {
    const same =
      `${layer.source}/${path}` === this.#at || (path === '' && (layer.source || '/') === this.#at);
    return same && !(this.#leaves ??= this.#startsInLayer());
  }

  /** The target, when nothing but names of one tree lies on the way; 'native' when it is the kernel's. */
  #whole(claim: Extract<Claim, { kind: 'tree' }>): TreeTarget | 'native' | undefined {
    if (/\/\.\.(?:\/|$)/.test(this.#rest) || !claim.mount) return undefined;
    const dot = /\/\.\/*$/.test(this.#rest);
    const names = this.#rest
      .replace(/\/\.(?=\/|$)/g, '')
      .replace(/\/+/g, '/')
      .replace(/\/$/, '');
    const path = (this.#at === '/' ? '' : this.#at) + names || '/';
    if (!wholeWay(this.#process.view, this.#at, claim, path)) return undefined;
    const inside = claim.path === '' ? names.slice(1) : claim.path + names;
    const object = look(claim.tree, inside);
    // Somewhere on the way is a link, or something that is in the way; or the end is a link to be followed.
    if (typeof object === 'number') return undefined;
    const slash = dot || this.#rest.endsWith('/');
    if (object.place && isLink(object.stat) && (dot || this.#follows(slash))) return undefined;
    let forKernel = false;
    if (object.place && !this.#virtual && (isPseudo(path) || isSpecial(object.stat))) {
      const same = `${object.place.layer.source}/${object.place.path}` === path;
      forKernel = same && !(this.#leaves ??= this.#startsInLayer());
      // The text of a link of procfs is ours to give.
      if (forKernel && isPseudo(path) && !isLink(object.stat)) return 'native';
    }
    this.#at = path;
    this.#rest = slash ? '/' : '';
    if (object.place && this.#isShown(claim, object.place)) return this.#shown();
    return { ...this.#treeTarget({ ...claim, path: inside }, object), forKernel };
  }

  /** Whether a link at the end of the path is followed. */
  #follows(slash: boolean): boolean {
    return this.#links === 'create' ? !slash : this.#links === true ? slash : !this.#links;
  }

  #follow(claim: Extract<Claim, { kind: 'tree' }>, place: Place): Target | undefined | 'on' {
    const forbidden = RESOLVE.NO_SYMLINKS & (this.#confined?.resolve ?? 0);
    if (forbidden || ++this.#followed > MOST_LINKS) throw new Errno('ELOOP');
    const path = `${place.layer.source}/${place.path}`;
    let link = procTarget(this.#below(path), this.#process.pid, this.#tid) ?? linkAt(place);
    let start = link.startsWith('/') ? this.#rootOf() : `${parentOf(this.#at)}/`;
    if (isMagic(this.#below(path), link)) {
      if (this.#confined) throw new Errno(this.#confined.resolve & RESOLVE.NO_MAGICLINKS ? 'ELOOP' : 'EXDEV');
      const seen = seenAs(this.#process.view, link);
      const stat = Buffer.alloc(STAT_SIZE);
      // At the end of a path the kernel leads to the object itself, which may have no name any more.
      if (!/[^/]/.test(this.#rest) && native().syscall(SYS.newfstatat, AT_FDCWD, path, stat, 0) >= 0) {
        if (!this.#virtual) return undefined;
        const target: TreeTarget = { ...this.#treeTarget(claim, { place, stat }), magic: path };
        return target;
      }
      if (!link.startsWith('/')) throw new Errno('ENOENT');
      link = seen ?? link;
      start = '';
    }
    return this.#restart(`${start}${link}${this.#rest}`) ? 'on' : this.#outside();
  }

  /** Where absolute links start: a confined path has a root of its own, or may not have them (EXDEV). */
  #rootOf(): string {
    const { resolve = 0, base = '' } = this.#confined ?? {};
    if (resolve & RESOLVE.BENEATH) throw new Errno('EXDEV');
    if (resolve & RESOLVE.IN_ROOT) return base === '/' ? '' : base;
    return this.#own?.layer.source ?? '';
  }

  /** The directory above: a confined path does not leave the one that it starts from. */
  #above(): string {
    const { resolve = 0, base = '' } = this.#confined ?? {};
    if (resolve & RESOLVE.BENEATH && this.#at === base) throw new Errno('EXDEV');
    const stays = resolve & RESOLVE.IN_ROOT && this.#at === base;
    return stays || (this.#own && this.#at === this.#own.layer.source) ? this.#at : parentOf(this.#at);
  }

  /** A link of procfs itself, whose text tells what the view has. */
  #magicTarget(claim: Extract<Claim, { kind: 'tree' }>, object: Object): TreeTarget {
    const { layer, path } = object.place!;
    return { ...this.#treeTarget(claim, object), link: `${layer.source}/${path}` };
  }

  #treeTarget(claim: Extract<Claim, { kind: 'tree' }>, { place, stat }: Object): TreeTarget {
    return { ...this.#target(claim), claim, place, stat };
  }

  /** Takes the next name; `directory` tells whether this is one. */
  #step(directory: boolean): Target | undefined | 'on' {
    if (!directory) throw new Errno('ENOTDIR');
    const name = this.#next();
    // "dir/." is "dir/": a directory, or ENOTDIR.
    if (name === '.') this.#rest ||= '/';
    else if (name === '..') {
      this.#rest ||= '/';
      if (!this.#restart(`${this.#above()}/${this.#rest}`)) return this.#outside();
    } else if (name.length > NAME_MAX) throw new Errno('ENAMETOOLONG');
    else this.#at = this.#at === '/' ? `/${name}` : `${this.#at}/${name}`;
    return 'on';
  }

  // -- Redirects -----------------------------------------------------------------------------------------------

  #real(claim: Redirect): Target | undefined | 'on' {
    const more = /[^/]/.test(this.#rest);
    this.#virtual = true;
    const link = more || this.#follows(this.#rest !== '') ? readLink(claim) : -ERRNO['EINVAL']!;
    if (typeof link === 'string') {
      if (++this.#followed > MOST_LINKS) throw new Errno('ELOOP');
      const start = link.startsWith('/') ? '' : `${parentOf(this.#at)}/`;
      return this.#restart(`${start}${link}${this.#rest}`) ? 'on' : this.#outside();
    }
    if (!more) return this.#target(claim);
    if (link !== -ERRNO['EINVAL']!) throw new Errno(link);
    return this.#step(!/^\/*\.\.(?:\/|$)/.test(this.#rest) || isRealDirectory(claim));
  }

  // -- The path ------------------------------------------------------------------------------------------------

  /** The path has left everything that is claimed: it goes on in the host's tree. */
  #outside(): Target | undefined | 'on' {
    if (!this.#virtual) return undefined;
    const names = this.#at.replace(/\/+/g, '/');
    this.#at = '/';
    this.#rest = names;
    return 'on';
  }

  #target(claim: Claim): Target {
    return {
      path: this.#at,
      claim,
      slash: this.#rest !== '',
      noFollow: this.#links === true || this.#links === 'name',
    };
  }

  #restart(path: string): boolean {
    if (path.length >= PATH_MAX * 2) throw new Errno('ENAMETOOLONG');
    const found = this.#again(this.#below(path));
    if (found === undefined) {
      this.#at = path;
      this.#rest = '';
      return false;
    }
    this.#split(found);
    return true;
  }

  #split(found: string): void {
    const end = found.indexOf('\0');
    this.#at = end < 0 ? found : found.slice(0, end);
    this.#rest = end < 0 ? '' : found.slice(end + 1);
  }

  /** Takes the next component from the rest; what remains keeps its leading slashes. */
  #next(): string {
    const [, name = '', rest = ''] = /^\/*([^/]+)(.*)$/s.exec(this.#rest) ?? [];
    this.#rest = rest;
    return name;
  }
}

/** `path`, as the view has it, from the caller's own root directory; undefined where it is not below that. */
export function fromRoot(call: Call, path: string): string | undefined {
  const root = ownRoots.has(call.vm) ? procLink(`/proc/${call.tid}/root`) : '/';
  if (root === '/' || root === undefined) return path;
  const seen = seenAs(call.process.view, root) ?? root;
  if (path === seen) return '/';
  return path.startsWith(`${seen}/`) ? path.slice(seen.length) : undefined;
}

/** `at` as an object of the host, in the tree below the caller's root directory. */
export function hostTarget(call: Call, at: Pick<Target, 'path' | 'slash' | 'noFollow'>): TreeTarget {
  const tree = ownTree(call) ?? hostTree();
  const [root = ''] = tree.layers.map(({ source }) => source);
  const path = at.path.startsWith(`${root}/`) ? at.path.slice(root.length + 1) : at.path.slice(1);
  const object = look(tree, path);
  if (typeof object === 'number') throw new Errno(object);
  return { ...at, claim: { kind: 'tree', tree, path }, ...object };
}

/** Path of the directory that the kernel finds at `path` for the caller, as we know it. */
export function hostDirectory(call: Call, path: string): string | undefined {
  const from = `/proc/${call.tid}/${path.startsWith('/') ? 'root' : 'cwd'}/${path}`;
  const fd = native().syscall(SYS.openat, AT_FDCWD, from, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return undefined;
  const text = procLink(`/proc/self/fd/${fd}`);
  closeFd(fd);
  return text;
}

/** What a tree has at `path`; a negated errno where that cannot be told from the path as a whole. */
function look(tree: FileTree, path: string): Object | number {
  const stat = Buffer.allocUnsafe(STAT_SIZE);
  const place = tree.find(path, stat);
  if (typeof place !== 'number') return { place, stat };
  return place === -ERRNO['ENOENT']! ? { place: undefined, stat } : place;
}

const S_IFMT = 0o170000;
/** Devices, FIFOs and sockets: what an opened one is depends on the process that opens it. */
function isSpecial(stat: Buffer): boolean {
  const type = stat.readUInt32LE(24) & S_IFMT;
  return type !== 0o100000 && type !== 0o040000 && type !== 0o120000;
}
const isMagicPlace = ({ layer, path }: Place): boolean => /^\/proc\/\d+\//.test(`${layer.source}/${path}`);
/** File systems that show every process something else, or belong to the kernel. */
export const isPseudo = (path: string): boolean => /^\/(?:proc|sys|dev)(?:\/|$)/.test(path);

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));

type Redirect = Extract<Claim, { kind: 'redirect' }>;
const linkText = Buffer.alloc(PATH_MAX);

/** The text of a symbolic link, or a negated errno: -EINVAL for what exists and is none. */
function readLink({ dirfd, path }: Redirect): string | number {
  if (path === '') return -ERRNO['EINVAL']!;
  const length = native().syscall(SYS.readlinkat, dirfd, path, linkText, PATH_MAX);
  return length < 0 ? length : linkText.toString('latin1', 0, length);
}

const isRealDirectory = ({ dirfd, path }: Redirect): boolean =>
  readLink({ kind: 'redirect', dirfd, path: path === '' ? '.' : `${path}/.` }) === -ERRNO['EINVAL']!;
