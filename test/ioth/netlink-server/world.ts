/** Puts a NetlinkServer behind the AF_NETLINK sockets of ordinary programs, by way of preload.c. */
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Errno } from '../../../runtime/errno.ts';
import {
  type MemoryTable,
  NetlinkServer,
  argumentSize,
  interfaceList,
  procNetArp,
  procNetDev,
  procNetIfInet6,
  procNetIpv6Route,
  procNetRoute,
} from '../../../runtime/ioth/netlink/server/index.ts';
import { Workshop } from '../../helpers/cc.ts';
import { type ExecResult, exec } from '../../helpers/exec.ts';

const FILES: Record<string, (table: MemoryTable) => string> = {
  '/proc/net/dev': procNetDev,
  '/proc/net/route': procNetRoute,
  '/proc/net/arp': procNetArp,
  '/proc/net/if_inet6': procNetIfInet6,
  '/proc/net/ipv6_route': procNetIpv6Route,
};

function frame(kind: string, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(5);
  head.writeUInt32LE(body.length);
  head.write(kind, 4);
  return Buffer.concat([head, body]);
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => bytes.writeUInt32LE(value >>> 0, 4 * i));
  return bytes;
}

/** 0 or the negated errno of what `action` throws. */
function result(action: () => void): number {
  try {
    action();
    return 0;
  } catch (error) {
    if (error instanceof Errno) return -error.errno;
    throw error;
  }
}

export class World {
  readonly server: NetlinkServer;
  readonly table: MemoryTable;
  readonly #workshop = new Workshop();
  readonly #library: string;
  readonly #listener: Server;
  #clients = 0;

  constructor(table: MemoryTable) {
    this.table = table;
    this.server = new NetlinkServer(table);
    const source = readFileSync(new URL('preload.c', import.meta.url), 'utf8');
    this.#library = this.#workshop.compile('preload.so', source, ['-shared', '-fPIC', '-ldl']);
    this.#listener = createServer((socket) => this.#serve(socket));
  }

  get #path(): string {
    return join(this.#workshop.dir, 'socket');
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#listener.listen(this.#path, resolve));
    return this;
  }

  /** Runs a shell script with the server in the place of the kernel's. */
  run(script: string): Promise<ExecResult> {
    const env = { ...process.env, LD_PRELOAD: this.#library, NETLINK_SERVER: this.#path };
    return exec('/bin/sh', ['-c', script], { env });
  }

  close(): void {
    this.server.close();
    this.#listener.close();
    this.#workshop.close();
  }

  #serve(socket: Socket): void {
    const peer = this.server.connect({
      send: (bytes, group) => void socket.write(frame('D', words(group), bytes)),
      pid: 1000 + this.#clients++,
    });
    let input = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('close', () => peer.close());
    socket.on('data', (chunk: Buffer) => {
      input = Buffer.concat([input, chunk]);
      while (input.length >= 5 && input.length >= 5 + input.readUInt32LE(0)) {
        const size = input.readUInt32LE(0);
        const body = Buffer.from(input.subarray(5, 5 + size));
        const answer = this.#answer(peer, String.fromCharCode(input[4] ?? 0), body);
        input = input.subarray(5 + size);
        if (answer) socket.write(answer);
      }
    });
  }

  #answer(peer: ReturnType<NetlinkServer['connect']>, kind: string, body: Buffer): Buffer | undefined {
    switch (kind) {
      case 'D':
        peer.receive(body);
        return undefined;
      case 'N':
        return frame('N');
      case 'B': {
        const code = result(() => peer.bind(body.readUInt32LE(0), body.readUInt32LE(4)));
        return frame('B', words(code, peer.port, peer.groupMask));
      }
      case 'O':
        return frame('O', words(result(() => peer.setOption(body.readUInt32LE(0), body.subarray(4)))));
      case 'I':
        return this.#ioctl(body);
      case 'C':
        return frame('C', interfaceList(this.table, body.readUInt32LE(0)));
      default:
        return frame('P', Buffer.from(FILES[body.toString()]?.(this.table) ?? ''));
    }
  }

  #ioctl(body: Buffer): Buffer {
    const [request, family, size] = [0, 4, 8].map((at) => body.readUInt32LE(at)) as [number, number, number];
    const argument = Buffer.from(body.subarray(12, 12 + size));
    const device = body
      .subarray(12 + size)
      .toString('latin1')
      .split('\0', 1)[0];
    if ((argumentSize(request, family) ?? 40) !== size)
      throw new Error(`ioctl ${request} with ${size} bytes`);
    const context = { family, ...(device ? { device } : {}) };
    return frame('I', words(result(() => this.server.ioctl(request, argument, context))), argument);
  }
}
