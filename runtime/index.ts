/**
 * umvu as a library: start a virtual machine, insert modules, mount, run guests.
 * `import { startVm } from 'umvu'`.
 */
export { startVm, Vm, type MountCommand, type VmOptions, type VmStats } from './vm/vm.ts';
export { Guest, type GuestExit, type SpawnOptions } from './vm/guest.ts';
export { Errno } from './errno.ts';
export {
  defineModule,
  type ModuleContext,
  type ModuleDefinition,
  type ModuleInstance,
  type MountRequest,
} from './modules/define.ts';
export {
  defineStack,
  AF,
  SOCK,
  type Stack,
  type StackContext,
  type StackDriver,
  type StackRequest,
} from './ioth/stack.ts';
export type { Claim, Mount, NodeAttributes, PathRule, VirtualNode } from './vm/mounts.ts';
export { textFile, textNode, type TextNode, type TextRule } from './syscalls/path/text.ts';
export { inject, PASS, type Answer, type Outcome } from './syscalls/outcome.ts';
