/**
 * Character devices without FUSE: a guest has one end of a socket pair, and what its file reads is sent ahead. So
 * the device is asked before the guest reads, positions are counted from the start, and errors of writes are lost.
 */
import { Errno } from '../errno.ts';
import { native } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import type { Carrier, MakeCarrier } from './carrier.ts';
import { openCall } from './carrier.ts';
import { Channel } from './channel.ts';
import type { OpenFile } from './define.ts';
import { NO_PORT } from './fuse/server.ts';
import type { MountedDevice } from './mounted.ts';
import { OPEN } from './sys.ts';

const SOCK_STREAM = 1;
const F_SETFL = 4;
const SHUT_RD = 0;
/** Bytes that are read ahead at once. */
const CHUNK = 4096;

/** Moves bytes between an opened file and a socket until the guest closes it. */
class Pump {
  readonly #device: MountedDevice;
  readonly #file: OpenFile;
  readonly #abort = new AbortController();
  readonly #ended: () => void;
  readonly channel: Channel;
  #written = 0;

  constructor(device: MountedDevice, file: OpenFile, fd: number, writable: boolean, ended: () => void) {
    this.#device = device;
    this.#file = file;
    this.#ended = ended;
    this.channel = new Channel(fd, false, {
      // A guest that opened it for reading can write to the socket even so.
      data: (bytes) => (writable ? device.tell('write', () => this.#write(bytes)) : undefined),
      closed: () => this.#closed(),
    });
  }

  /** Sends what the file has, up to its end. */
  async run(): Promise<void> {
    const call = { pid: 0, signal: this.#abort.signal };
    for (let offset = 0; !call.signal.aborted;) {
      const into = Buffer.alloc(CHUNK);
      const at = this.#file.seekable === false ? 0 : offset;
      const got = this.#device.count((await this.#file.read?.(into, at, call)) ?? 0, CHUNK);
      if (got === 0) break;
      offset += got;
      this.channel.write(into.subarray(0, got));
      await this.channel.drained();
    }
    this.channel.end();
  }

  async #write(bytes: Buffer): Promise<void> {
    const call = { pid: 0, signal: this.#abort.signal };
    for (let done = 0; done < bytes.length;) {
      const rest = bytes.subarray(done);
      const at = this.#file.seekable === false ? 0 : this.#written;
      const n = this.#device.count((await this.#file.write?.(rest, at, call)) ?? rest.length, rest.length);
      if (n === 0) return;
      done += n;
      this.#written += n;
    }
  }

  #closed(): void {
    this.#abort.abort(new Errno('ESRCH'));
    this.#ended();
    void this.#device.tell('close', () => this.#file.close?.());
  }
}

export const pumpCarrier: MakeCarrier = (device): Carrier => {
  const pumps = new Set<Pump>();
  return {
    async open(part, opening) {
      const file = (await device.ask(() => device.device.open?.(openCall(part, opening), NO_PORT))) ?? {};
      const pair = native().socketPair(SOCK_STREAM);
      if (typeof pair === 'number') throw new Errno(pair);
      const [guest, ours] = pair;
      const access = opening.flags & OPEN.ACCMODE;
      native().syscall(SYS.fcntl, guest, F_SETFL, opening.flags & OPEN.NONBLOCK);
      native().syscall(SYS.fcntl, ours, F_SETFL, OPEN.NONBLOCK);
      if (access === OPEN.WRONLY) native().syscall(SYS.shutdown, guest, SHUT_RD);
      const identity = device.table.add(guest, { part, exclusive: true, file: () => file });
      const pump = new Pump(device, file, ours, access !== 0, () => {
        device.table.remove(identity);
        pumps.delete(pump);
      });
      pumps.add(pump);
      if (access !== OPEN.WRONLY) void device.tell('read', () => pump.run()).then(() => pump.channel.end());
      return guest;
    },
    close: () => {
      for (const pump of pumps) pump.channel.close();
    },
  };
};
