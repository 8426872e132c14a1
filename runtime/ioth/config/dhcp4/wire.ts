/** DHCPv4 messages (RFC 2131 §2, options RFC 2132, 3396, 4702) and the IP and UDP headers around them. */
import { ByteReader, ByteWriter, internetChecksum } from '../../bytes.ts';
import { writeName } from '../../dns/name.ts';

/** Values of option 53. */
export const TYPE = { DISCOVER: 1, OFFER: 2, REQUEST: 3, DECLINE: 4, ACK: 5, NAK: 6, RELEASE: 7 } as const;

/** Options, by their number. */
export const OPTION = {
  SUBNET_MASK: 1, ROUTER: 3, DNS: 6, DOMAIN: 15, REQUESTED: 50, LEASE: 51, OVERLOAD: 52, TYPE: 53, SERVER: 54,
  PARAMETERS: 55, MAX_SIZE: 57, T1: 58, T2: 59, CLIENT_ID: 61, FQDN: 81,
} as const; // prettier-ignore

const PAD = 0;
const END = 255;
const COOKIE = 0x63825363;
const SIZE_OF_NAME = 64;
const SIZE_OF_FILE = 128;
/** Some servers and relays drop less (RFC 1542 §2.1). */
const LEAST = 300;
export const CLIENT_PORT = 68;
export const SERVER_PORT = 67;

/** An IPv4 address as four bytes. */
export type Address4 = Uint8Array;
export const NO_ADDRESS: Address4 = new Uint8Array(4);

export interface Dhcp4Message {
  /** 1 from a client, 2 from a server. */
  op: number;
  xid: number;
  /** Since the client began, in seconds. */
  seconds: number;
  /** Whether the answer is to be broadcast. */
  broadcast: boolean;
  client: Address4;
  yours: Address4;
  server: Address4;
  relay: Address4;
  mac: Uint8Array;
  /** Without PAD and END; an option that comes in parts is put together (RFC 3396). */
  options: Map<number, Uint8Array>;
}

function readOptions(reader: ByteReader, options: Map<number, Uint8Array>): void {
  while (reader.left > 0) {
    const code = reader.u8();
    if (code === END) return;
    if (code === PAD) continue;
    const data = reader.take(reader.u8());
    const before = options.get(code);
    options.set(code, before ? Uint8Array.from([...before, ...data]) : Uint8Array.from(data));
  }
}

/** Reads a message. Throws WireError. */
export function parseDhcp4(bytes: Uint8Array): Dhcp4Message {
  const reader = new ByteReader(bytes, 'dhcp');
  const op = reader.u8();
  const hardware = reader.u8();
  const length = reader.u8();
  if (hardware !== 1 || length !== 6) throw reader.error('not a message for Ethernet');
  reader.u8();
  const message: Dhcp4Message = {
    op,
    xid: reader.u32(),
    seconds: reader.u16(),
    broadcast: (reader.u16() & 0x8000) !== 0,
    client: Uint8Array.from(reader.take(4)),
    yours: Uint8Array.from(reader.take(4)),
    server: Uint8Array.from(reader.take(4)),
    relay: Uint8Array.from(reader.take(4)),
    mac: Uint8Array.from(reader.take(16).subarray(0, 6)),
    options: new Map(),
  };
  const name = reader.part(SIZE_OF_NAME);
  const file = reader.part(SIZE_OF_FILE);
  if (reader.u32() !== COOKIE) throw reader.error('no DHCP message');
  readOptions(reader, message.options);
  const overload = message.options.get(OPTION.OVERLOAD)?.[0] ?? 0;
  message.options.delete(OPTION.OVERLOAD);
  if ((overload & 1) !== 0) readOptions(file, message.options);
  if ((overload & 2) !== 0) readOptions(name, message.options);
  return message;
}

/** The inverse of {@link parseDhcp4}; options in the order of the map. */
export function serializeDhcp4(message: Dhcp4Message): Uint8Array {
  const writer = new ByteWriter();
  writer
    .u8(message.op)
    .u8(1)
    .u8(6)
    .u8(0)
    .u32(message.xid)
    .u16(message.seconds)
    .u16(message.broadcast ? 0x8000 : 0);
  writer.put(message.client).put(message.yours).put(message.server).put(message.relay);
  writer.put(message.mac).zeros(16 - message.mac.length);
  writer.zeros(SIZE_OF_NAME + SIZE_OF_FILE).u32(COOKIE);
  for (const [code, data] of message.options) {
    // At least one part, even of nothing.
    for (let at = 0; at === 0 || at < data.length; at += 255) {
      const part = data.subarray(at, at + 255);
      writer.u8(code).u8(part.length).put(part);
    }
  }
  writer.u8(END).zeros(Math.max(0, LEAST - writer.length));
  return writer.bytes();
}

/** The value of an option that is a number of 32 bits; undefined when it is not there or something else. */
export function numberOption(message: Dhcp4Message, code: number): number | undefined {
  const data = message.options.get(code);
  return data?.length === 4 ? new DataView(data.buffer, data.byteOffset).getUint32(0) : undefined;
}

/** The addresses in an option. */
export function addressOption(message: Dhcp4Message, code: number): Address4[] {
  const data = message.options.get(code) ?? NO_ADDRESS.subarray(4);
  return Array.from({ length: Math.floor(data.length / 4) }, (_, i) => data.slice(4 * i, 4 * i + 4));
}

/** The type of a message; 0 when it has none. */
export const typeOf = (message: Dhcp4Message): number => {
  const data = message.options.get(OPTION.TYPE);
  return data?.length === 1 ? data[0]! : 0;
};

/** Client FQDN (RFC 4702): the server is to update the DNS (S), the name is encoded as in the DNS (E). */
export function fqdnOption(name: string): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(0x05).u8(0).u8(0);
  writeName(writer, name);
  return writer.bytes();
}

/** An IPv4 packet from 0.0.0.0 to everybody with a message from a client to servers. */
export function wrapBroadcast(payload: Uint8Array): Uint8Array {
  const header = new ByteWriter();
  header
    .u8(0x45)
    .u8(0)
    .u16(28 + payload.length)
    .u16(0)
    .u16(0)
    .u8(64)
    .u8(17)
    .u16(0)
    .u32(0)
    .u32(0xffffffff);
  header.patch16(10, internetChecksum(header.bytes()));
  // No UDP checksum, as RFC 768 allows.
  header
    .u16(CLIENT_PORT)
    .u16(SERVER_PORT)
    .u16(8 + payload.length)
    .u16(0)
    .put(payload);
  return header.bytes();
}

/**
 * What an IPv4 packet carries to the port of a client; undefined when it is something else. The UDP checksum is not looked
 * at: within one machine it is often left to hardware that is not there.
 */
export function unwrap(packet: Uint8Array): Uint8Array | undefined {
  const header = (packet[0] ?? 0) & 0xf;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const start = header * 4;
  if (packet.length < 28 || packet[0]! >> 4 !== 4 || header < 5 || packet.length < start + 8)
    return undefined;
  const fragment = (view.getUint16(6) & 0x3fff) !== 0;
  if (packet[9] !== 17 || fragment || internetChecksum(packet.subarray(0, start)) !== 0) return undefined;
  const length = view.getUint16(start + 4);
  if (view.getUint16(start + 2) !== CLIENT_PORT || length < 8 || start + length > packet.length)
    return undefined;
  return packet.subarray(start + 8, start + length);
}
