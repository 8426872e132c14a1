/**
 * Devices whose reads and writes are functions of TypeScript. FUSE serves them where this process may mount it; where
 * it may not, the next best objects of the kernel do: a stream for a character device, a copy in memory for a block
 * device. What differs then is in docs/vudev.md.
 */
import { Errno } from '../errno.ts';
import { once } from '../log.ts';
import type { Carrier, MakeCarrier } from './carrier.ts';
import { copyCarrier } from './copy.ts';
import { FuseServer } from './fuse/server.ts';
import type { MountedDevice, MountedPart } from './mounted.ts';
import { pumpCarrier } from './pump.ts';

/** A FUSE file system for each part that has been opened. */
class FuseCarrier implements Carrier {
  readonly #device: MountedDevice;
  readonly #servers = new Map<number, FuseServer>();
  readonly #identities: string[] = [];

  constructor(device: MountedDevice) {
    this.#device = device;
  }

  /** Throws Errno where FUSE cannot be used. */
  server(part: MountedPart): FuseServer {
    let server = this.#servers.get(part.number);
    if (server) return server;
    const made = new FuseServer(part);
    this.#servers.set(part.number, (server = made));
    const carried = { part, exclusive: true, file: (fd: number) => made.fileOf(fd) };
    this.#identities.push(this.#device.table.add(made.file, carried));
    return server;
  }

  open(part: MountedPart, opening: Parameters<Carrier['open']>[1]): Promise<number> {
    return this.server(part).open(opening);
  }

  wake(): void {
    for (const server of this.#servers.values()) server.wake();
  }

  close(): void {
    for (const identity of this.#identities) this.#device.table.remove(identity);
    for (const server of this.#servers.values()) server.close();
  }
}

export const randomCarrier: MakeCarrier = (device) => {
  const carrier = new FuseCarrier(device);
  try {
    carrier.server(device.part(0));
    return carrier;
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    once(
      device.log,
      'fuse',
      `no FUSE (${error.message}): devices of TypeScript have limits, see docs/vudev.md`,
    );
    return device.isSized ? copyCarrier(device) : pumpCarrier(device);
  }
};
