/** mount(2) and umount2(2): what modules serve is mounted in the view, everything else is the kernel's affair. */
import { Errno } from '../errno.ts';
import { requireOwner } from '../vm/access.ts';
import type { Call } from '../vm/call.ts';
import { absolutePath, mountPoint } from '../vm/paths.ts';
import type { Handler } from './handler.ts';
import { PASS, type Answer, type Outcome } from './outcome.ts';
import { isGuarded } from './path/compiled.ts';
import { leaveMountsToKernel } from './path/index.ts';

/** Longest text of `-o`: the kernel takes a page. */
const DATA_MAX = 4095;
/** Flags of umount2(2). */
const MNT_FORCE = 1;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
/** Flags of mount(2) that change something that is mounted already, or make no new file system. */
const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
const MS_MOVE = 0x2000;
const COPIES = MS_BIND | MS_REMOUNT;
const MS_SHARED_KINDS = 0x1e0000;

/** Runs an operation on the view; its reason for failing is kept for VU_ERROR. */
export async function withReason(call: Call, work: () => Promise<Outcome | void>): Promise<Outcome> {
  try {
    return (await work()) ?? 0;
  } catch (error) {
    call.process.lastError =
      error instanceof Errno ? (error.message === error.code ? '' : error.message) : 'internal error';
    throw error;
  }
}

const mount: Handler = (call) => {
  const flags = call.int(3);
  call.process.lastError = '';
  // A type beside MS_BIND or MS_MOVE is not for the kernel, which ignores it: the words are options of our types.
  const type = call.arg(2) === 0 ? '' : call.readString(call.arg(2), 255);
  // A copy of a mount would show protected files at paths that the view knows nothing of.
  if (isGuarded(call.process.view) && (type === 'overlay' || (type === '' && (flags & COPIES) === MS_BIND)))
    throw new Errno('EPERM');
  const ours = type !== '' && call.vm.modules.forType(type) !== undefined;
  if (type === '' || flags & (MS_REMOUNT | MS_SHARED_KINDS) || (!ours && flags & (MS_BIND | MS_MOVE))) {
    return leaveMountsToKernel(call);
  }
  if (!ours) {
    call.process.lastError = `no module serves type «${type}»: insert one with vu_insmod`;
    return leaveMountsToKernel(call);
  }
  requireOwner(call.process, call.vm.uid);
  const source = call.arg(0) === 0 ? '' : call.readString(call.arg(0));
  const path = call.readString(call.arg(1));
  const options = call.arg(4) === 0 ? '' : call.readString(call.arg(4), DATA_MAX);
  // Asked for at once: a caller that waits for long can be interrupted from the start.
  const { process, vm, signal } = call;
  return withReason(call, async () => {
    const target = await mountPoint(call, path, true);
    return vm.mount({ type, source, target, options, flags }, { view: process.view, process, signal });
  });
};

const umount2: Handler = (call) => {
  const flags = call.int(1);
  call.process.lastError = '';
  const path = call.readString(call.arg(0));
  const { view } = call.process;
  if (path === '' || view.mounts.list().length === 0) return leaveMountsToKernel(call);
  const at = (target: string): Answer => {
    if (!view.mounts.at(target)) return leaveMountsToKernel(call);
    requireOwner(call.process, call.vm.uid);
    const lazy = (flags & (MNT_DETACH | MNT_FORCE)) !== 0;
    return withReason(call, () => call.vm.unmount(target, { view, lazy }));
  };
  const written = absolutePath(call, path);
  return view.mounts.at(written)
    ? at(written)
    : mountPoint(call, path, (flags & UMOUNT_NOFOLLOW) === 0).then(at);
};

/** fsopen(2) of a type that a module serves is refused, so that libmount falls back to mount(2). */
const fsopen: Handler = (call) => {
  const type = call.readString(call.arg(0), 255);
  if (call.vm.modules.forType(type)) throw new Errno('ENOSYS');
  return PASS;
};

export const mountHandlers = { mount, umount2, fsopen } as const;
