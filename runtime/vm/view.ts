import { viewsChanged } from './epoch.ts';
import { MountTable, type Mount, type PathRule } from './mounts.ts';

/** Default place of the stack that processes use when they chose none (IOTH-FACTS §13). */
export const DEFAULT_STACK = '/dev/net/default';

/** Links of procfs that may lead into mounted trees, by paths that only the kernel understands. */
const PROC_LINKS = ['/proc/*', '/proc/*/task/*'].flatMap((of) =>
  ['cwd', 'root', 'exe', 'fd'].map((name) => `${of}/${name}`),
);

let lastId = 0;

/** How a group of processes sees the world: a name, a mount table, and rules about paths. */
export class View {
  readonly id = ++lastId;
  /** 0 for the view of the VM, one more for each umvu inside. */
  readonly depth: number;
  name: string;
  /** User id of who made it; undefined for the view of the VM, which is that of the VM's user. */
  readonly owner: number | undefined;
  readonly mounts: MountTable;
  /** Rules of modules and of the runtime, in the order in which they were added; the newest is asked first. */
  readonly rules: PathRule[];

  constructor(name: string, parent?: View, owner?: number) {
    this.owner = owner;
    this.name = name;
    this.depth = parent ? parent.depth + 1 : 0;
    this.mounts = parent?.mounts.copy() ?? new MountTable();
    this.rules = parent ? [...parent.rules] : [];
  }

  mount(mount: Mount): void {
    this.mounts.add(mount);
    this.#changed();
  }

  unmount(mount: Mount): void {
    this.mounts.remove(mount);
    this.#changed();
  }

  addRule(rule: PathRule): void {
    this.rules.push(rule);
    this.#changed();
  }

  removeRule(rule: PathRule): void {
    const index = this.rules.indexOf(rule);
    if (index >= 0) this.rules.splice(index, 1);
    this.#changed();
  }

  #prefixes: string[] | undefined;
  #hasRoots = false;

  /** From now on processes may have root directories that only the view knows. */
  hasRoots(): void {
    if (this.#hasRoots) return;
    this.#hasRoots = true;
    this.#changed();
  }

  /** Every path on which this view has something to say, for the quick test that most paths fail. */
  prefixes(): readonly string[] {
    return (this.#prefixes ??= [
      ...new Set([
        ...this.mounts.list().map((mount) => mount.target),
        ...this.rules.map((rule) => rule.prefix),
        ...(this.#hasRoots || this.mounts.list().some((mount) => mount.tree) ? PROC_LINKS : []),
      ]),
    ]);
  }

  #changed(): void {
    this.#prefixes = undefined;
    viewsChanged();
  }
}
