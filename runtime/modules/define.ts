/**
 * The contract of modules (docs/writing-a-module.md): a module claims mount types, and says which system
 * calls have to be trapped for it. Modules are plain objects; {@link defineModule} only gives the type.
 */
import type { Vm } from '../vm/vm.ts';
import type { Process } from '../vm/process.ts';
import type { Logger } from '../log.ts';
import type { Subscription } from '../syscalls/subscriptions.ts';
import type { Mount } from '../vm/mounts.ts';

/** What mount(2) was asked for, with the words of `-o` already taken apart. */
export interface MountRequest {
  /** File system type: the name of the module, or a name that it lists in `types`. */
  type: string;
  source: string;
  /** Absolute, canonical path (byte string) in the view. */
  target: string;
  /** Words of `-o` in their order: `a=b` is ["a", "b"], a bare word ["word", ""]. */
  options: [string, string][];
  /** The raw text of `-o`, for grammars of their own. */
  data: string;
  /** MS_* flags of mount(2). */
  flags: number;
  /** Who mounts; undefined when the TypeScript API does. */
  process: Process | undefined;
  /** Aborts when the caller is interrupted or gone. */
  signal: AbortSignal;
}

export interface ModuleContext {
  readonly vm: Vm;
  readonly log: Logger;
}

/** A module at work in one VM. */
export interface ModuleInstance {
  /** Mounts; the runtime then puts the result into the mount table of the caller's view. */
  mount?(request: MountRequest): Mount | Promise<Mount>;
  /** Called by vu_rmmod, after the last of its mounts is gone, and at the end of the VM. */
  close?(): void | Promise<void>;
}

export interface ModuleDefinition {
  name: string;
  /** One line for vu_lsmod. */
  summary: string;
  /** mount(2) types it serves; its own name by default. */
  types?: readonly string[];
  /** System calls that the filter has to trap for this module: names, or the groups `%path` and `%network`. */
  syscalls: readonly Subscription[];
  create(context: ModuleContext): ModuleInstance | Promise<ModuleInstance>;
}

/** Identity function that gives a module its type: `export default defineModule({ name: 'mine', … })`. */
export const defineModule = (definition: ModuleDefinition): ModuleDefinition => definition;
