/** getsockopt(2) and setsockopt(2) on sockets that are not the kernel's. */
import { Errno } from '../../errno.ts';
import { LONGEST_OPTION, getOption, setOption } from '../../ioth/lwip/options.ts';
import { emulated, type SocketHandler } from './socket.ts';

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

const setsockopt: SocketHandler = (call, socket) => {
  const length = call.int(4);
  const given = (): Buffer => call.read(call.arg(3), Math.min(length, LONGEST_OPTION));
  return setOption(socket, call.int(1), call.int(2), length, given);
};

const getsockopt: SocketHandler = (call, socket) => {
  const [level, name] = [call.int(1), call.int(2)];
  const room = call.read(call.arg(4), 4).readInt32LE(0);
  if (room < 0) throw new Errno('EINVAL');
  const value = getOption(socket, level, name, room).subarray(0, room);
  if (value.length > 0) call.write(call.arg(3), value);
  call.write(call.arg(4), int(value.length));
  return 0;
};

export const optionHandlers = { setsockopt: emulated(setsockopt), getsockopt: emulated(getsockopt) } as const;
