/** getsockopt(2) and setsockopt(2) on sockets of stacks in user space. All throw Errno. */
import { Errno, check } from '../../errno.ts';
import { native } from '../../native.ts';
import { SOL_NETLINK } from '../netlink/server/constants.ts';
import { AF } from '../stack.ts';
import { peerOf } from './netlink.ts';
import { LEVEL, numberBuffer, type OptionSpec } from './option-spec.ts';
import { specOf } from './option-table.ts';
import { isStream, lwip, type EmulatedSocket } from './socket.ts';

const SYS = { SETSOCKOPT: 54, GETSOCKOPT: 55 } as const;
const SO_ERROR = 4;
const ENETDOWN = 100;
/** Longest value that is taken; the rest of a longer one is ignored, as by the kernel. */
export const LONGEST_OPTION = 1024;

/** What an option tells that follows from the kind of the socket; undefined for others. */
function fixed(socket: EmulatedSocket, spec: OptionSpec): number | undefined {
  switch (spec.fixed) {
    case 'domain':
      return socket.domain;
    case 'type':
      return socket.type;
    case 'protocol':
      return socket.protocol;
    default:
      return undefined;
  }
}

/** The option of the socket, and whether it is one of another kind of socket; undefined for an unknown one. */
function find(
  socket: EmulatedSocket,
  level: number,
  name: number,
): { spec: OptionSpec; foreign: boolean } | undefined {
  const spec = specOf(level, name);
  if (!spec || (spec.family !== undefined && spec.family !== socket.domain)) return undefined;
  const foreign = spec.type !== undefined && spec.type !== socket.type;
  return foreign && !spec.shown ? undefined : { spec, foreign };
}

/** EINVAL unless `value` is a number that the option takes. */
function checkRange({ range, except }: OptionSpec, value: Buffer): void {
  if (!range) return;
  const number = value.readInt32LE(0);
  const inside = number >= range[0] && number <= range[1];
  if (inside === (number === except)) throw new Errno('EINVAL');
}

/** Sets an option; `given` is the start of a value of `length` bytes. */
export function setOption(
  socket: EmulatedSocket,
  level: number,
  name: number,
  length: number,
  given: () => Buffer,
): number {
  if (length < 0) throw new Errno('EINVAL');
  const netlink = level === SOL_NETLINK ? peerOf(socket) : undefined;
  if (netlink) {
    netlink.setOption(name, given());
    return 0;
  }
  const { spec, foreign } = find(socket, level, name) ?? { foreign: true };
  if (!spec || foreign || spec.readOnly) throw new Errno('ENOPROTOOPT');
  if (spec.notStream && isStream(socket)) throw new Errno(spec.notStream);
  if (length < (spec.short ? 1 : spec.size)) throw new Errno('EINVAL');
  const bytes = given();
  // One byte does for int options of IP (ip(7)).
  const value = spec.size === 4 && bytes.length < 4 ? numberBuffer(bytes[0] ?? 0) : bytes;
  checkRange(spec, value);
  const [toLevel, toName, wanted] = spec.rewrite?.(socket, value) ?? [level, name, value];
  if (spec.native) check(native().syscall(SYS.SETSOCKOPT, socket.fd, level, name, value, value.length));
  return check(lwip().setOption(socket.id, socket.fd, toLevel, toName, wanted));
}

/** How the kernel says that a socket has no such option. */
function unknown({ domain }: EmulatedSocket, level: number): Errno {
  const own = domain !== AF.INET || level === LEVEL.SOCKET || level === LEVEL.IP || level === LEVEL.TCP;
  return new Errno(own ? 'ENOPROTOOPT' : 'EOPNOTSUPP');
}

/** What the option is where it has not been set. */
function initialOf(socket: EmulatedSocket, { initial, size }: OptionSpec): Buffer {
  const value = typeof initial === 'function' ? initial(socket) : initial;
  return typeof value === 'number' ? numberBuffer(value) : (value ?? Buffer.alloc(size));
}

function nativeValue({ fd }: EmulatedSocket, level: number, name: number, room: number): Buffer {
  const value = Buffer.alloc(Math.min(Math.max(room, 16), LONGEST_OPTION));
  const length = numberBuffer(Math.min(room, value.length));
  check(native().syscall(SYS.GETSOCKOPT, fd, level, name, value, length));
  return value.subarray(0, length.readInt32LE(0));
}

/** The error that the stack has for the socket, once; 0 for none. A stack that has failed has no other. */
export function takeError(socket: EmulatedSocket): number {
  const value = Buffer.alloc(4);
  const length = lwip().getOption(socket.id, LEVEL.SOCKET, SO_ERROR, value);
  return length === 4 ? value.readInt32LE(0) : length === -ENETDOWN ? ENETDOWN : 0;
}

/**
 * The error that the next call on the socket is to tell, once; 0 for none. That there is one the AF_UNIX socket
 * knows, unless a native call has taken it already; which one, the stack does.
 */
export function pendingError(socket: EmulatedSocket): number {
  const shown = nativeValue(socket, LEVEL.SOCKET, SO_ERROR, 4).readInt32LE(0);
  const error = takeError(socket);
  return shown === 0 && !isStream(socket) ? 0 : error || shown;
}

/**
 * The value of an option, in the form that the caller gets: at most all of it, `room` is a hint. `given` is what the
 * caller's buffer holds, for options that answer a question.
 */
export function getOption(
  socket: EmulatedSocket,
  level: number,
  name: number,
  room: number,
  given?: Buffer,
): Buffer {
  const netlink = level === SOL_NETLINK ? peerOf(socket) : undefined;
  if (netlink) return Buffer.from(netlink.getOption(name));
  const { spec, foreign } = find(socket, level, name) ?? { foreign: false };
  if (!spec || spec.writeOnly) throw unknown(socket, level);
  if (foreign) return initialOf(socket, spec);
  if (level === LEVEL.SOCKET && name === SO_ERROR) return numberBuffer(pendingError(socket));
  const kind = fixed(socket, spec);
  if (kind !== undefined) return numberBuffer(kind);
  if (spec.native) return nativeValue(socket, level, name, room);
  const value = Buffer.alloc(LONGEST_OPTION);
  given?.copy(value);
  const length = lwip().getOption(socket.id, level, name, value);
  if (length >= 0) return spec.show?.(value.subarray(0, length)) ?? value.subarray(0, length);
  if (new Errno(length).code !== 'ENOPROTOOPT') throw new Errno(length);
  return initialOf(socket, spec);
}
