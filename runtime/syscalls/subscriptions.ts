/** Groups of system calls that modules subscribe to. */
import { bindHandlers, connectHandlers } from './connect.ts';
import { emulatedHandlers } from './emulated/index.ts';
import { execHandlers } from './exec/index.ts';
import { netdeviceHandlers } from './netdevice.ts';
import { pathHandlers, treeHandlers } from './path/index.ts';
import { identityHandlers } from './process.ts';
import { socketHandlers } from './socket.ts';
import type { SyscallName } from './table.ts';

const names = (handlers: object): SyscallName[] => Object.keys(handlers) as SyscallName[];

/** Groups of calls that a module can name at once. */
const GROUPS = {
  /** every call that takes a path */
  '%path': names(pathHandlers),
  /** the calls that execute programs, for views in which there are programs that the host does not have there */
  '%exec': names({ ...execHandlers, ...identityHandlers }),
  /** what trees of files need: every call that names files, executes or lists them, or says how they are made */
  '%tree': names({
    ...pathHandlers,
    ...treeHandlers,
    ...execHandlers,
    ...identityHandlers,
    ...bindHandlers,
    ...connectHandlers,
  }),
  /** what stacks need: sockets, and the files in which programs look for the network */
  '%network': names({ ...socketHandlers, ...connectHandlers, ...netdeviceHandlers, ...pathHandlers }),
  /** what sockets need that are not the kernel's (Stack.emulated); added when such a stack is mounted */
  '%emulated': names(emulatedHandlers),
} as const satisfies Record<string, readonly SyscallName[]>;

/** What a module subscribes to: a call, or a group of calls. */
export type Subscription = SyscallName | keyof typeof GROUPS;

/** The calls that `subscriptions` name. */
export function subscribed(subscriptions: readonly Subscription[]): SyscallName[] {
  return subscriptions.flatMap((name) =>
    name in GROUPS ? GROUPS[name as keyof typeof GROUPS] : [name as SyscallName],
  );
}
