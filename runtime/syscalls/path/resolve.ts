/**
 * From the path that a guest names to what its view has there. The addon follows the path through the host's
 * tree up to the first claimed place (native/src/path_resolver.h); from there on it is followed here, because
 * only rules know what is below.
 */
import { Errno, ERRNO } from '../../errno.ts';
import { native, PATH_FLAGS, type PathTable } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import type { Claim, PathRule } from '../../vm/mounts.ts';
import type { Process } from '../../vm/process.ts';
import type { View } from '../../vm/view.ts';
import type { Vm } from '../../vm/vm.ts';
import { SYS } from '../table.ts';

export const AT_FDCWD = -100;
const PATH_MAX = 4096;
/** Symbolic links that are followed in one path (path_resolution(7)). */
const MOST_LINKS = 40;

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

/** VMs with guests whose root directory or mounts may be others than the supervisor's. */
const ownRoots = new WeakSet<Vm>();

/**
 * From now on, looks from each caller's own root directory. To be called before a guest is let do what can change
 * where its paths lead: chroot(2), pivot_root(2), setns(2).
 */
export const useOwnRoots = (vm: Vm): void => void ownRoots.add(vm);

/** As {@link useOwnRoots}, for mounts of the kernel: they matter where the caller has a mount namespace of its own. */
export function kernelMounts(call: Call): void {
  if (ownRoots.has(call.vm)) return;
  const namespace = (who: string) =>
    readLink({ kind: 'redirect', dirfd: AT_FDCWD, path: `/proc/${who}/ns/mnt` });
  if (namespace(String(call.tid)) !== namespace('self')) useOwnRoots(call.vm);
}

/** What is worked out from the rules and mounts of a view, until they change. */
interface Compiled {
  /** By its identity it is known whether they have changed. */
  prefixes: readonly string[];
  table: PathTable;
  /** The newest first. */
  rules: { rule: PathRule; covers: (path: string) => boolean }[];
}

const compiled = new WeakMap<View, Compiled>();

function compile(view: View): Compiled {
  const prefixes = view.prefixes();
  const known = compiled.get(view);
  if (known?.prefixes === prefixes) return known;
  const rules = view.rules.map((rule) => ({ rule, covers: covering(rule.prefix) })).reverse();
  const made = { prefixes, table: new (native().PathTable)(prefixes), rules };
  compiled.set(view, made);
  return made;
}

/** The test whether a path is `prefix` or lies below it; a component `*` of `prefix` stands for any one. */
export function covering(prefix: string): (path: string) => boolean {
  if (prefix === '/') return () => true;
  if (!prefix.split('/').includes('*'))
    return (path) => path.startsWith(prefix) && (path[prefix.length] ?? '/') === '/';
  const parts = prefix.split('/').map((part) => (part === '*' ? '[^/]+' : part.replace(/[^\w/]/g, '\\$&')));
  const pattern = new RegExp(`^${parts.join('/')}(?:/|$)`, 's');
  return (path) => pattern.test(path);
}

/** What the view has at exactly `path` (canonical); undefined for the host's own file. */
export function claimAt(view: View, path: string, process: Process): Claim | undefined {
  const mount = view.mounts.at(path);
  if (mount) return { kind: 'node', node: mount.node };
  for (const { rule, covers } of compile(view).rules) {
    const claim = covers(path) ? rule.claim(path, process) : undefined;
    if (claim) return claim;
  }
  return undefined;
}

/**
 * What a path of the caller means: `where` is its address in the guest, or a byte string, and starts from `dirfd`
 * if it is relative. Undefined when the view has nothing to say about it. Throws Errno where the path leads into
 * the view and there to nothing (ENOENT, ENOTDIR, ELOOP).
 */
