import { defineDevice, Errno } from 'umvu';

const SECTOR = 512;

/** A disk that keeps only the sectors that are not empty, and is full when there are too many of them. */
export default defineDevice({
  name: 'sparse',
  kind: 'block',
  summary: 'a disk that promises more than it has',
  options: {
    size: { type: 'size', default: 64 * 2 ** 20, help: 'how large it claims to be' },
    real: { type: 'size', default: 8 * 2 ** 20, help: 'how much it can hold' },
  },
  create({ options: { size, real }, log }) {
    const sectors = new Map<number, Buffer>();
    const sector = (at: number) => sectors.get(Math.floor(at / SECTOR));
    return {
      size,
      open: () => ({
        read(into, offset) {
          for (let done = 0; done < into.length; ) {
            const from = (offset + done) % SECTOR;
            const length = Math.min(SECTOR - from, into.length - done);
            const have = sector(offset + done);
            if (have) have.copy(into, done, from, from + length);
            else into.fill(0, done, done + length);
            done += length;
          }
          return into.length;
        },
        write(bytes, offset) {
          for (let done = 0; done < bytes.length; ) {
            const at = (offset + done) % SECTOR;
            const length = Math.min(SECTOR - at, bytes.length - done);
            const now = Buffer.from(sector(offset + done) ?? Buffer.alloc(SECTOR));
            bytes.copy(now, at, done, done + length);
            const number = Math.floor((offset + done) / SECTOR);
            if (now.every((byte) => byte === 0)) sectors.delete(number);
            else if (sectors.has(number) || sectors.size * SECTOR < real) sectors.set(number, now);
            else if (done > 0) return done;
            else throw new Errno('ENOSPC');
            done += length;
          }
        },
        close: () => log.info(`${sectors.size} sectors`),
      }),
    };
  },
});
