/**
 * From the path that a guest names to what its view has there. The addon follows the path through the host's
 * tree up to the first claimed place (native/src/path_resolver.h); from there on it is followed here, because
 * only rules and trees know what is below.
 */
import { Errno } from '../../errno.ts';
import { BindTree } from '../../files/bind.ts';
import { closeFd, type Layer } from '../../files/layer.ts';
import { O_CLOEXEC, O_DIRECTORY, O_PATH, procLink } from '../../files/place.ts';
import { native, PATH_FLAGS, type PathTable } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import { viewsChanged } from '../../vm/epoch.ts';
import type { Process } from '../../vm/process.ts';
import type { Vm } from '../../vm/vm.ts';
import { SYS } from '../table.ts';
import { compile, seenAs } from './compiled.ts';
import {
  AT_FDCWD,
  hostTree,
  look,
  type Confined,
  type LinkUse,
  type Target,
  type TreeTarget,
} from './target.ts';
import { Walk } from './walk.ts';

export { claimAt, covering } from './compiled.ts';
export { AT_FDCWD, isPseudo, type Confined, type LinkUse, type Target, type TreeTarget } from './target.ts';

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
  const namespace = (who: string) => procLink(`/proc/${who}/ns/mnt`);
  if (namespace(String(call.tid)) !== namespace('self')) useOwnRoots(call.vm);
}

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
  const walk = new Walk({
    process,
    tid,
    links: noFollow,
    again,
    confined,
    own,
    startsInLayer: () => startsInLayer(call, dirfd, where),
  });
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
