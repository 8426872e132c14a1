/** A device that does what its source says, most of it wrong. */
import { defineDevice, Errno } from 'umvu';

const acts = {
  throws: () => {
    throw new Error('a bug on purpose');
  },
  errno: () => {
    throw new Errno('EDOM');
  },
  much: (buffer) => buffer.length + 1,
  negative: () => -1,
  fraction: () => 0.5,
  text: () => '1',
  never: () => new Promise(() => undefined),
  slow: (buffer) => new Promise((resolve) => setTimeout(() => resolve(buffer.fill('s').length), 50)),
  abort: (_buffer, call) =>
    new Promise((_resolve, reject) =>
      call.signal.addEventListener('abort', () => reject(call.signal.reason)),
    ),
  zero: (buffer) => buffer.fill(0).length,
  short: (buffer) => Math.min(3, buffer.fill('x').length),
};

export default defineDevice({
  name: 'evil',
  summary: 'misbehaves',
  kind: 'char',
  create({ source }) {
    if (source === 'create-throws') throw new Error('create fails on purpose');
    if (source === 'create-errno') throw new Errno('ENOMEDIUM', 'there is no disk in it');
    if (source === 'create-nothing') return undefined;
    if (source === 'create-wrong') return { open: 5 };
    const act = acts[source];
    return {
      open() {
        if (source === 'open-throws') throw new Error('open fails on purpose');
        if (source === 'open-errno') throw new Errno('EBUSY');
        if (source === 'open-never') return new Promise(() => undefined);
        let ioctls = 0;
        return {
          read: (into, _offset, call) => act?.(into, call) ?? 0,
          write: (from, _offset, call) => act?.(Buffer.from(from), call),
          ioctl(request, argument, call) {
            if (source === 'throws') throw new Error('a bug on purpose');
            if (request === 0x80045705) call.write(Buffer.from([++ioctls, 0, 0, 0]));
            else if (request === 0x40045706) return call.read(4).readInt32LE();
            else if (request === 0x5707) return new Promise(() => undefined);
            else return undefined;
            return 0;
          },
        };
      },
    };
  },
});
