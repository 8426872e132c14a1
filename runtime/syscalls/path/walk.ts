/** Following a path name by name through rules and trees, from the first claimed place on it. */
import { Errno, ERRNO } from '../../errno.ts';
import type { BindTree } from '../../files/bind.ts';
import { isDirectory, isLink, readLink as linkAt, STAT_SIZE } from '../../files/place.ts';
import { native } from '../../native.ts';
import type { Claim, Place } from '../../vm/mounts.ts';
import type { Process } from '../../vm/process.ts';
import { SYS } from '../table.ts';
import { claimAt, seenAs, wholeWay } from './compiled.ts';
import { RESOLVE } from './how.ts';
import { isMagic, procTarget } from './proc.ts';
import {
  AT_FDCWD,
  hostTree,
  isPseudo,
  look,
  type Confined,
  type Found,
  type LinkUse,
  type Target,
  type TreeTarget,
} from './target.ts';

const PATH_MAX = 4096;
/** Symbolic links that are followed in one path (path_resolution(7)). */
const MOST_LINKS = 40;
const NAME_MAX = 255;

/**
 * Procfs lets a process look at itself whoever it acts for, so our own folder there is closed to guests of other
 * users before it comes to that.
 */
function refuseOurs(path: string, caller: Process): void {
  const tid = /^\/proc\/(\d+)(?:\/|$)/.exec(path)?.[1];
  if (tid === undefined || native().syscall(SYS.tgkill, process.pid, Number(tid), 0) !== 0) return;
  if (caller.credentials()?.uid !== process.geteuid!()) throw new Errno('EACCES');
}

/** Whose path is followed, and how. */
export interface Way {
  readonly process: Process;
  readonly tid: number;
  readonly links: LinkUse;
  /** Follows an absolute path through the host's tree, as the addon's resolver does. */
  readonly again: (path: string) => string | undefined;
  readonly confined: Confined | undefined;
  /** The tree below the caller's own root directory, where it has one. */
  readonly own: BindTree | undefined;
  /** Whether the path starts from a directory of a layer, which the kernel knows nothing else of; asked when it matters. */
  readonly startsInLayer: () => boolean;
}

/** Follows the rest of a path through the tree of the view. */
export class Walk {
  readonly #process: Process;
  readonly #tid: number;
  readonly #links: LinkUse;
  readonly #confined: Confined | undefined;
  readonly #again: Way['again'];
  readonly #startsInLayer: Way['startsInLayer'];
  #leaves: boolean | undefined;
  readonly #own: BindTree | undefined;
  /** Canonical path of where the walk is, and what is still to be followed. */
  #at = '';
  #rest = '';
  #followed = 0;
  /** True after a place that the host does not have there: then the kernel cannot follow the path. */
  #virtual = false;

  constructor({ process, tid, links, again, confined, own, startsInLayer }: Way) {
    this.#own = own;
    this.#startsInLayer = startsInLayer;
    this.#confined = confined;
    this.#process = process;
    this.#tid = tid;
    this.#links = links;
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
  #magicTarget(claim: Extract<Claim, { kind: 'tree' }>, object: Found): TreeTarget {
    const { layer, path } = object.place!;
    return { ...this.#treeTarget(claim, object), link: `${layer.source}/${path}` };
  }

  #treeTarget(claim: Extract<Claim, { kind: 'tree' }>, { place, stat }: Found): TreeTarget {
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

const S_IFMT = 0o170000;
/** Devices, FIFOs and sockets: what an opened one is depends on the process that opens it. */
function isSpecial(stat: Buffer): boolean {
  const type = stat.readUInt32LE(24) & S_IFMT;
  return type !== 0o100000 && type !== 0o040000 && type !== 0o120000;
}
const isMagicPlace = ({ layer, path }: Place): boolean => /^\/proc\/\d+\//.test(`${layer.source}/${path}`);
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
