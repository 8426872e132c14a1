import { argNotIn, argNotNull, type Row, type RowDetails } from '../row.ts';

/** AF_UNIX (1) stays the host's; a family that the stack lacks has to be refused, so all others are trapped. */
const NOT_UNIX = { only: [argNotIn(0, 1)], note: 'not AF_UNIX' } as const satisfies RowDetails;
/** Only uses with a socket address need an answer from a stack; the others stay fast. */
const ADDRESS_1 = { only: [argNotNull(1)], note: 'only with an address' } as const satisfies RowDetails;
const ADDRESS_4 = { only: [argNotNull(4)], note: 'only with an address' } as const satisfies RowDetails;

/**
 * Calls on sockets. Which of them a module needs depends on its stacks: where a stack hands out
 * sockets of the kernel, socket() alone does.
 */
// prettier-ignore
export const SOCKETS = [
  ['socket', 41, 198, 'domain sock_type protocol', 'socket', NOT_UNIX],
  ['socketpair', 53, 199, 'domain sock_type protocol out', 'pass', { note: 'AF_UNIX, or nothing' }],
  ['bind', 49, 200, 'fd sockaddr socklen', 'socket'],
  ['connect', 42, 203, 'fd sockaddr socklen', 'socket'],
  ['listen', 50, 201, 'fd int', 'socket'],
  ['accept', 43, 202, 'fd out ptr', 'socket', ADDRESS_1],
  ['accept4', 288, 242, 'fd out ptr sock_flags', 'socket', ADDRESS_1],
  ['getsockname', 51, 204, 'fd out ptr', 'socket'],
  ['getpeername', 52, 205, 'fd out ptr', 'socket'],
  ['sendto', 44, 206, 'fd buffer size msg_flags sockaddr socklen', 'socket', ADDRESS_4],
  ['recvfrom', 45, 207, 'fd out size msg_flags out ptr', 'socket', ADDRESS_4],
  ['sendmsg', 46, 211, 'fd msghdr msg_flags', 'socket'],
  ['recvmsg', 47, 212, 'fd out msg_flags', 'socket'],
  ['sendmmsg', 307, 269, 'fd ptr uint msg_flags', 'socket'],
  ['recvmmsg', 299, 243, 'fd out uint msg_flags ptr', 'socket'],
  ['setsockopt', 54, 208, 'fd sock_level sock_option optval socklen', 'socket'],
  ['getsockopt', 55, 209, 'fd sock_level sock_option out ptr', 'socket'],
  ['shutdown', 48, 210, 'fd shut_how', 'socket'],
] as const satisfies readonly Row[];
