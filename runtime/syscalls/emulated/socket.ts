/**
 * Sockets that are not the kernel's. Which one a descriptor is, the object itself tells: a copy of it is taken with
 * pidfd_getfd(2) and looked at, so dup, fork, exec and SCM_RIGHTS need no bookkeeping (DESIGN §2.3).
 */
import { type EmulatedSocket, lwipCalls } from '../../ioth/lwip/socket.ts';
import { SOCK } from '../../ioth/stack.ts';
import { Errno } from '../../errno.ts';
import { native } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import type { Handler } from '../handler.ts';
import { PASS, type Answer } from '../outcome.ts';
import { SYS } from '../table.ts';
import { remember } from './events.ts';

export { isNetlink, isStream, lwip, type EmulatedSocket } from '../../ioth/lwip/socket.ts';

const F_GETFL = 3;
const EMFILE = -new Errno('EMFILE').errno;

const found = new Int32Array(4);

/** Takes a copy of descriptor `fd` of the caller when it is a socket of ours; the caller of this closes it. */
export function openSocket(call: Call, fd: number): EmulatedSocket | undefined {
  const calls = lwipCalls();
  if (!calls) return undefined;
  const id = calls.open(call.process.pidfd, fd, found);
  // Without a descriptor of our own nobody knows whose socket it is, and the kernel must not answer for ours.
  if (id === EMFILE) throw new Errno('ENFILE');
  // Whatever is wrong with the descriptor otherwise, the kernel finds it too.
  if (id <= 0) return undefined;
  remember(id, call, fd);
  return { id, fd: found[0]!, domain: found[1]!, type: found[2]!, protocol: found[3]! };
}

export const closeFd = (fd: number): void => void native().syscall(SYS.close, fd);

/** Answers for one of our sockets. */
export type SocketHandler = (call: Call, socket: EmulatedSocket) => Answer;

/** A handler that answers for our sockets with `ours`, and for all others with `others` (PASS by default). */
export function emulated(ours: SocketHandler, others: Handler = () => PASS): Handler {
  return (call) => {
    const socket = openSocket(call, call.int(0));
    if (!socket) return others(call);
    let answer: Answer;
    try {
      answer = ours(call, socket);
    } catch (error) {
      closeFd(socket.fd);
      throw error;
    }
    if (answer instanceof Promise) return answer.finally(() => closeFd(socket.fd));
    closeFd(socket.fd);
    return answer;
  };
}

/** Whether the guest has asked not to wait on this descriptor. */
export const nonBlocking = ({ fd }: EmulatedSocket): boolean =>
  (native().syscall(SYS.fcntl, fd, F_GETFL) & SOCK.NONBLOCK) !== 0;
