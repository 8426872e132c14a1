import { defineDevice, Errno } from 'umvu';

/** /dev/counter: each open reads a number one higher than the last; writing a number sets it. */
export default defineDevice({
  name: 'counter',
  kind: 'char',
  summary: 'counts how often it has been opened',
  options: { start: { type: 'number', default: 0, help: 'first number minus one' } },
  create({ options }) {
    let opens = options.start;
    return {
      open() {
        const line = Buffer.from(`${++opens}\n`);
        return {
          read: (into, offset) => line.copy(into, 0, offset),
          write(from) {
            const value = Number(from.toString());
            if (!Number.isInteger(value)) throw new Errno('EINVAL');
            opens = value;
          },
        };
      },
    };
  },
});
