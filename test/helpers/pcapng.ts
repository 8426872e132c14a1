/** A strict reader of pcapng files (draft-ietf-opsawg-pcapng), as far as umvu writes them. Throws where one is wrong. */

/** Options of a block: code and value. */
type Options = Map<number, Buffer>;

export interface RecordedInterface {
  readonly name: string;
  readonly description: string;
  /** isb_ifrecv and isb_ifdrop, where the statistics are there. */
  statistics?: { received: bigint; dropped: bigint };
}

export interface RecordedFrame {
  readonly interface: number;
  /** Nanoseconds since 1970. */
  readonly time: bigint;
  readonly direction: 'in' | 'out';
  readonly bytes: Buffer;
}

export interface Recording {
  readonly interfaces: readonly RecordedInterface[];
  readonly frames: readonly RecordedFrame[];
}

const must = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(`pcapng: ${what}`);
};

function readOptions(bytes: Buffer): Options {
  const options: Options = new Map();
  for (let at = 0; at < bytes.length;) {
    const [code, length] = [bytes.readUInt16LE(at), bytes.readUInt16LE(at + 2)];
    if (code === 0) {
      must(length === 0 && at + 4 === bytes.length, 'bytes after the end of the options');
      return options;
    }
    must(at + 4 + length <= bytes.length, 'option that is too long');
    options.set(code, bytes.subarray(at + 4, at + 4 + length));
    at += 4 + Math.ceil(length / 4) * 4;
  }
  throw new Error('pcapng: no end of the options');
}

const time = (body: Buffer): bigint => (BigInt(body.readUInt32LE(4)) << 32n) | BigInt(body.readUInt32LE(8));

function readInterface(body: Buffer): RecordedInterface {
  must(body.readUInt16LE(0) === 1, 'not Ethernet');
  const options = readOptions(body.subarray(8));
  must(options.get(9)?.[0] === 9, 'times that are not in nanoseconds');
  return { name: options.get(2)!.toString(), description: options.get(3)!.toString() };
}

function readFrame(body: Buffer): RecordedFrame {
  const length = body.readUInt32LE(12);
  must(length === body.readUInt32LE(16), 'a frame was cut');
  const flags = readOptions(body.subarray(20 + Math.ceil(length / 4) * 4))
    .get(2)!
    .readUInt32LE(0);
  must(flags === 1 || flags === 2, 'no direction');
  return {
    interface: body.readUInt32LE(0),
    time: time(body),
    direction: flags === 1 ? 'in' : 'out',
    bytes: body.subarray(20, 20 + length),
  };
}

export function readPcapng(file: Buffer): Recording {
  const interfaces: RecordedInterface[] = [];
  const frames: RecordedFrame[] = [];
  for (let at = 0; at < file.length;) {
    const [type, size] = [file.readUInt32LE(at), file.readUInt32LE(at + 4)];
    must(size >= 12 && size % 4 === 0 && at + size <= file.length, `block of ${size} bytes at ${at}`);
    must(file.readUInt32LE(at + size - 4) === size, `the two lengths of the block at ${at} differ`);
    const body = file.subarray(at + 8, at + size - 4);
    if (at === 0) must(type === 0x0a0d0d0a && body.readUInt32LE(0) === 0x1a2b3c4d, 'no section header');
    if (type === 1) interfaces.push(readInterface(body));
    else if (type === 6) frames.push(readFrame(body));
    else if (type === 5) {
      const options = readOptions(body.subarray(12));
      interfaces[body.readUInt32LE(0)]!.statistics = {
        received: options.get(4)!.readBigUInt64LE(0),
        dropped: options.get(5)!.readBigUInt64LE(0),
      };
    } else must(at === 0, `block of type ${type}`);
    at += size;
  }
  must(
    frames.every((frame) => frame.interface < interfaces.length),
    'frame of an unknown interface',
  );
  return { interfaces, frames };
}
