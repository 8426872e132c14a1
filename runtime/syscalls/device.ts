/** Calls on descriptors of devices: ioctl(2), and fstat(2) where it comes as a call with an empty path. */
import { constants } from 'node:os';
import { Errno } from '../errno.ts';
import type { Device, IoctlCall } from '../devices/define.ts';
import type { MountedPart } from '../devices/mounted.ts';
import { closeFd } from '../devices/sys.ts';
import { devicesOf, type Carried } from '../devices/table.ts';
import type { Call } from '../vm/call.ts';
import type { Handler } from './handler.ts';
import { netdeviceHandlers } from './netdevice.ts';
import { PASS, type Answer } from './outcome.ts';
import { encodeStat, encodeStatx } from './path/structs.ts';
import type { SyscallName } from './table.ts';

const AT_EMPTY_PATH = 0x1000;
/** Requests of netdevice(7), see table/descriptors.ts. */
const NETDEVICE = { first: 0x890b, last: 0x89ff } as const;
/** Requests for block devices (linux/fs.h, linux/hdreg.h). */
const BLK = {
  ROSET: 0x125d,
  ROGET: 0x125e,
  RRPART: 0x125f,
  GETSIZE: 0x1260,
  FLSBUF: 0x1261,
  RAGET: 0x1263,
  SSZGET: 0x1268,
  IOMIN: 0x1278,
  IOOPT: 0x1279,
  ALIGNOFF: 0x127a,
  PBSZGET: 0x127b,
  BSZGET: -0x7ff7ed90, // 0x80081270
  GETSIZE64: -0x7ff7ed8e, // 0x80081272
  HDIO_GETGEO: 0x0301,
} as const;
const SECTOR = 512;

const number = (length: number, value: number): Buffer => {
  const out = Buffer.alloc(length);
  if (length === 8) out.writeBigUInt64LE(BigInt(value));
  else out.writeUIntLE(value, 0, length);
  return out;
};

/** struct hd_geometry: what fdisk(8) takes where it knows nothing better. */
function geometry(size: number): Buffer {
  const [heads, sectors] = [255, 63];
  const out = Buffer.alloc(16);
  out[0] = heads;
  out[1] = sectors;
  out.writeUInt16LE(Math.min(0xffff, Math.floor(size / SECTOR / heads / sectors)), 2);
  return out;
}

/** What every block device answers that does not answer itself; undefined for other requests. */
function blockRequest(part: MountedPart, device: Device, request: number): Buffer | number | undefined {
  const sector = device.sectorSize ?? SECTOR;
  switch (request) {
    case BLK.ROGET:
      return number(4, part.owner.readOnly || device.readOnly ? 1 : 0);
    case BLK.GETSIZE:
      return number(8, Math.floor(part.size / SECTOR));
    case BLK.GETSIZE64:
      return number(8, part.size);
    case BLK.SSZGET:
    case BLK.PBSZGET:
    case BLK.IOMIN:
      return number(4, sector);
    case BLK.BSZGET:
      return number(4, 4096);
    case BLK.IOOPT:
    case BLK.ALIGNOFF:
      return number(4, 0);
    case BLK.RAGET:
      return number(8, 0);
    case BLK.HDIO_GETGEO:
      return geometry(part.size);
    case BLK.FLSBUF:
    case BLK.RRPART:
      return 0;
    case BLK.ROSET:
      throw new Errno('EACCES');
    default:
      return undefined;
  }
}

async function deviceIoctl(call: Call, { carried, fd }: { carried: Carried; fd: number }): Promise<number> {
  const { part } = carried;
  const { owner } = part;
  const request = call.int(1);
  const asked: IoctlCall = {
    part: part.number,
    pid: call.process.pid,
    signal: call.signal,
    read: (length) => call.read(call.arg(2), length),
    write: (bytes) => call.write(call.arg(2), bytes),
  };
  const own = await owner.ask(async () => {
    const file = await carried.file?.(fd);
    const answer = await file?.ioctl?.(request >>> 0, call.arg(2), asked);
    return answer ?? owner.device.ioctl?.(request >>> 0, call.arg(2), asked);
  });
  if (own !== undefined) return Math.max(0, Math.trunc(Number(own)) || 0);
  const known = owner.isBlock ? blockRequest(part, owner.device, request) : undefined;
  if (known === undefined) throw new Errno(constants.errno.ENOTTY);
  if (typeof known === 'number') return known;
  call.write(call.arg(2), known);
  return 0;
}

/** netdevice(7) requests go to the caller's stack, those on a device to it, all others to the kernel. */
const ioctl: Handler = (call) => {
  const request = call.int(1);
  if (request >= NETDEVICE.first && request <= NETDEVICE.last) return netdeviceHandlers.ioctl(call);
  const found = devicesOf(call.vm).open(call.process, call.int(0));
  return found ? deviceIoctl(call, found).finally(() => closeFd(found.fd)) : PASS;
};

/** The device that a call with an empty path is about, by its descriptor; `flags` is the index of the AT_… flags. */
function deviceOf(call: Call, flags: number): MountedPart | undefined {
  const table = devicesOf(call.vm);
  if (table.empty || !(call.int(flags) & AT_EMPTY_PATH) || call.int(0) < 0) return undefined;
  if (call.readString(call.arg(1)) !== '') return undefined;
  const carried = table.of(call.process, call.int(0));
  return carried?.exclusive ? carried.part : undefined;
}

/** The calls of `handlers` by which fstat(3) asks, with devices. */
export function withDevices(
  handlers: Partial<Record<SyscallName, Handler>>,
): Partial<Record<SyscallName, Handler>> {
  const answer =
    (name: 'newfstatat' | 'statx', flags: number, out: number, encode: typeof encodeStat): Handler =>
    (call): Answer => {
      const part = deviceOf(call, flags);
      if (!part) return handlers[name]!(call);
      call.write(call.arg(out), encode(part.attributes));
      return 0;
    };
  return {
    ...handlers,
    newfstatat: answer('newfstatat', 3, 2, encodeStat),
    statx: answer('statx', 2, 4, encodeStatx),
  };
}

export const deviceHandlers = { ioctl } as const;