export function resolve(
  call: Call,
  dirfd: number,
  where: number | string,
  noFollow: boolean,
): Target | undefined {
  const { prefixes, table } = compile(call.process.view);
  if (prefixes.length === 0) return undefined;
  const flags = (noFollow ? PATH_FLAGS.noFollow : 0) | (ownRoots.has(call.vm) ? PATH_FLAGS.ownRoot : 0);
  const { tid, process } = call;
  const found = table.resolve(tid, process.pid, dirfd, where, flags);
  if (found === undefined) return undefined;
  if (!call.stillThere()) throw new Errno('ESRCH');
  const again = (path: string) => table.resolve(tid, process.pid, AT_FDCWD, path, flags);
  return new Walk(process, noFollow, again).run(found);
}

/** Follows the rest of a path through the tree of the view. */
class Walk {
  readonly #process: Process;
  readonly #noFollow: boolean;
  /** Follows an absolute path through the host's tree, as the addon's resolver does. */
  readonly #again: (path: string) => string | undefined;
  /** Canonical path of where the walk is, and what is still to be followed. */
  #at = '';
  #rest = '';
  /** True after a place that is not the host's: then the kernel cannot follow the path. */
  #virtual = false;

  constructor(process: Process, noFollow: boolean, again: (path: string) => string | undefined) {
    this.#process = process;
    this.#noFollow = noFollow;
    this.#again = again;
  }

  run(found: string): Target | undefined {
    this.#split(found);
    for (let links = 0; ;) {
      const claim = claimAt(this.#process.view, this.#at, this.#process);
      const more = /[^/]/.test(this.#rest);
      if (claim?.kind === 'node' && this.#rest !== '') throw new Errno('ENOTDIR');
      if (claim?.kind === 'node' || claim?.kind === 'deny') return this.#target(claim);
      this.#virtual ||= claim !== undefined;
      const real = claim ?? { kind: 'redirect' as const, dirfd: AT_FDCWD, path: this.#at };
      const link = more || this.#rest !== '' || !this.#noFollow ? readLink(real) : -ERRNO['EINVAL']!;
      if (typeof link === 'string') {
        if (++links > MOST_LINKS) throw new Errno('ELOOP');
        const start = link.startsWith('/') ? '' : `${parentOf(this.#at)}/`;
        if (!this.#restart(`${start}${link}${this.#rest}`)) return this.#outside();
        continue;
      }
      if (!more) return this.#virtual ? this.#target(real) : undefined;
      if (link !== -ERRNO['EINVAL']!) {
        if (!this.#virtual) return undefined;
        throw new Errno(link);
      }
      const name = this.#next();
      // "dir/." is "dir/": a directory, or ENOTDIR.
      if (name === '.') this.#rest ||= '/';
      else if (name !== '..') this.#at = this.#at === '/' ? `/${name}` : `${this.#at}/${name}`;
      else if (!isDirectory(real)) throw new Errno('ENOTDIR');
      else if (!this.#restart(`${parentOf(this.#at)}/${this.#rest}`)) return this.#outside();
    }
  }

  /** The path has left everything that is claimed. */
  #outside(): Target | undefined {
    return this.#virtual ? this.#target({ kind: 'redirect', dirfd: AT_FDCWD, path: this.#at }) : undefined;
  }

  #target(claim: Claim): Target {
    return { path: this.#at, claim, slash: this.#rest !== '', noFollow: this.#noFollow };
  }

  #restart(path: string): boolean {
    const found = this.#again(path);
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

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));

type Redirect = Extract<Claim, { kind: 'redirect' }>;
const linkText = Buffer.alloc(PATH_MAX);

/** The text of a symbolic link, or a negated errno: -EINVAL for what exists and is none. */
function readLink({ dirfd, path }: Redirect): string | number {
  if (path === '') return -ERRNO['EINVAL']!;
  const length = native().syscall(SYS.readlinkat, dirfd, path, linkText, PATH_MAX);
  return length < 0 ? length : linkText.toString('latin1', 0, length);
}

const isDirectory = ({ dirfd, path }: Redirect): boolean =>
  readLink({ kind: 'redirect', dirfd, path: path === '' ? '.' : `${path}/.` }) === -ERRNO['EINVAL']!;
