/** openat2(2) of paths that start in a mounted tree, with what RESOLVE_* bits ask for. */
import { Errno } from '../../errno.ts';
import type { Call } from '../../vm/call.ts';
import type { Handler } from '../handler.ts';
import { PASS } from '../outcome.ts';
import { isGuarded } from './compiled.ts';
import { openHow, requireKnownHow, RESOLVE } from './how.ts';
import { O } from './redirect.ts';
import { resolve, type LinkUse, type Target, type TreeTarget } from './resolve.ts';
import { openTree } from './tree-open.ts';

const O_TMPFILE_BIT = 0o20000000;
const ALL_RESOLVE = 0x3f;

/** EINVAL as openat2(2) has it. */
function requireValid(flags: number, mode: number, bits: number): void {
  const makes = (flags & (O.CREAT | O_TMPFILE_BIT)) !== 0;
  if (mode & ~0o7777 || (mode !== 0 && !makes) || bits & ~ALL_RESOLVE) throw new Errno('EINVAL');
  if (bits & RESOLVE.BENEATH && bits & RESOLVE.IN_ROOT) throw new Errno('EINVAL');
}

/** Whether two objects lie on different mounts; those of the host are told by their devices. */
function crosses(start: Target | undefined, { claim, stat, place }: TreeTarget): boolean {
  if (start?.claim.kind !== 'tree' || start.claim.mount !== claim.mount) return true;
  return !claim.mount && place !== undefined && (start as TreeTarget).stat.compare(stat, 0, 8, 0, 8) !== 0;
}

/**
 * Answers calls with RESOLVE_BENEATH or RESOLVE_IN_ROOT that start in a tree, and those with other bits that lead into
 * one; undefined for the others.
 */
export function openConfined(call: Call, use: (flags: number) => LinkUse): ReturnType<Handler> | undefined {
  requireKnownHow(call);
  const { flags, mode, resolve: bits } = openHow(call);
  if (bits === 0) return undefined;
  // The kernel would read all of this again.
  const host = isGuarded(call.process.view);
  const inside = (bits & (RESOLVE.BENEATH | RESOLVE.IN_ROOT)) !== 0;
  const start = resolve(call, call.int(0), '.', false, host);
  const base = start?.claim.kind === 'tree' ? start.path : undefined;
  if (inside && base === undefined) return PASS;
  requireValid(flags, mode, bits);
  const path = call.readString(call.arg(1));
  if (bits & RESOLVE.BENEATH && path.startsWith('/')) throw new Errno('EXDEV');
  const relative = bits & RESOLVE.IN_ROOT ? path.replace(/^\/+/, '') || '.' : path;
  const target = resolve(call, call.int(0), relative, use(flags), host, { resolve: bits, base: base ?? '' });
  if (target?.claim.kind !== 'tree') return undefined;
  const there = target as TreeTarget;
  if (bits & RESOLVE.NO_XDEV && crosses(start, there)) throw new Errno('EXDEV');
  return openTree(call, there, flags, mode);
}
