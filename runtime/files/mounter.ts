/** The mounter process (native/mounter): makes private mounts of directory trees, the layers of file trees. */
import { join } from 'node:path';
import { Broker } from '../ioth/vdestack/broker.ts';
import { native, nativeDir } from '../native.ts';

const SYS_CLOSE = 3;
const closeFd = (fd: number): void => void native().syscall(SYS_CLOSE, fd);

/** Operations, as in native/mounter/main.cc. */
const ADD = 2;
const REMOVE = 3;
const FUSE = 4;
const FUSE_FILE = 5;

/** A private mount of a directory or file. */
export interface PrivateMount {
  /** Descriptor (O_PATH) of its root; the caller's. */
  readonly fd: number;
  /** Takes the mount away; what is open in it stays usable. */
  remove(): void;
}

/** The mounter of a VM: started when it is needed first, ends with the VM. */
export class Mounter {
  #process: Broker | undefined;

  /** Makes a private mount of `source`, an absolute path (byte string). Throws Errno where that is not possible. */
  add(source: string, readOnly: boolean): PrivateMount {
    const process = this.#start();
    const { result, fd } = process.callForFd(ADD, { a: readOnly ? 1 : 0, text: source });
    return { fd, remove: () => void (process.alive && process.call(REMOVE, { a: result })) };
  }

  #start(): Broker {
    return (this.#process ??= Broker.start(join(nativeDir, 'umvu-mounter')));
  }

  /**
   * A FUSE file system of a single file, for a user who may not mount one himself: descriptors for its server and
   * of the file (O_PATH), both the caller's. Throws Errno where that is not possible.
   */
  fuse(): { server: number; file: number } {
    const process = this.#start();
    const { fd: server } = process.callForFd(FUSE, {});
    try {
      return { server, file: process.callForFd(FUSE_FILE, {}).fd };
    } catch (error) {
      closeFd(server);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#process?.close();
  }
}
