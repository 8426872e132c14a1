/**
 * The calls that name files. A table says where each of them has its path and flags and what it does; one
 * function asks the view. A path on which the view has nothing to say is the kernel's.
 */
import { Errno } from '../../errno.ts';
import type { Handler } from '../handler.ts';
import { PASS } from '../outcome.ts';
import type { SyscallName } from '../table.ts';
import { rootHandlers } from './chroot.ts';
import { isGuarded } from './compiled.ts';
import { getcwd, getdents64 } from './directory.ts';
import { guardedTarget, guardHandlers } from './guard.ts';
import { openConfined } from './openat2.ts';
import { pairHandlers } from './pairs.ts';
import { AT_FDCWD, resolve } from './resolve.ts';
import { changes, needsContent, openUse, OPENS, requireFlags, ROWS, type Row } from './rows.ts';
import { isTree } from './target.ts';
import { TREE_ACTS } from './tree-acts.ts';

function handlerOf(name: SyscallName, row: Row): Handler {
  const { path, dirfd, noFollow = false, act: what } = row;
  const inTree = TREE_ACTS[name]!;
  const answer: Handler = (call) => {
    requireFlags(name, call);
    const confined = name === 'openat2' ? openConfined(call, openUse) : undefined;
    if (confined !== undefined) return confined;
    const link = typeof noFollow === 'function' ? noFollow(call) : noFollow;
    const from = dirfd === undefined ? AT_FDCWD : call.int(dirfd);
    let target = resolve(call, from, call.arg(path), link);
    const guarded = isGuarded(call.process.view) && changes(name, call);
    if (!target && guarded) target = guardedTarget(call, name, from, path, link);
    if (!target) return PASS;
    if (target.claim.kind === 'deny') throw new Errno(target.claim.errno);
    if (isTree(target) && target.forKernel && !guarded && OPENS.has(name)) return PASS;
    if (!isTree(target)) return what(call, target, path + 1);
    const ready = needsContent(name, call) ? target.claim.tree.prepare?.(target.claim.path) : undefined;
    if (!ready) return inTree(call, target, path + 1);
    // The path may lead elsewhere by then.
    const { signal } = call;
    return ready.then(() => {
      if (signal.aborted) throw signal.reason as Error;
      return answer(call);
    });
  };
  return answer;
}

function handlers(rows: Partial<Record<SyscallName, Row>>): Partial<Record<SyscallName, Handler>> {
  return Object.fromEntries(
    Object.entries(rows).map(([name, row]) => [name, handlerOf(name as SyscallName, row)]),
  );
}

/** Handlers of the calls that name files. */
export const pathHandlers: Partial<Record<SyscallName, Handler>> = {
  ...handlers(ROWS),
  ...pairHandlers,
  ...rootHandlers,
};

/** Handlers of calls that have no path, and yet say what a view with trees of files has. */
export const treeHandlers = { getcwd, getdents64, ...guardHandlers } as const;

export { leaveMountsToKernel } from './chroot.ts';
