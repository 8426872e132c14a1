/** The servers that configure stacks in user space, by the sockets of the stacks. */
import { Errno } from '../../errno.ts';
import type { NetlinkServer } from '../netlink/server/index.ts';
import { type EmulatedSocket, lwip } from './socket.ts';

const servers = new Map<number, () => NetlinkServer>();

/** `server` gives the server of the stack `id`, until the function that is returned is called. */
export function addConfiguration(id: number, server: () => NetlinkServer): () => void {
  servers.set(id, server);
  return () => void servers.delete(id);
}

/** The server of the stack that the socket is of. ENETDOWN where that is gone. */
export function configurationOf({ id }: EmulatedSocket): NetlinkServer {
  const server = servers.get(lwip().stackOf(id));
  if (!server) throw new Errno('ENETDOWN');
  return server();
}
