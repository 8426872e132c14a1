/** How a program configures a stack: over a netlink socket of it, or by asking the server in this process. */
import { Errno, check } from '../../errno.ts';
import { native } from '../../native.ts';
import { AF, SOCK, type Stack } from '../stack.ts';
import type { NetlinkServer } from './server/server.ts';
import { viewOf } from './wire.ts';

/** System calls, by their number on x86-64. */
const SYS = { CLOSE: 3, POLL: 7, SENDTO: 44, RECVFROM: 45 } as const;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const POLLIN = 1;
/** The kernel answers within sendto(2); another stack may take a moment. */
const TIMEOUT_MS = 2000;
/** The kernel never puts more into one answer (NLMSG_GOODSIZE is less). */
const BUFFER = 64 << 10;

/** Carries datagrams of netlink(7), without waiting for others in this process. */
export interface Channel {
  send(datagram: Uint8Array): void;
  /** The next datagram; throws Errno when none comes. */
  receive(): Uint8Array;
  close(): void;
}

class SocketChannel implements Channel {
  readonly #fd: number;

  /** Owns `fd`, a socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE). */
  constructor(fd: number) {
    this.#fd = fd;
  }

  send(datagram: Uint8Array): void {
    check(native().syscall(SYS.SENDTO, this.#fd, datagram, datagram.length, 0, null, 0));
  }

  receive(): Uint8Array {
    const buffer = new Uint8Array(BUFFER);
    for (;;) {
      const flags = MSG_DONTWAIT | MSG_TRUNC;
      const size = native().syscall(SYS.RECVFROM, this.#fd, buffer, buffer.length, flags, null, null);
      if (size > buffer.length) throw new Errno('EMSGSIZE', 'an answer of the stack is too long');
      if (size > 0) return buffer.subarray(0, size);
      if (size === 0) throw new Errno('ENETDOWN', 'the stack closed its configuration socket');
      if (new Errno(size).code !== 'EAGAIN') throw new Errno(size);
      this.#wait();
    }
  }

  close(): void {
    native().syscall(SYS.CLOSE, this.#fd);
  }

  #wait(): void {
    const pollfd = new Uint8Array(8);
    viewOf(pollfd).setInt32(0, this.#fd, true);
    viewOf(pollfd).setInt16(4, POLLIN, true);
    const ready = check(native().syscall(SYS.POLL, pollfd, 1, TIMEOUT_MS));
    if (ready === 0) throw new Errno('ETIMEDOUT', 'the stack does not answer its configuration socket');
  }
}

/** A peer of a server in this process, whose answers are there when send() returns. */
function serverChannel(server: NetlinkServer): Channel {
  const answers: Uint8Array[] = [];
  const peer = server.connect({
    // Not the server's own buffers, nor of their class.
    send: (datagram) => void answers.push(Uint8Array.from(datagram)),
    pid: process.pid,
    uid: process.geteuid?.() ?? 0,
  });
  return {
    send: (datagram) => peer.receive(datagram),
    receive: () => {
      const answer = answers.shift();
      if (!answer) throw new Errno('ETIMEDOUT', 'the stack does not answer');
      return answer;
    },
    close: () => peer.close(),
  };
}

/** A channel to the configuration of `stack`. */
export const channelOf = (stack: Stack): Channel =>
  stack.configuration
    ? serverChannel(stack.configuration)
    : new SocketChannel(stack.socket(AF.NETLINK, SOCK.RAW, 0));
