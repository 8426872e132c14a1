/**
 * What the supervisor and the process of an isolated stack tell each other: the structures of native/isolated/protocol.h.
 * What comes from that process is distrusted: a parser returns undefined for what is not as it must be.
 */
import type { LwipAddress, LwipConnection, LwipLink, LwipNeighbour, LwipRouter } from '../addon.ts';

export const PROTOCOL_VERSION = 1;
export const REPLY_HEAD = 8;
export const EVENT_BYTES = 16;
/** Bytes after the head of a request or a reply. */
export const MOST_BYTES = 66000;

/** Numbers of the requests, in the order of native/isolated/protocol.h, which says what belongs to each. */
const NAMES = [
  'hello', 'addInterface', 'socket', 'countSockets', 'memory', 'fail', 'close',
  'setLink', 'setAddress', 'setRoute', 'setNeighbour', 'setForwarding',
  'links', 'addresses', 'neighbours', 'routers', 'connections', 'more', 'identify',
  'bind', 'connect', 'listen', 'shutdown', 'name', 'setOption', 'getOption', 'map', 'takeQueued', 'look', 'finishReset', 'send',
] as const; // prettier-ignore
export type Op = (typeof NAMES)[number];

/** A request; see native/isolated/protocol.h. */
export interface Request {
  a?: number;
  b?: number;
  c?: number;
  /** A socket, as the process counts them; of `hello`: bytes of memory. */
  id?: number;
  bytes?: readonly Uint8Array[];
}

const REQUEST_HEAD = 24;
const room = Buffer.alloc(REQUEST_HEAD + MOST_BYTES);

/** The bytes of a request, valid until the next one; undefined where it is too long. */
export function serialize(
  op: Op,
  { a = 0, b = 0, c = 0, id = 0, bytes = [] }: Request,
): Uint8Array | undefined {
  let size = REQUEST_HEAD;
  for (const part of bytes) {
    if (size + part.length > room.length) return undefined;
    room.set(part, size);
    size += part.length;
  }
  room.writeUInt32LE(NAMES.indexOf(op), 0);
  [a, b, c].forEach((value, i) => room.writeInt32LE(value | 0, 4 + 4 * i));
  room.writeBigUInt64LE(BigInt(id), 16);
  return room.subarray(0, size);
}

/** A socket, as the process counts them. */
export interface Kind {
  id: number;
  domain: number;
  type: number;
  protocol: number;
}

/** Below 2^32, so that ids of several processes and of this one do not collide (sockets.ts). */
function smallId(bytes: Buffer, at: number): number | undefined {
  return bytes.readUInt32LE(at + 4) === 0 ? bytes.readUInt32LE(at) : undefined;
}

const DOMAINS: ReadonlySet<number> = new Set([2, 10, 17]);

export function parseKind(bytes: Buffer): Kind | undefined {
  if (bytes.length !== 24) return undefined;
  const id = smallId(bytes, 0);
  const [domain, type, protocol] = [8, 12, 16].map((at) => bytes.readInt32LE(at)) as [number, number, number];
  const sound = DOMAINS.has(domain) && type >= 1 && type <= 3 && protocol >= 0 && protocol <= 0xffff;
  return id !== undefined && id > 0 && sound ? { id, domain, type, protocol } : undefined;
}

/** The socket or stack that an event is about, the event and its value. */
export function parseEvent(bytes: Buffer): { id: number; event: number; value: number } | undefined {
  const id = smallId(bytes, 0);
  const [event, value] = [bytes.readUInt32LE(8), bytes.readInt32LE(12)];
  return id === undefined || event > 7 || value < 0 || value > 4095 ? undefined : { id, event, value };
}

/** Splits a list into entries of `size` bytes; undefined where one is not sound. */
function entries<T>(bytes: Buffer, size: number, parse: (entry: Buffer) => T | undefined): T[] | undefined {
  if (bytes.length % size !== 0) return undefined;
  const list: T[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    const entry = parse(bytes.subarray(at, at + size));
    if (entry === undefined) return undefined;
    list.push(entry);
  }
  return list;
}

