/** `--pcap`: the file in which frames of interfaces are recorded. The addon writes it (native/src/net/capture.h). */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Errno } from '../errno.ts';
import { logger } from '../log.ts';
import { native, type NativeCapture } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import { Failure, reason } from './output.ts';

const log = logger('capture');
const F_DUPFD_CLOEXEC = 1030;

/** Opens `path`, which is emptied; waits for a reader where it is a FIFO. Throws {@link Failure}. */
export async function openCapture(path: string): Promise<NativeCapture> {
  let fd: number;
  try {
    const { O_WRONLY, O_CREAT, O_TRUNC } = constants;
    const file = await open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o666);
    // The addon owns its descriptor alone.
    fd = native().syscall(SYS.fcntl, file.fd, F_DUPFD_CLOEXEC, 3);
    await file.close();
    if (fd < 0) throw new Errno(fd);
  } catch (error) {
    throw new Failure(`${path}: ${reason(error)}`);
  }
  const { NetworkCapture } = native();
  return new NetworkCapture(fd, (errno) => {
    log.warn(`${path}: ${reason(new Errno(errno))}: the recording ends here`);
  });
}
