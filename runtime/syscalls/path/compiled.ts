/** What is worked out from the mounts and rules of a view, until they change. */
import { native, type PathTable, type TreeMirror } from '../../native.ts';
import type { Claim, Mount, PathRule } from '../../vm/mounts.ts';
import { below } from '../../vm/mounts.ts';
import type { Process } from '../../vm/process.ts';
import type { View } from '../../vm/view.ts';

/** A rule or mount with the test whether a path is at or below its place. */
interface Covering {
  prefix: string;
  /** How many names it has. */
  depth: number;
  covers: (path: string) => boolean;
}

const depthOf = (path: string): number => (path === '/' ? 0 : path.split('/').length - 1);
const coveringOf = (prefix: string): Covering => ({
  prefix,
  depth: depthOf(prefix),
  covers: covering(prefix),
});

export interface Compiled {
  /** By its identity it is known whether they have changed. */
  prefixes: readonly string[];
  table: PathTable;
  /** The newest first. */
  rules: (Covering & { rule: PathRule })[];
  /** Everything that can be met below a mounted tree. */
  places: Covering[];
  /** Directories of layers as procfs names them, and where the view has them; the longest first. */
  origins: readonly (readonly [real: string, seen: string, mount: Mount])[];
  guarded: boolean;
}

const compiled = new WeakMap<View, Compiled>();

export function compile(view: View): Compiled {
  const prefixes = view.prefixes();
  const known = compiled.get(view);
  if (known?.prefixes === prefixes) return known;
  const rules = view.rules.map((rule) => ({ rule, ...coveringOf(rule.prefix) })).reverse();
  const mounts = view.mounts.list();
  const origins = mounts
    .flatMap((mount) =>
      (mount.tree?.layers ?? []).map((layer) => [layer.prefix, mount.target, mount] as const),
    )
    .filter(([real]) => real !== '')
    .sort(([a], [b]) => b.length - a.length);
  const { PathTable } = native();
  const made: Compiled = {
    prefixes,
    table: new PathTable(
      prefixes,
      origins.flatMap(([real, seen]) => [real, seen]),
      mirrorsOf(view),
    ),
    rules,
    places: [...rules, ...mounts.map(({ target }) => coveringOf(target))],
    origins,
    guarded: mounts.some(protects),
  };
  compiled.set(view, made);
  return made;
}

/** Targets of mounts and the mirrors of their trees, where neither another mount nor a rule has the same place. */
function mirrorsOf(view: View): (string | TreeMirror)[] {
  const ruled = new Set(view.rules.map(({ prefix }) => prefix));
  return view.mounts.list().flatMap((mount) => {
    const { target, tree } = mount;
    if (!tree?.mirror || tree.excludes || ruled.has(target)) return [];
    return view.mounts.at(target) === mount ? [target, tree.mirror] : [];
  });
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

/** Whether a mount protects files from changes: a read-only one, or one over a lower tree. */
export const protects = ({ tree }: Mount): boolean =>
  tree !== undefined && (tree.readOnly || tree.layers.some((layer) => layer.readOnly));

/** Whether the view protects files from changes that the host's paths lead to: read-only mounts, lower trees. */
export const isGuarded = (view: View): boolean => compile(view).guarded;

/** The claim of a tree that is mounted in `view` on `path`, which is at or below its target. */
const treeClaim = (mount: Mount, path: string): Claim => ({
  kind: 'tree',
  tree: mount.tree!,
  path: below(path, mount.target),
  mount,
});

/**
 * What the view has at `path` (canonical); undefined for the host's own file. Single files that are mounted come
 * first, then rules, then trees: a module's text stays where it is when a tree is mounted around it.
 */
export function claimAt(view: View, path: string, process: Process): Claim | undefined {
  const mount = view.mounts.covering(path);
  if (mount?.node) return { kind: 'node', node: mount.node };
  for (const { rule, covers } of compile(view).rules) {
    const claim = covers(path) ? rule.claim(path, process) : undefined;
    if (claim) return claim;
  }
  return mount && treeClaim(mount, path);
}

/**
 * The tree that has the whole way from `at`, where `claim` is, down to `path`: nothing else is met on it. `path` is
 * canonical in form.
 */
export function wholeWay(view: View, at: string, claim: Claim, path: string): boolean {
  if (claim.kind !== 'tree' || !claim.mount) return false;
  const from = depthOf(at);
  for (const { depth, covers } of compile(view).places) if (depth > from && covers(path)) return false;
  return claim.mount.tree?.excludes === undefined || !claim.tree.excludes!(below(path, claim.mount.target));
}

/**
 * The path in the view of a directory or file that procfs names `text`; undefined where no tree of the view has it,
 * so that it is the host's.
 */
export function seenAs(view: View, text: string): string | undefined {
  for (const [real, seen] of compile(view).origins) {
    if (!text.startsWith(real) || (text[real.length] ?? '/') !== '/') continue;
    return `${seen === '/' ? '' : seen}${text.slice(real.length)}` || '/';
  }
  return undefined;
}
