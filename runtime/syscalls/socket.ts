/**
 * Sockets. Only their creation is virtual: a socket comes from the stack of the caller's choice and is put
 * into the caller as a real descriptor, so everything that follows is between the guest and the kernel.
 */
import { Errno } from '../errno.ts';
import { AF, SOCK } from '../ioth/stack.ts';
import type { Call } from '../vm/call.ts';
import type { Mount } from '../vm/mounts.ts';
import { mayUse, requireOwner, R_OK, W_OK } from '../vm/access.ts';
import type { Handler } from './handler.ts';
import { inject, PASS, type Answer } from './outcome.ts';
import { ownerOf } from './owner.ts';

/** Families that are not networks: they stay the host's whatever stacks a process has (AF_ALG: kernel crypto). */
const NEVER_VIRTUAL = new Set<number>([AF.UNIX, 38]);
/** Families that a stack may have, in the order in which a default is looked for. */
const STACK_FAMILIES = [AF.INET, AF.INET6, AF.NETLINK, AF.PACKET];

/**
 * A socket of the stack at `mount` for the caller: permission on the stack's file first (read and write, as
 * for opening a device), then, for sockets that see other people's packets, the identity that owns the stack.
 */
export function socketOf(mount: Mount, call: Call, domain: number, type: number, protocol: number): Answer {
  const { stack, node } = mount;
  if (!stack || !node) throw new Errno('ENOTSOCK', `${mount.target} is not a stack`);
  const kind = type & SOCK.TYPE_MASK;
  if (!mayUse(node.attributes, call.process, R_OK | W_OK)) throw new Errno('EACCES');
  if (stack.isHost) return inject(stack.socket(domain, type, protocol), (type & SOCK.CLOEXEC) !== 0);
  if (!stack.families.has(domain)) throw new Errno('EAFNOSUPPORT');
  if ((kind === SOCK.RAW && domain !== AF.NETLINK) || domain === AF.PACKET)
    requireOwner(call.process, call.vm.uid);
  return inject(stack.socket(domain, type, protocol, ownerOf(call)), (type & SOCK.CLOEXEC) !== 0);
}

/** socket(2) on the caller's default stack of the family. */
const socket: Handler = (call) => {
  const domain = call.int(0);
  if (NEVER_VIRTUAL.has(domain)) return PASS;
  const mount = call.process.stackMount(domain);
  if (mount) return mount.stack?.isHost ? PASS : socketOf(mount, call, domain, call.int(1), call.int(2));
  // A process that has a stack never falls back to the host for a family that its stack lacks.
  if (STACK_FAMILIES.some((family) => call.process.stack(family))) throw new Errno('EAFNOSUPPORT');
  return PASS;
};

export const socketHandlers = { socket } as const;
