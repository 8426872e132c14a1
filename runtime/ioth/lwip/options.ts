/** getsockopt(2) and setsockopt(2) on sockets of stacks in user space. All throw Errno. */
import { Errno, check } from '../../errno.ts';
import { native } from '../../native.ts';
import { SOL_NETLINK } from '../netlink/server/constants.ts';
import { peerOf } from './netlink.ts';
import { type OptionSpec, specOf } from './option-table.ts';
import { lwip, type EmulatedSocket } from './socket.ts';

const SYS = { SETSOCKOPT: 54, GETSOCKOPT: 55 } as const;
/** Longest value that is taken; the rest of a longer one is ignored, as by the kernel. */
export const LONGEST_OPTION = 1024;

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

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

/** The option of the socket, or ENOPROTOOPT. */
function find(socket: EmulatedSocket, level: number, name: number): OptionSpec {
  const spec = specOf(level, name);
  const wrongFamily = spec?.family !== undefined && spec.family !== socket.domain;
  const wrongType = spec?.type !== undefined && spec.type !== socket.type;
  if (!spec || wrongFamily || wrongType) throw new Errno('ENOPROTOOPT');
  return spec;
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
  const spec = find(socket, level, name);
  if (spec.readOnly) throw new Errno('ENOPROTOOPT');
  if (length < (spec.short ? 1 : spec.size)) throw new Errno('EINVAL');
  const bytes = given();
  // One byte does for int options of IP (ip(7)).
  const value = spec.size === 4 && bytes.length < 4 ? int(bytes[0] ?? 0) : bytes;
  if (spec.range) {
    const number = value.readInt32LE(0);
    if (number < spec.range[0] || number > spec.range[1]) throw new Errno('EINVAL');
  }
  const [toLevel, toName, wanted] = spec.rewrite?.(socket, value) ?? [level, name, value];
  if (spec.native) check(native().syscall(SYS.SETSOCKOPT, socket.fd, level, name, value, value.length));
  return check(lwip().setOption(socket.id, socket.fd, toLevel, toName, wanted));
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
  const spec = find(socket, level, name);
  if (spec.writeOnly) throw new Errno('ENOPROTOOPT');
  const kind = fixed(socket, spec);
  if (kind !== undefined) return int(kind);
  if (spec.native) {
    const value = Buffer.alloc(Math.max(room, 16));
    const length = int(Math.min(room, value.length));
    check(native().syscall(SYS.GETSOCKOPT, socket.fd, level, name, value, length));
    return value.subarray(0, length.readInt32LE(0));
  }
  const value = Buffer.alloc(LONGEST_OPTION);
  given?.copy(value);
  const length = lwip().getOption(socket.id, level, name, value);
  if (length >= 0) return spec.show?.(value.subarray(0, length)) ?? value.subarray(0, length);
  if (new Errno(length).code !== 'ENOPROTOOPT') throw new Errno(length);
  return typeof spec.initial === 'number' ? int(spec.initial) : (spec.initial ?? Buffer.alloc(spec.size));
}
