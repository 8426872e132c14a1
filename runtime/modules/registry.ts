import { Errno } from '../errno.ts';
import { logger } from '../log.ts';
import type { Mount } from '../vm/mounts.ts';
import { subscribed } from '../syscalls/subscriptions.ts';
import { within } from '../vm/patience.ts';
import type { SyscallName } from '../syscalls/table.ts';
import type { Vm } from '../vm/vm.ts';
import type { ModuleDefinition, ModuleInstance } from './define.ts';
import { loadModule } from './loader.ts';
import { checkInstance } from './results.ts';

/** A module that has been inserted. */
interface Inserted {
  definition: ModuleDefinition;
  instance: ModuleInstance;
  permanent: boolean;
  /** Mounts that it has made and that are still there. */
  readonly mounts: Set<Mount>;
  /** Mounts that it is making. */
  arriving: number;
}

/** How long the end of a VM waits for a module to close, in ms. */
const PATIENCE = 3000;

/** The modules of a VM, by name. */
export class ModuleRegistry {
  readonly #vm: Vm;
  readonly #modules = new Map<string, Inserted>();
  /** Names whose insertion is under way. */
  readonly #arriving = new Set<string>();

  constructor(vm: Vm) {
    this.#vm = vm;
  }

  /**
   * Inserts a module (see loadModule). Throws EEXIST when it is there already, EOPNOTSUPP when the filter of
   * the running guests does not trap a call that it needs.
   */
  async insert(nameOrPath: string, options: { permanent?: boolean; cwd: string }): Promise<void> {
    const definition = await loadModule(nameOrPath, options.cwd);
    const { name } = definition;
    if (this.#modules.has(name) || this.#arriving.has(name))
      throw new Errno('EEXIST', `module «${name}» is inserted already`);
    const missing = subscribed(definition.syscalls).filter((call) => !this.#vm.traps(call));
    if (missing.length > 0) {
      throw new Errno(
        'EOPNOTSUPP',
        `module «${name}» needs calls that are not trapped here: start umvu with -m ${name}`,
      );
    }
    this.#arriving.add(name);
    try {
      const instance = checkInstance(name, await definition.create({ vm: this.#vm, log: logger(name) }));
      const permanent = options.permanent ?? false;
      this.#modules.set(name, { definition, instance, permanent, mounts: new Set(), arriving: 0 });
    } finally {
      this.#arriving.delete(name);
    }
  }

  /** Removes a module. ENOENT when it is not there, EBUSY while something of it is mounted or it is permanent. */
  async remove(name: string): Promise<void> {
    const module = this.#modules.get(name);
    if (!module) throw new Errno('ENOENT', `module «${name}» is not inserted`);
    if (module.permanent) throw new Errno('EBUSY', `module «${name}» was inserted permanently`);
    const mount = [...module.mounts][0];
    if (mount) throw new Errno('EBUSY', `module «${name}» is in use: ${mount.target} is mounted`);
    if (module.arriving > 0) throw new Errno('EBUSY', `module «${name}» is in use: it is mounting something`);
    this.#modules.delete(name);
    await module.instance.close?.();
  }

  /** Name and summary of each module, in the order of insertion. */
  list(): { name: string; summary: string }[] {
    return [...this.#modules.values()].map(({ definition: { name, summary } }) => ({ name, summary }));
  }

  /** System calls that the inserted modules need to have trapped. */
  syscalls(): SyscallName[] {
    return [...this.#modules.values()].flatMap(({ definition }) => subscribed(definition.syscalls));
  }

  has(name: string): boolean {
    return this.#modules.has(name);
  }

  /** The module that serves mount type `type`, if one does. */
  forType(type: string): Inserted | undefined {
    return [...this.#modules.values()].find(({ definition }) =>
      (definition.types ?? [definition.name]).includes(type),
    );
  }

  /** Takes all modules out, at the end of the VM. Never rejects: what a module does wrong is only said. */
  async close(): Promise<void> {
    const modules = [...this.#modules.values()].reverse();
    this.#modules.clear();
    for (const { definition, instance } of modules) {
      await within(PATIENCE, `closing module «${definition.name}»`, () => instance.close?.());
    }
  }
}
