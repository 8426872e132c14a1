/** The caller as the owner of a socket of a stack. */
import type { SocketOwner } from '../ioth/stack.ts';
import { mayConfigure } from '../vm/access.ts';
import type { Call } from '../vm/call.ts';

export function ownerOf({ process, vm }: Call): SocketOwner {
  return {
    pid: process.pid,
    get uid() {
      return process.credentials()?.uid ?? vm.uid;
    },
    mayConfigure: () => mayConfigure(process, vm.uid),
  };
}
