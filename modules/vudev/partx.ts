import { close, fstat, fsync, read, write } from 'node:fs';
import { promisify } from 'node:util';
import { defineDevice, type OpenFile } from '../../runtime/devices/define.ts';
import { Errno } from '../../runtime/errno.ts';
import { readPartitions, type Partition } from './partitions.ts';

// The disk may be a device that this process serves: nothing here may block (DeviceRequest.openSource).
const readFd = promisify(read);
const writeFd = promisify(write);
const statFd = promisify(fstat);
const syncFd = promisify(fsync);
const closeFd = promisify(close);

/** Request of ioctl(2) to read the partition table again (linux/fs.h). */
const BLKRRPART = 0x125f;
const SEEK_MOST = 2 ** 46;

async function readAt(fd: number, into: Buffer, offset: number): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await readFd(fd, into, done, into.length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

async function writeAt(fd: number, from: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < from.length;) {
    done += (await writeFd(fd, from, done, from.length - done, offset + done)).bytesWritten;
  }
}

/** Bytes of a file, or of a block device, which says none: then the last byte that can be read is looked for. */
async function sizeOf(fd: number): Promise<number> {
  const { size } = await statFd(fd);
  if (size > 0) return size;
  let [low, high] = [0, SEEK_MOST];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((await readFd(fd, Buffer.alloc(1), 0, 1, middle)).bytesRead > 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A disk image and its partitions: NAME is the whole, NAME1, NAME2… are the partitions of an MBR or a GPT. */
export default defineDevice({
  name: 'partx',
  summary: 'a disk image and its partitions',
  kind: 'block',
  async create({ openSource, readOnly }) {
    const fd = await openSource();
    const size = await sizeOf(fd);
    const image = async (offset: number, length: number): Promise<Buffer> => {
      const into = Buffer.alloc(Math.max(0, Math.min(length, size - offset)));
      return into.subarray(0, await readAt(fd, into, offset));
    };
    let partitions = await readPartitions(image, size);
    const whole: Partition = { number: 0, offset: 0, size };
    const find = (number: number): Partition | undefined =>
      number === 0 ? whole : partitions.find((partition) => partition.number === number);
    return {
      size,
      readOnly,
      parts: () => partitions,
      open({ part }): OpenFile {
        // What was opened stays what it was when the table changes, as in the kernel.
        const range = find(part);
        if (!range) throw new Errno('ENXIO');
        return {
          read: (into, offset) => readAt(fd, into, range.offset + offset),
          write: (from, offset) => writeAt(fd, from, range.offset + offset),
          sync: () => syncFd(fd),
        };
      },
      async ioctl(request) {
        if (request !== BLKRRPART) return undefined;
        partitions = await readPartitions(image, size);
        return 0;
      },
      close: () => closeFd(fd),
    };
  },
});
