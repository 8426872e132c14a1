/** The host's part in the way of a path: what the kernel would find for the caller, from its own root directory. */
import { Errno } from '../../errno.ts';
import type { BindTree } from '../../files/bind.ts';
import { native } from '../../native.ts';
import type { Claim, Place } from '../../vm/mounts.ts';
import type { Process } from '../../vm/process.ts';
import { SYS } from '../table.ts';
import { hostTree, type Confined, type LinkUse } from './target.ts';

/** Whose path is followed, and how. */
export interface Way {
  readonly process: Process;
  readonly tid: number;
  readonly links: LinkUse;
  /** Follows an absolute path through the host's tree, as the addon's resolver does; undefined where nothing is the host's. */
  readonly again: ((path: string) => string | undefined) | undefined;
  readonly confined: Confined | undefined;
  /** The tree below the root directory that the kernel has for the caller, where that is another than ours. */
  readonly own: BindTree | undefined;
  /** Where /proc/PID/root leads, if that is a root directory that only the view knows. */
  readonly rootLink: (path: string) => string | undefined;
  /** Whether the path starts from a directory of a layer, which the kernel knows nothing else of; asked when it matters. */
  readonly startsInLayer: () => boolean;
}

export class HostSide {
  readonly #way: Way;
  #leaves: boolean | undefined;

  constructor(way: Way) {
    this.#way = way;
  }

  /** The path that we know the caller's root directory by, "" for "/". */
  get root(): string {
    return this.#way.own?.layer.source ?? '';
  }

  /** `path` as the caller writes it, from the root directory that the kernel has for it. */
  below(path: string): string {
    const { root } = this;
    return path === root ? '/' : path.startsWith(`${root}/`) ? path.slice(root.length) : path;
  }

  /** What is at `path`: in the host's tree, or in that of the caller's own root directory. */
  claim(path: string): Extract<Claim, { kind: 'tree' }> {
    const { own } = this.#way;
    const below = own && this.below(path);
    if (below === undefined || below === path) {
      const tree = own?.layer.source === '' ? own : hostTree();
      return { kind: 'tree', tree, path: path.slice(1) };
    }
    return { kind: 'tree', tree: own!, path: below.slice(1) };
  }

  /** True where the kernel would be at the same object, had it followed the path. */
  hasAt({ layer, path: inside }: Place, path: string): boolean {
    const same = `${layer.source}/${inside}` === path || (inside === '' && (layer.source || '/') === path);
    return same && !(this.#leaves ??= this.#way.startsInLayer());
  }

  /**
   * Procfs lets a process look at itself whoever it acts for, so our own folder there is closed to guests of other
   * users before it comes to that.
   */
  refuseOurs(path: string): void {
    const tid = /^\/proc\/(\d+)(?:\/|$)/.exec(this.below(path))?.[1];
    if (tid === undefined || native().syscall(SYS.tgkill, process.pid, Number(tid), 0) !== 0) return;
    if (this.#way.process.credentials()?.uid !== process.geteuid!()) throw new Errno('EACCES');
  }
}
