/**
 * mmap(2) of the receive ring of a packet socket (packet(7), PACKET_RX_RING), as libpcap does it. The guest's descriptor is
 * an AF_UNIX socket, which cannot be mapped: the caller maps the memory of the ring instead.
 */
import { Errno, check } from '../../errno.ts';
import { AF } from '../../ioth/stack.ts';
import type { Handler } from '../handler.ts';
import { LENT, PASS, rewrite } from '../outcome.ts';
import { SYS } from '../table.ts';
import { closeFd, lwip, openSocket } from './socket.ts';

const mmap: Handler = (call) => {
  const socket = openSocket(call, call.int(4));
  if (!socket) return PASS;
  try {
    if (socket.domain !== AF.PACKET) throw new Errno('ENODEV');
    if (call.arg(5) !== 0) throw new Errno('EINVAL');
    const lend = check(lwip().map(socket.id, socket.fd, call.arg(1)));
    return rewrite(SYS.mmap, [call.arg(0), call.arg(1), call.arg(2), call.arg(3), LENT, 0], { lend });
  } finally {
    closeFd(socket.fd);
  }
};

export const ringHandlers = { mmap } as const;
