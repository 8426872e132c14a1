import { randomBytes } from 'node:crypto';
import { defineDevice } from '../../runtime/devices/define.ts';
import { Errno } from '../../runtime/errno.ts';

const SECTOR = 512;
/** 32 MiB, as VUOS has it. */
const DEFAULT_SECTORS = 65536;
const MOST_BYTES = 2 ** 40;
/** Where a master boot record has its number and its mark (docs of fdisk(8)). */
const DISK_ID = 440;
const MARK = 510;

/** A partition table without partitions. */
function emptyTable(): Buffer {
  const sector = Buffer.alloc(SECTOR);
  randomBytes(4).copy(sector, DISK_ID);
  sector.writeUInt16LE(0xaa55, MARK);
  return sector;
}

/** A disk in memory: `-o size=64m`. Pages that were never written take no memory. */
export default defineDevice({
  name: 'ramdisk',
  summary: 'a disk in memory',
  kind: 'memory',
  options: {
    size: {
      type: 'size',
      default: DEFAULT_SECTORS * SECTOR,
      help: 'bytes (k, m, g) or sectors of 512 bytes',
    },
    mbr: { type: 'boolean', default: false, help: 'starts with an empty partition table' },
  },
  create({ options: { size, mbr } }) {
    if (size < SECTOR || size > MOST_BYTES || size % SECTOR !== 0)
      throw new Errno('EINVAL', 'option size: not from one sector to 1 TiB');
    return { size, fill: (memory) => (mbr ? memory.write(emptyTable(), 0) : undefined) };
  },
});
