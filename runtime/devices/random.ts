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
  readonly #servers = new Map<number, Promise<FuseServer>>();
  readonly #identities: string[] = [];

  constructor(device: MountedDevice) {
    this.#device = device;
  }

  server(part: MountedPart): Promise<FuseServer> {
    let server = this.#servers.get(part.number);
    if (!server) this.#servers.set(part.number, (server = this.#start(part)));
    return server;
  }

  async #start(part: MountedPart): Promise<FuseServer> {
    const server = await FuseServer.start(part);
    this.#identities.push(
      this.#device.table.add(server.file, { part, exclusive: true, file: (fd) => server.fileOf(fd) }),
    );
    return server;
  }

  async open(part: MountedPart, opening: Parameters<Carrier['open']>[1]): Promise<number> {
    return (await this.server(part)).open(opening);
  }

  wake(): void {
    for (const server of this.#servers.values()) void server.then((started) => started.wake());
  }

  async close(): Promise<void> {
    for (const identity of this.#identities) this.#device.table.remove(identity);
    for (const server of this.#servers.values()) (await server.catch(() => undefined))?.close();
  }
}

export const randomCarrier: MakeCarrier = async (device) => {
  const carrier = new FuseCarrier(device);
  try {
    await carrier.server(device.part(0));
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
