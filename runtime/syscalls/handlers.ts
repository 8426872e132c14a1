import type { Handler } from './handler.ts';
import { deviceHandlers, withDevices } from './device.ts';
import { emulatedHandlers } from './emulated/index.ts';
import { execHandlers } from './exec/index.ts';
import { mountHandlers } from './mount.ts';
import { pathHandlers, treeHandlers } from './path/index.ts';
import { identityHandlers, processHandlers } from './process.ts';
import { socketHandlers } from './socket.ts';
import type { SyscallName } from './table.ts';
import { vuHandlers } from './vu.ts';

/** Who answers which call. A call that is not here is never trapped. */
export const handlers: Partial<Record<SyscallName, Handler>> = {
  // With bind and connect to paths of trees for the sockets of the kernel.
  ...emulatedHandlers,
  ...execHandlers,
  ...mountHandlers,
  ...deviceHandlers,
  ...identityHandlers,
  ...withDevices(pathHandlers),
  ...treeHandlers,
  ...processHandlers,
  ...socketHandlers,
  ...vuHandlers,
};
