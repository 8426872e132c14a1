/** Calls with two paths: rename(2), link(2) and their kin. */
import { Errno } from '../../errno.ts';
import { isDirectory } from '../../files/place.ts';
import type { Call } from '../../vm/call.ts';
import { AT } from '../constants.ts';
import type { Handler } from '../handler.ts';
import { PASS, type Answer } from '../outcome.ts';
import * as act from './acts.ts';
import { isGuarded } from './compiled.ts';
import { descriptorTarget } from './guard.ts';
import { AT_FDCWD, resolve, type Target, type TreeTarget } from './resolve.ts';
import { isRooted } from './root.ts';
import { requireFlags } from './rows.ts';
import { isTree } from './target.ts';
import { lastDots, linkTree, renameTree, requireParent } from './tree-names.ts';

/** Where a call with two paths has them: [descriptor, path] each, -1 where there is no descriptor. */
type Pair = readonly [readonly [number, number], readonly [number, number]];
const PLAIN_PAIR: Pair = [
  [-1, 0],
  [-1, 1],
];
const AT_PAIR: Pair = [
  [0, 1],
  [2, 3],
];

/** What is done when both paths lead into trees. */
type TreePair = (call: Call, from: TreeTarget, to: TreeTarget, dots: boolean) => Answer;

/** What the first of two paths fails with before the second is looked at; else the dots at its end. */
function precheck(call: Call, from: TreeTarget, index: number, whole: boolean): string | undefined {
  if (whole && !from.place) throw new Errno('ENOENT');
  if (whole && from.slash && !isDirectory(from.stat)) throw new Errno('ENOTDIR');
  if (!from.place) requireParent(from);
  return lastDots(call, from, index);
}

function pairHandler(
  pair: Pair,
  what: act.PairAct,
  inTrees: TreePair,
  follow?: (call: Call) => boolean,
  empty?: (call: Call) => boolean,
): Handler {
  // link(2) looks its first path up completely before the second; rename(2) only up to the last names.
  const fromFirst = what === act.link;
  return (call): Answer => {
    const find = (i: 0 | 1, host: boolean): Target | undefined => {
      const [dirfd, path] = pair[i];
      if (host && i === 0 && empty?.(call) && call.readString(call.arg(path)) === '')
        return descriptorTarget(call, call.int(dirfd));
      const noFollow = i > 0 || !fromFirst ? 'name' : !(follow?.(call) ?? false);
      return resolve(call, dirfd < 0 ? AT_FDCWD : call.int(dirfd), call.arg(path), noFollow, host);
    };
    // What is protected is not left to the kernel, see guardedTarget.
    const all = isGuarded(call.process.view) || isRooted(call.process);
    let from = find(0, all);
    const early = from && isTree(from) ? precheck(call, from, pair[0][1], fromFirst) : undefined;
    let to = find(1, all);
    if (!from && !to) return PASS;
    for (const target of [from, to]) if (target?.claim.kind === 'deny') throw new Errno(target.claim.errno);
    // Where one of them is in a tree the other one is looked for by us too.
    if (from?.claim.kind === 'tree' && !to) to = find(1, true);
    if (to?.claim.kind === 'tree' && !from) from = find(0, true);
    if (from && to && isTree(from) && isTree(to)) {
      if (!to.place) requireParent(to);
      const late = lastDots(call, to, pair[1][1]);
      if (!fromFirst && (early ?? lastDots(call, from, pair[0][1]))) throw new Errno('EBUSY');
      return inTrees(call, from, to, late !== undefined);
    }
    const real = (target: Target | undefined) => (target && isTree(target) ? undefined : target);
    return what(real(from), real(to));
  };
}

const renames = (pair: Pair, flags: (call: Call) => number): Handler =>
  pairHandler(pair, act.rename, (call, from, to, dots) => renameTree(call, from, to, flags(call), dots));
/** `flags` of linkat(2): whether they have a bit. */
const links = (pair: Pair, flags: (bit: number) => (call: Call) => boolean): Handler =>
  pairHandler(pair, act.link, linkTree, flags(AT.AT_SYMLINK_FOLLOW), flags(AT.AT_EMPTY_PATH));

const linkat = links(AT_PAIR, (bit) => (call) => (call.int(4) & bit) !== 0);

/** Handlers of the calls that name two files. */
export const pairHandlers = {
  rename: renames(PLAIN_PAIR, () => 0),
  renameat: renames(AT_PAIR, () => 0),
  renameat2: renames(AT_PAIR, (call) => call.int(4)),
  link: links(PLAIN_PAIR, () => () => false),
  linkat: (call: Call): Answer => {
    requireFlags('linkat', call);
    return linkat(call);
  },
} as const;
