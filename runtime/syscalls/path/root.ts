/**
 * Where absolute paths of a guest start. There are two kinds of root directories: those that the kernel knows (chroot(2) of a
 * directory of the host, mount namespaces), below which all is looked at through /proc/TID/root, and those that only the
 * view has (Process.root): then nothing with a path is left to the kernel, which would start from another one.
 */
import { readFileSync } from 'node:fs';
import { Errno } from '../../errno.ts';
import { BindTree } from '../../files/bind.ts';
import { closeFd, type Layer } from '../../files/layer.ts';
import { procLink } from '../../files/place.ts';
import { native, type PathTable } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import { viewsChanged } from '../../vm/epoch.ts';
import type { Process } from '../../vm/process.ts';
import type { Vm } from '../../vm/vm.ts';
import { AT_FDCWD, O } from '../constants.ts';
import { SYS } from '../table.ts';
import { compile, seenAs } from './compiled.ts';

// -- Roots of the kernel -----------------------------------------------------------------------------------------

/** VMs with guests whose root directory or mounts may be others than the supervisor's. */
const ownRoots = new WeakSet<Vm>();

export const hasOwnRoots = (vm: Vm): boolean => ownRoots.has(vm);

/**
 * From now on, looks from each caller's own root directory. To be called before a guest is let do what can change
 * where its paths lead: chroot(2), pivot_root(2), setns(2).
 */
export const useOwnRoots = (vm: Vm): void => {
  ownRoots.add(vm);
  viewsChanged();
};

/** As {@link useOwnRoots}, for mounts of the kernel: they matter where the caller has a mount namespace of its own. */
export function kernelMounts(call: Call): void {
  if (ownRoots.has(call.vm)) return;
  const namespace = (who: string) => procLink(`/proc/${who}/ns/mnt`);
  if (namespace(String(call.tid)) !== namespace('self')) useOwnRoots(call.vm);
}

const ownTrees = new WeakMap<Call, BindTree>();

/**
 * The tree below the caller's own root directory, good until the call is answered or waits; undefined where that is
 * the host's. Its source is the path that we know the root by, which paths of the walk begin with.
 */
export function ownTree(call: Call): BindTree | undefined {
  if (!ownRoots.has(call.vm)) return undefined;
  const known = ownTrees.get(call);
  if (known) return known;
  const link = `/proc/${call.tid}/root`;
  const fd = native().syscall(SYS.openat, AT_FDCWD, link, O.O_PATH | O.O_CLOEXEC);
  if (fd < 0) throw new Errno('EPERM');
  // After the handler, which works at once or has taken what it needs.
  setImmediate(() => {
    ownTrees.delete(call);
    closeFd(fd);
  });
  const text = procLink(link) ?? '/';
  const source = text === '/' ? '' : text;
  const layer: Layer = { fd, source, prefix: source, readOnly: false, close: () => undefined };
  const tree = new BindTree(layer, false);
  ownTrees.set(call, tree);
  return tree;
}

// -- Roots of the view -------------------------------------------------------------------------------------------

/** Whether a process has a root directory that the kernel does not know. */
export const isRooted = ({ root }: Process): boolean => root !== '';

/** What answers calls of a guest before they come here; undefined where each has to be looked at. */
export const frontTable = (vm: Vm, process: Process): PathTable | undefined =>
  ownRoots.has(vm) || isRooted(process) ? undefined : compile(process.view).table;

/**
 * The root directory that only the view knows of the process that `link` (/proc/PID/root, or of one of its threads) is
 * about; undefined for other links, and where it is the kernel's.
 */
export function virtualRoot(link: string, { processes }: Vm): string | undefined {
  const [, pid, tid] = /^\/proc\/(\d+)(?:\/task\/(\d+))?\/root$/.exec(link) ?? [];
  if (pid === undefined) return undefined;
  return (processes.get(Number(pid)) ?? processes.ofThread(Number(tid ?? pid)))?.root || undefined;
}

/** `path`, as the view has it, from the caller's own root directory; undefined where it is not below that. */
export function fromRoot(call: Call, path: string): string | undefined {
  const root = rootOf(call);
  if (root === '' || path === root) return path === root ? '/' : path;
  return path.startsWith(`${root}/`) ? path.slice(root.length) : undefined;
}

/** Path in the view of the caller's root directory, "" for that of the view. */
function rootOf({ process, vm, tid }: Call): string {
  if (isRooted(process) || !ownRoots.has(vm)) return process.root;
  const text = procLink(`/proc/${tid}/root`) ?? '/';
  return text === '/' ? '' : (seenAs(process.view, text) ?? text);
}

const CAP_SYS_CHROOT = 18n;

/** Whether the kernel lets the caller change its root directory. */
export function kernelLets({ tid }: Call): boolean {
  const [, capabilities = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(statusOf(tid)) ?? [];
  return ((BigInt(`0x${capabilities}`) >> CAP_SYS_CHROOT) & 1n) === 1n;
}

/**
 * Whether the caller may have a root directory of the view: everybody, as in VUOS, who cannot gain privileges by
 * it (from set-user-ID programs that trust files below the root); else whom the kernel lets.
 */
export const mayBeRooted = (call: Call): boolean =>
  /^NoNewPrivs:\s*1$/m.test(statusOf(call.tid)) || kernelLets(call);

const statusOf = (tid: number): string => readFileSync(`/proc/${tid}/status`, 'latin1');
