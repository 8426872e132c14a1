/** Calls that change where paths of a guest start: chroot(2), pivot_root(2), setns(2). */
import { Errno } from '../../errno.ts';
import { isDirectory, procLink } from '../../files/place.ts';
import { X_OK } from '../../vm/access.ts';
import type { Call } from '../../vm/call.ts';
import { AT } from '../constants.ts';
import type { Handler } from '../handler.ts';
import { PASS, type Outcome } from '../outcome.ts';
import { seenAs } from './compiled.ts';
import { AT_FDCWD, hostDirectory, resolve, type Target, type TreeTarget } from './resolve.ts';
import { isRooted, kernelLets, kernelMounts, mayBeRooted, useOwnRoots } from './root.ts';
import { accessTree } from './tree-attributes.ts';

/** Calls after which paths of guests may lead elsewhere than those of the supervisor. */
const byKernel = (call: Call): Outcome => {
  useOwnRoots(call.vm);
  return PASS;
};

/** Whether roots can be virtual: every call with a path is trapped, and those that tell paths. */
const areVirtual = ({ vm, process }: Call): boolean => isRooted(process) || vm.traps('getcwd');

const hasTrees = ({ process }: Call): boolean => process.view.mounts.list().some(({ tree }) => tree);

/** What the view has at the path in argument `index`, or the host; it has to be a directory. */
function directory(call: Call, index: number): TreeTarget {
  const target = resolve(call, AT_FDCWD, call.readString(call.arg(index)), false, true);
  if (!target) throw new Errno('ENOENT');
  if (target.claim.kind === 'deny') throw new Errno(target.claim.errno);
  if (target.claim.kind === 'node') throw new Errno('ENOTDIR');
  // What a rule leads to is no part of the tree.
  if (target.claim.kind === 'redirect') throw new Errno('EPERM');
  const there = target as TreeTarget;
  if (!there.place) throw new Errno('ENOENT');
  if (!isDirectory(there.stat)) throw new Errno('ENOTDIR');
  return there;
}

/** The path in the view of a directory that was named, perhaps by a link of procfs. */
function pathOf(call: Call, { path, magic }: TreeTarget): string {
  const text = magic === undefined ? path : (procLink(magic) ?? path);
  return seenAs(call.process.view, text) ?? text;
}

/** False where the kernel would take another directory for the one that the view has. */
function isKernels(call: Call, index: number, target: Target): boolean {
  return hostDirectory(call, call.readString(call.arg(index))) === target.path;
}

/**
 * chroot(2): the root directory becomes one of the view, which all calls with paths start from. Where there are no trees,
 * those whom the kernel lets have it done by the kernel.
 */
const chroot: Handler = (call) => {
  if (!areVirtual(call) || (!isRooted(call.process) && !hasTrees(call) && kernelLets(call))) {
    const target = resolve(call, AT_FDCWD, call.arg(0), false);
    if (target?.claim.kind === 'deny') throw new Errno(target.claim.errno);
    if (target && !isKernels(call, 0, target)) throw new Errno('EPERM');
    return byKernel(call);
  }
  const target = directory(call, 0);
  accessTree(call, target, X_OK, AT.AT_EACCESS);
  if (!mayBeRooted(call)) throw new Errno('EPERM');
  const path = pathOf(call, target);
  call.vm.processes.changeRoot(call.process, call.tid, path === '/' ? '' : path);
  return 0;
};

/** pivot_root(2): EINVAL as for what is no mount point of the kernel, or for who has a root directory of the view. */
const pivotRoot: Handler = (call) => {
  if (isRooted(call.process)) throw new Errno('EINVAL');
  for (const index of hasTrees(call) ? [0, 1] : [])
    if (!isKernels(call, index, directory(call, index))) throw new Errno('EINVAL');
  return byKernel(call);
};

/** Mounts of the kernel are made by paths of the kernel, which are others below a root of the view. */
export function leaveMountsToKernel(call: Call): Outcome {
  if (isRooted(call.process)) throw new Errno('EPERM');
  kernelMounts(call);
  return PASS;
}

export const rootHandlers = {
  chroot,
  pivot_root: pivotRoot,
  setns: byKernel,
  move_mount: leaveMountsToKernel,
} as const;
