/** What each call does on a path that its view has claimed: on a file of the view's own, and behind a redirect. */
import { Errno } from '../../errno.ts';
import type { Call } from '../../vm/call.ts';
import type { VirtualNode } from '../../vm/mounts.ts';
import { PASS, type Answer } from '../outcome.ts';
import { openHow, RESOLVE } from './how.ts';
import * as virtual from './node.ts';
import * as real from './redirect.ts';
import type { Redirect } from './redirect.ts';
import type { Target } from './resolve.ts';
import { encodeStat, encodeStatfs, encodeStatx } from './structs.ts';

/** Does a call on a claimed path that is not denied; `next` is the index of the argument after the path. */
export type Act = (call: Call, target: Target, next: number) => Answer;

/** Does a call with two paths, at least one of which is claimed and none of which is denied. */
export type PairAct = (from: Target | undefined, to: Target | undefined) => Answer;

type OnNode = (call: Call, node: VirtualNode, next: number) => Answer;
type OnRedirect = (call: Call, target: Redirect, next: number) => Answer;

const on =
  (node: OnNode, redirect: OnRedirect): Act =>
  (call, target, next) =>
    target.claim.kind === 'node'
      ? node(call, target.claim.node, next)
      : redirect(call, target as Redirect, next);

/** The act of a call that would change what is there. */
const change = (node: OnNode): Act => on(node, (_call, target) => real.refuseChange(target));

const fail = (code: ConstructorParameters<typeof Errno>[0]) => (): never => {
  throw new Errno(code);
};

// -- Opening ---------------------------------------------------------------------------------------------

const openWith = (call: Call, target: Target, flags: number): Answer =>
  target.claim.kind === 'node'
    ? virtual.openNode(call, target.claim.node, flags)
    : real.openRedirect(call, target as Redirect, flags);

export const open: Act = (call, target, next) => openWith(call, target, call.int(next));
export const creat: Act = (call, target) => openWith(call, target, real.O.CREAT | real.O.TRUNC | 1);

/** A call that confines its path looks at the tree of the host, where nothing of the view can be met. */
export const openat2: Act = (call, target) => {
  const { flags, resolve } = openHow(call);
  if (resolve & (RESOLVE.IN_ROOT | RESOLVE.BENEATH)) return PASS;
  if (resolve & RESOLVE.NO_XDEV) throw new Errno('EXDEV');
  return openWith(call, target, flags);
};

// -- Looking ---------------------------------------------------------------------------------------------

export const stat: Act = on(
  (call, node, next) => {
    call.write(call.arg(next), encodeStat(node.attributes));
    return 0;
  },
  (call, target, next) => {
    const bytes = real.statOf(target);
    if (typeof bytes === 'number') throw new Errno(bytes);
    call.write(call.arg(next), bytes);
    return 0;
  },
);

export const statx: Act = on(
  (call, node, next) => {
    call.write(call.arg(next + 2), encodeStatx(node.attributes));
    return 0;
  },
  (call, target, next) =>
    real.statxRedirect(call, target, call.int(next), call.int(next + 1), call.arg(next + 2)),
);

export const access: Act = on(
  (call, node, next) => virtual.accessNode(call, node, call.int(next)),
  (call, target, next) => real.accessRedirect(call, target, call.int(next)),
);

export const readlink: Act = on(fail('EINVAL'), (call, target, next) => {
  const size = call.int(next + 1);
  if (size <= 0) throw new Errno('EINVAL');
  return real.readlinkRedirect(call, target, call.arg(next), size);
});

export const statfs: Act = on(
  (call, _node, next) => {
    call.write(call.arg(next), encodeStatfs());
    return 0;
  },
  (call, target, next) => real.statfsRedirect(call, target, call.arg(next)),
);

/** The kernel enters directories; those that only a redirect has cannot be entered. */
export const chdir: Act = on(fail('ENOTDIR'), () => PASS);

// -- Changing --------------------------------------------------------------------------------------------

export const chmod: Act = change((call, node, next) => virtual.chmodNode(call, node, call.int(next)));
export const chown: Act = change((call, node, next) =>
  virtual.chownNode(call, node, call.int(next), call.int(next + 1)),
);
export const truncate: Act = change((_call, node) => virtual.truncateNode(node));

/** struct utimbuf (utime(2)), two struct timeval (utimes(2)), two struct timespec (utimensat(2)). */
export const UTIMBUF: virtual.TimeFormat = { seconds: 8, unit: 1, length: 16 };
export const TIMEVALS: virtual.TimeFormat = { seconds: 16, fraction: 24, unit: 1e6, length: 32 };
export const TIMESPECS: virtual.TimeFormat = { seconds: 16, fraction: 24, unit: 1e9, length: 32 };
export const touch = (format: virtual.TimeFormat): Act =>
  change((call, node, next) => virtual.touchNode(call, node, call.arg(next), format));

/** mkdir, mknod, symlink: what is there already is in the way. */
export const make: Act = on(fail('EEXIST'), (_call, target) => real.refuseNew(target));

// Something is mounted there.
export const unlink: Act = change(fail('EBUSY'));
export const rmdir: Act = change(fail('ENOTDIR'));
const AT_REMOVEDIR = 0x200;
export const unlinkat: Act = (call, target, next) =>
  (call.int(next) & AT_REMOVEDIR ? rmdir : unlink)(call, target, next);

/** Neither extended attributes nor file handles nor inode flags: as on a file system that lacks them. */
export const noAttributes: Act = on(fail('ENOTSUP'), (_call, target) => {
  if (typeof real.statOf(target) === 'number') throw new Errno('ENOENT');
  throw new Errno('ENOTSUP');
});
export const listAttributes: Act = on(
  () => 0,
  (_call, target) => {
    if (typeof real.statOf(target) === 'number') throw new Errno('ENOENT');
    return 0;
  },
);

/** inotify_add_watch(2): what is not there as a file has no events. */
export const watch: Act = on(fail('EACCES'), () => PASS);

const isNode = (target: Target | undefined): boolean => target?.claim.kind === 'node';

export const rename: PairAct = (from, to) => {
  if (isNode(from) || isNode(to)) throw new Errno('EBUSY');
  if (from) real.refuseMove(from as Redirect, to as Redirect | undefined);
  throw new Errno('EXDEV');
};

export const link: PairAct = (from, to) => {
  if (isNode(to)) throw new Errno('EEXIST');
  if (isNode(from)) throw new Errno('EXDEV');
  if (from) real.refuseMove(from as Redirect, to as Redirect | undefined);
  throw new Errno('EXDEV');
};
