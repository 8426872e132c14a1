/**
 * From the path that a guest names to what its view has there. The addon follows the path through the host's
 * tree up to the first claimed place (native/src/path_resolver.h); from there on it is followed here, because
 * only rules and trees know what is below.
 */
import { Errno } from '../../errno.ts';
import { asCaller } from '../../files/identity.ts';
import { closeFd } from '../../files/layer.ts';
import { O_CLOEXEC, O_DIRECTORY, O_PATH, procLink } from '../../files/place.ts';
import { native, PATH_FLAGS } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import { SYS } from '../table.ts';
import { compile, seenAs } from './compiled.ts';
import { hasOwnRoots, isRooted, ownTree, virtualRoot } from './root.ts';
import {
  AT_FDCWD,
  hostTree,
  look,
  type Confined,
  type LinkUse,
  type Target,
  type TreeTarget,
} from './target.ts';
import { Walk, type Way } from './walk.ts';

export { claimAt, covering } from './compiled.ts';
export { frontTable, fromRoot, kernelMounts } from './root.ts';
export { AT_FDCWD, isPseudo, type Confined, type LinkUse, type Target, type TreeTarget } from './target.ts';

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
  if (isRooted(call.process)) return resolveRooted(call, dirfd, where, noFollow, confined);
  const { prefixes, table } = compile(call.process.view);
  if (prefixes.length === 0 && !host) return undefined;
  const flags =
    (noFollow === true || noFollow === 'name' ? PATH_FLAGS.noFollow : 0) |
    (hasOwnRoots(call.vm) ? PATH_FLAGS.ownRoot : 0);
  const { tid, process } = call;
  const found = table.resolve(tid, process.pid, dirfd, where, flags);
  if (found === undefined && !host) return undefined;
  const again = (path: string) => table.resolve(tid, process.pid, AT_FDCWD, path, flags);
  const walk = walkFor(call, dirfd, where, noFollow, again, confined);
  return asCaller(call, () =>
    found === undefined
      ? walk.runOnHost(hostPath(call, dirfd, where, ownTree(call)?.layer.source ?? ''))
      : walk.run(found, host),
  );
}

/**
 * As {@link resolve}, for a caller whose root directory only the view knows: everything with a path is a target, also
 * where the view has nothing.
 */
function resolveRooted(
  call: Call,
  dirfd: number,
  where: number | string,
  noFollow: LinkUse,
  confined?: Confined,
): Target | undefined {
  const path = typeof where === 'string' ? where : where === 0 ? '' : call.readString(where);
  // It is an error, or means the descriptor.
  if (path === '') return undefined;
  const walk = walkFor(call, dirfd, path, noFollow, undefined, confined);
  return asCaller(call, () => walk.runOnHost(seenPath(call, dirfd, path)));
}

/** The absolute form of a path of a rooted caller, as the view has it. */
function seenPath(call: Call, dirfd: number, path: string): string {
  const { root, view } = call.process;
  if (path.startsWith('/')) return root + path;
  const base = baseOf(call, dirfd);
  return `${seenAs(view, base) ?? base}/${path}`;
}

function walkFor(
  call: Call,
  dirfd: number,
  where: number | string,
  links: LinkUse,
  again: Way['again'],
  confined: Confined | undefined,
): Walk {
  if (!call.stillThere()) throw new Errno('ESRCH');
  const { process, tid, vm } = call;
  return new Walk({
    process,
    tid,
    links,
    again,
    confined,
    own: ownTree(call),
    rootLink: (path) => virtualRoot(path, vm),
    startsInLayer: () => startsInLayer(call, dirfd, where),
  });
}

/** Whether a path is a relative one, from a directory that the caller has through a layer. */
function startsInLayer(call: Call, dirfd: number, where: number | string): boolean {
  const path = typeof where === 'string' ? where : call.readString(where);
  if (path.startsWith('/')) return false;
  const base = directoryLink(call, dirfd);
  return base !== undefined && seenAs(call.process.view, base) !== undefined;
}

/** The absolute form of a path that the view has nothing to say about; `root` is that of the caller's root directory. */
function hostPath(call: Call, dirfd: number, where: number | string, root: string): string {
  const path = typeof where === 'string' ? where : call.readString(where);
  if (path === '') throw new Errno('ENOENT');
  return path.startsWith('/') ? root + path : `${baseOf(call, dirfd)}/${path}`;
}

const directoryLink = (call: Call, dirfd: number): string | undefined =>
  procLink(`/proc/${call.tid}/${dirfd === AT_FDCWD ? 'cwd' : `fd/${dirfd}`}`);

/** What procfs calls the directory that a relative path starts from. Throws EBADF or ENOTDIR where it is none. */
function baseOf(call: Call, dirfd: number): string {
  const base = directoryLink(call, dirfd);
  if (base === undefined) throw new Errno('EBADF');
  if (!base.startsWith('/')) throw new Errno('ENOTDIR');
  return base;
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
