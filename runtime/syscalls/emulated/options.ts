/** getsockopt(2) and setsockopt(2) on sockets that are not the kernel's. */
import { Errno } from '../../errno.ts';
import { LEVEL, numberBuffer } from '../../ioth/lwip/option-spec.ts';
import { specOf } from '../../ioth/lwip/option-table.ts';
import { LONGEST_OPTION, getOption, setOption } from '../../ioth/lwip/options.ts';
import type { Call } from '../../vm/call.ts';
import { emulated, type SocketHandler } from './socket.ts';

const SO_ATTACH_FILTER = 26;
const BPF_MAXINSNS = 4096;
const SOCK_FILTER_SIZE = 8;

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
  const { leastRoom = 0, short, exchange } = specOf(level, name) ?? {};
  if (exchange && room < 4) throw new Errno('EINVAL');
  const whole = getOption(socket, level, name, room, exchange ? call.read(call.arg(3), 4) : undefined);
  if (whole.length > 0 && room < leastRoom) throw new Errno('EINVAL');
  const small = short && room < 4 && whole.readUInt32LE(0) <= 255;
  const value = whole.subarray(0, small ? Math.min(room, 1) : room);
  if (value.length > 0) call.write(call.arg(3), value);
  call.write(call.arg(4), numberBuffer(value.length));
  return 0;
};

export const optionHandlers = { setsockopt: emulated(setsockopt), getsockopt: emulated(getsockopt) } as const;