/** The 4 or 16 bytes of an address. */
function addressAt(entry: Buffer, at: number, size: number): Uint8Array | undefined {
  return size === 4 || size === 16 ? Uint8Array.from(entry.subarray(at, at + size)) : undefined;
}

const indexAt = (entry: Buffer): number | undefined => {
  const index = entry.readInt32LE(0);
  return index > 0 ? index : undefined;
};

function parseLink(entry: Buffer): LwipLink | undefined {
  const [name = ''] = entry.toString('latin1', 16, 32).split('\0');
  const index = indexAt(entry);
  // As the kernel checks names of interfaces; they become names of files.
  if (index === undefined || !/^[!-.0-~]{1,15}$/.test(name) || /^\.\.?$/.test(name)) return undefined;
  const counter = (i: number): number => Number(entry.readBigUInt64LE(32 + 8 * i));
  const flags = entry[8]!;
  return {
    index,
    name,
    loopback: (flags & 1) !== 0,
    up: (flags & 2) !== 0,
    carrier: (flags & 4) !== 0,
    mtu: entry.readUInt32LE(4),
    mac: Uint8Array.from(entry.subarray(9, 15)),
    rxPackets: counter(0),
    rxBytes: counter(1),
    txPackets: counter(2),
    txBytes: counter(3),
    txDropped: counter(4),
  };
}

function parseAddress(entry: Buffer): LwipAddress | undefined {
  const [index, address] = [indexAt(entry), addressAt(entry, 16, entry[13]!)];
  if (index === undefined || address === undefined) return undefined;
  const flags = entry[12]!;
  return {
    index,
    address,
    tentative: (flags & 1) !== 0,
    duplicated: (flags & 2) !== 0,
    deprecated: (flags & 4) !== 0,
    valid: entry.readUInt32LE(4),
    preferred: entry.readUInt32LE(8),
  };
}

function parseNeighbour(entry: Buffer): LwipNeighbour | undefined {
  const [index, address] = [indexAt(entry), addressAt(entry, 16, entry[9]!)];
  if (index === undefined || address === undefined) return undefined;
  const flags = entry[8]!;
  const mac = Uint8Array.from(entry.subarray(10, 16));
  return {
    index,
    address,
    state: entry.readUInt32LE(4) & 0xffff,
    router: (flags & 1) !== 0,
    ...((flags & 2) !== 0 ? { mac } : {}),
  };
}

function parseRouter(entry: Buffer): LwipRouter | undefined {
  const [index, address] = [indexAt(entry), addressAt(entry, 16, entry[8]!)];
  return index === undefined || address === undefined
    ? undefined
    : { index, address, lifetime: entry.readUInt32LE(4) };
}

function parseConnection(entry: Buffer): LwipConnection | undefined {
  const [domain, type, protocol, state] = [0, 4, 8, 12].map((at) => entry.readInt32LE(at)) as [
    number, number, number, number,
  ]; // prettier-ignore
  const local = addressAt(entry, 40, entry[16]!);
  const remote = addressAt(entry, 56, entry[17]!);
  const sound = DOMAINS.has(domain) && type >= 1 && type <= 3 && protocol >= 0 && protocol <= 0xffff;
  if (!local || !remote || !sound || state < 1 || state > 12) return undefined;
  return {
    domain,
    type,
    protocol,
    state,
    local,
    localPort: entry.readUInt16LE(18),
    remote,
    remotePort: entry.readUInt16LE(20),
    inode: Number(entry.readBigUInt64LE(32)),
    unsent: entry.readUInt32LE(24),
    v6only: entry[22] !== 0,
  };
}

/** How the lists are read. */
export const LISTS = {
  links: (bytes: Buffer) => entries(bytes, 72, parseLink),
  addresses: (bytes: Buffer) => entries(bytes, 32, parseAddress),
  neighbours: (bytes: Buffer) => entries(bytes, 32, parseNeighbour),
  routers: (bytes: Buffer) => entries(bytes, 32, parseRouter),
  connections: (bytes: Buffer) => entries(bytes, 72, parseConnection),
} as const;
