/** Following a path name by name through rules and trees, from the first claimed place on it. */
import { Errno, ERRNO } from '../../errno.ts';
import { isDirectory, isLink, isRegular, readLink as linkAt, STAT_SIZE } from '../../files/place.ts';
import { native } from '../../native.ts';
import type { Claim, Place } from '../../vm/mounts.ts';
import type { Process } from '../../vm/process.ts';
import { AT_FDCWD } from '../constants.ts';
import { SYS } from '../table.ts';
import { claimAt, seenAs, wholeWay } from './compiled.ts';
import { HostSide, type Way } from './host.ts';
import { RESOLVE } from './how.ts';
import { isMagic, procTarget } from './proc.ts';
import { isRealDirectory, linkOf, PATH_MAX, type RedirectClaim } from './redirect.ts';
import {
  isPseudo,
  look,
  type Confined,
  type Found,
  type LinkUse,
  type Target,
  type TreeTarget,
} from './target.ts';

export type { Way } from './host.ts';

/** Symbolic links that are followed in one path (path_resolution(7)). */
const MOST_LINKS = 40;
const NAME_MAX = 255;

/** Follows the rest of a path through the tree of the view. */
export class Walk {
  readonly #way: Way;
  readonly #process: Process;
  readonly #links: LinkUse;
  readonly #confined: Confined | undefined;
  readonly #host: HostSide;
  /** Canonical path of where the walk is, and what is still to be followed. */
  #at = '';
  #rest = '';
  #followed = 0;
  /** True after a place that the host does not have there: then the kernel cannot follow the path. */
  #virtual = false;

  constructor(way: Way) {
    this.#way = way;
    this.#process = way.process;
    this.#links = way.links;
    this.#confined = way.confined;
    this.#host = new HostSide(way);
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
    const here = claim ?? this.#host.claim(this.#at);
    if (claim) {
      const whole = this.#whole(claim);
      if (whole) return whole === 'native' ? undefined : whole;
    }
    if (!claim && this.#virtual) this.#host.refuseOurs(this.#at);
    const object = look(here.tree, here.path);
    // The kernel knows better than we do what the host has there: the caller may have mounts of its own.
    if (!claim && !this.#virtual && (typeof object === 'number' || !object.place)) return undefined;
    if (typeof object === 'number') throw new Errno(object);
    const { place, stat } = object;
    const more = /[^/]/.test(this.#rest);
    if (place) this.#virtual ||= !this.#host.hasAt(place, this.#at);
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
    return isPseudo(this.#at) && !isPseudo(claim.mount?.target ?? '') && this.#host.hasAt(place, this.#at);
  }

  /** What the host has where the walk is. */
  #shown(): TreeTarget {
    this.#host.refuseOurs(this.#at);
    const here = this.#host.claim(this.#at);
    const object = look(here.tree, here.path);
    if (typeof object === 'number') throw new Errno(object);
    const link = object.place && isLink(object.stat) && isMagicPlace(object.place);
    return link ? this.#magicTarget(here, object) : this.#treeTarget(here, object);
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
      forKernel = this.#host.hasAt(object.place, path);
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
    const name = this.#host.below(path);
    const text = procTarget(name, this.#process.pid, this.#way.tid) ?? linkAt(place);
    if (isMagic(name, text)) return this.#followMagic(claim, place, path, text);
    const start = text.startsWith('/') ? this.#rootOf() : `${parentOf(this.#at)}/`;
    return this.#restart(`${start}${text}${this.#rest}`) ? 'on' : this.#outside();
  }

  /** Follows a link of procfs, which leads to an object whatever its text says. */
  #followMagic(
    claim: Extract<Claim, { kind: 'tree' }>,
    place: Place,
    path: string,
    text: string,
  ): Target | undefined | 'on' {
    if (this.#confined) throw new Errno(this.#confined.resolve & RESOLVE.NO_MAGICLINKS ? 'ELOOP' : 'EXDEV');
    const root = this.#way.rootLink(this.#host.below(path));
    const seen = root ?? seenAs(this.#process.view, text);
    const stat = Buffer.alloc(STAT_SIZE);
    // At the end of a path the kernel leads to the object itself, which may have no name any more.
    const last = root === undefined && !/[^/]/.test(this.#rest);
    if (last && native().syscall(SYS.newfstatat, AT_FDCWD, path, stat, 0) >= 0) {
      if (!this.#virtual) return undefined;
      const target: TreeTarget = { ...this.#treeTarget(claim, { place, stat }), magic: path };
      return target;
    }
    if (!text.startsWith('/')) throw new Errno('ENOENT');
    // The kernel knows another root directory.
    if (root !== undefined) this.#virtual = true;
    return this.#restart(`${seen ?? text}${this.#rest}`) ? 'on' : this.#outside();
  }

  /** Where absolute links start: a confined path has a root of its own, or may not have them (EXDEV). */
  #rootOf(): string {
    const { resolve = 0, base = '' } = this.#confined ?? {};
    if (resolve & RESOLVE.BENEATH) throw new Errno('EXDEV');
    if (resolve & RESOLVE.IN_ROOT) return base === '/' ? '' : base;
    return this.#root;
  }

  /** The directory above: a confined path does not leave the one that it starts from. */
  #above(): string {
    const { resolve = 0, base = '' } = this.#confined ?? {};
    if (resolve & RESOLVE.BENEATH && this.#at === base) throw new Errno('EXDEV');
    const stays = resolve & RESOLVE.IN_ROOT && this.#at === base;
    return stays || (this.#root !== '' && this.#at === this.#root) ? this.#at : parentOf(this.#at);
  }

  /** The caller's root directory: one of the view, or the kernel's. */
  get #root(): string {
    return this.#process.root || this.#host.root;
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

  #real(claim: RedirectClaim): Target | undefined | 'on' {
    const more = /[^/]/.test(this.#rest);
    this.#virtual = true;
    const link = more || this.#follows(this.#rest !== '') ? linkOf(claim) : -ERRNO['EINVAL']!;
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
    const { again } = this.#way;
    const found = again ? again(this.#host.below(path)) : `/\0${path}`;
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

/** Devices, FIFOs and sockets: what an opened one is depends on the process that opens it. */
const isSpecial = (stat: Buffer): boolean => !isRegular(stat) && !isDirectory(stat) && !isLink(stat);
const isMagicPlace = ({ layer, path }: Place): boolean => /^\/proc\/\d+\//.test(`${layer.source}/${path}`);
const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));
