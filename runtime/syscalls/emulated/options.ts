/** getsockopt(2) and setsockopt(2) on sockets that are not the kernel's. */
import { Errno } from '../../errno.ts';
import { LEVEL, specOf } from '../../ioth/lwip/option-table.ts';
import { LONGEST_OPTION, getOption, setOption } from '../../ioth/lwip/options.ts';
import type { Call } from '../../vm/call.ts';
import { emulated, type SocketHandler } from './socket.ts';

const SO_ATTACH_FILTER = 26;
const BPF_MAXINSNS = 4096;
const SOCK_FILTER_SIZE = 8;

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/** The program that a struct sock_fprog names: an array of struct sock_filter, which the addon checks. */
function readFilter(call: Call, program: Buffer): Buffer {
  const count = program.readUInt16LE(0);
  if (count === 0 || count > BPF_MAXINSNS) throw new Errno('EINVAL');
  return call.read(Number(program.readBigUInt64LE(8)), count * SOCK_FILTER_SIZE);
}

const setsockopt: SocketHandler = (call, socket) => {
  const [level, name, length] = [call.int(1), call.int(2), call.int(4)];
  const given = (): Buffer => {
    const value = call.read(call.arg(3), Math.min(length, LONGEST_OPTION));
    return level === LEVEL.SOCKET && name === SO_ATTACH_FILTER ? readFilter(call, value) : value;
  };
  return setOption(socket, level, name, length, given);
};

const getsockopt: SocketHandler = (call, socket) => {
  const [level, name] = [call.int(1), call.int(2)];
  const room = call.read(call.arg(4), 4).readInt32LE(0);
  if (room < 0) throw new Errno('EINVAL');
  const exchanged = specOf(level, name)?.exchange;
  if (exchanged && room < 4) throw new Errno('EINVAL');
  const given = exchanged ? call.read(call.arg(3), 4) : undefined;
  const value = getOption(socket, level, name, room, given).subarray(0, room);
  if (value.length > 0) call.write(call.arg(3), value);
  call.write(call.arg(4), int(value.length));
  return 0;
};

export const optionHandlers = {
  setsockopt: emulated(setsockopt),
  getsockopt: emulated(getsockopt),
} as const;
