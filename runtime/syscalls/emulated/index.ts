/**
 * Calls on sockets of stacks in user space. Reading, writing, polling, closing and duplicating them are the kernel's
 * business: the guest holds a real object. What names an address or an option is answered here.
 */
import { connectionHandlers } from './connection.ts';
import { messageHandlers } from './messages.ts';
import { optionHandlers } from './options.ts';
import { ringHandlers } from './ring.ts';

export const emulatedHandlers = {
  ...connectionHandlers,
  ...messageHandlers,
  ...optionHandlers,
  ...ringHandlers,
} as const;
