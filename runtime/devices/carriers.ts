/** Devices whose data path is the kernel's alone: memory, files of the host, streams, terminals. */
import { check, Errno } from '../errno.ts';
import { native } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import type { Carrier, MakeCarrier, Opening } from './carrier.ts';
import { openCall } from './carrier.ts';
import { Channel } from './channel.ts';
import type { OpenFile } from './define.ts';
import type { MountedDevice, MountedPart } from './mounted.ts';
import { AT_FDCWD, closeFd, OPEN, openAgain, openPath } from './sys.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW: a device keeps its size. */
const FIXED_SIZE = 7;
const F_SETFL = 4;
const SOCK_STREAM = 1;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;

/** A memfd of a fixed size; the caller closes it. */
export function memoryFile(name: string, size: number): number {
  const fd = check(native().syscall(SYS.memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  try {
    check(native().syscall(SYS.ftruncate, fd, size));
    check(native().syscall(SYS.fcntl, fd, F_ADD_SEALS, FIXED_SIZE));
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** Writes all bytes at an offset. */
export function writeAt(fd: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;) {
    const rest = bytes.subarray(done);
    const n = check(native().syscall(SYS.pwrite64, fd, rest, rest.length, offset + done));
    if (n === 0) throw new Errno('EIO');
    done += n;
  }
}

/** All openers share one memfd; each has its own position. */
export const memoryCarrier: MakeCarrier = async (device): Promise<Carrier> => {
  const fd = memoryFile(device.definition.name, device.size);
  const identity = device.table.add(fd, { part: device.part(0), exclusive: true });
  const carrier = {
    open: (_part: MountedPart, { flags }: Opening) => openAgain(fd, flags),
    close: () => {
      device.table.remove(identity);
      closeFd(fd);
    },
  };
  try {
    await device.device.fill?.({ write: (bytes, offset) => writeAt(fd, bytes, offset) });
  } catch (error) {
    carrier.close();
    throw error;
  }
  return carrier;
};

/** Guests get the file of the host itself. */
export const fileCarrier: MakeCarrier = ({ device, table, part }): Carrier => {
  const { path } = device;
  if (path === undefined) throw new TypeError('a device of kind «file» has no path');
  const fd = check(
    native().syscall(SYS.openat, AT_FDCWD, path, OPEN.PATH | OPEN.CLOEXEC),
    `cannot open ${path}`,
  );
  const identity = table.add(fd, { part: part(0), exclusive: false });
  return {
    open: (_part, { flags }) => openPath(`/proc/self/fd/${fd}`, flags),
    close: () => {
      table.remove(identity);
      closeFd(fd);
    },
  };
};

/** The far end of what a guest has opened. */
class Line {
  readonly #device: MountedDevice;
  readonly channel: Channel;
  /** Who opened it; undefined until open() has returned. */
  #file: OpenFile | undefined;
  /** What came before. */
  readonly #early: Buffer[] = [];
  #closed = false;
  readonly closed: () => void;

  constructor(device: MountedDevice, fd: number, terminal: boolean, closed: () => void) {
    this.#device = device;
    this.closed = closed;
    this.channel = new Channel(fd, terminal, {
      data: (bytes) => this.#data(bytes),
      closed: () => this.#end(),
    });
  }

  get file(): OpenFile | undefined {
    return this.#file;
  }

  async open(part: MountedPart, opening: Opening): Promise<void> {
    const file =
      (await this.#device.ask(() => this.#device.device.open?.(openCall(part, opening), this.channel))) ?? {};
    this.#file = file;
    for (const bytes of this.#early.splice(0)) await this.#data(bytes);
    if (this.#closed) await this.#device.tell('close', () => file.close?.());
  }

  #data(bytes: Buffer): void | Promise<void> {
    const file = this.#file;
    if (!file) return void this.#early.push(bytes);
    // An error cannot reach the guest, whose write(2) has long returned: it is only said.
    return this.#device.tell('data', () => file.data?.(bytes));
  }

  #end(): void {
    this.#closed = true;
    this.closed();
    const file = this.#file;
    if (file) void this.#device.tell('close', () => file.close?.());
  }
}

/** Each opener has one end of a socket pair. */
export const streamCarrier: MakeCarrier = (device): Carrier => {
  const lines = new Set<Line>();
  return {
    async open(part, opening) {
      const pair = native().socketPair(SOCK_STREAM);
      if (typeof pair === 'number') throw new Errno(pair);
      const [guest, ours] = pair;
      native().syscall(SYS.fcntl, guest, F_SETFL, opening.flags & OPEN.NONBLOCK);
      native().syscall(SYS.fcntl, ours, F_SETFL, OPEN.NONBLOCK);
      const identity = device.table.add(guest, { part, exclusive: true, file: () => line.file });
      const line: Line = new Line(device, ours, false, () => {
        device.table.remove(identity);
        lines.delete(line);
      });
      lines.add(line);
      try {
        await line.open(part, opening);
        return guest;
      } catch (error) {
        closeFd(guest);
        line.channel.close();
        throw error;
      }
    },
    close: () => {
      for (const line of lines) line.channel.close();
    },
  };
};

/** All openers share one pseudo terminal, which keeps its settings while nobody has it open. */
export const terminalCarrier: MakeCarrier = (device): Carrier => {
  const ours = openPath('/dev/ptmx', OPEN.RDWR | OPEN.NONBLOCK);
  check(native().syscall(SYS.ioctl, ours, TIOCSPTLCK, new Uint8Array(4)));
  const kept = native().syscall(SYS.ioctl, ours, TIOCGPTPEER, OPEN.RDWR | OPEN.NOCTTY | OPEN.CLOEXEC);
  if (kept < 0) closeFd(ours);
  check(kept);
  const identity = device.table.add(kept, { part: device.part(0), exclusive: false, file: () => line.file });
  const line: Line = new Line(device, ours, true, () => device.table.remove(identity));
  let opened: Promise<void> | undefined;
  return {
    async open(part, opening) {
      opened ??= line.open(part, opening);
      await opened.catch((error: unknown) => {
        opened = undefined;
        throw error;
      });
      const flags = (opening.flags & (OPEN.ACCMODE | OPEN.NONBLOCK)) | OPEN.NOCTTY | OPEN.CLOEXEC;
      return check(native().syscall(SYS.ioctl, ours, TIOCGPTPEER, flags));
    },
    close: () => {
      closeFd(kept);
      line.channel.close();
    },
  };
};
