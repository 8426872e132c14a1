/** DHCPv6 messages between client and server (RFC 8415 §8 and §21, RFC 3646, RFC 4704). */
import { ByteReader, ByteWriter } from '../../bytes.ts';
import { readName, writeName } from '../../dns/name.ts';

/** Message types. */
export const TYPE = {
  SOLICIT: 1, ADVERTISE: 2, REQUEST: 3, RENEW: 5, REBIND: 6, REPLY: 7, RELEASE: 8, DECLINE: 9,
  INFORMATION: 11,
} as const; // prettier-ignore
/** Options, by their number. */
export const OPTION = {
  CLIENT_ID: 1, SERVER_ID: 2, IA_NA: 3, IA_ADDRESS: 5, REQUESTED: 6, PREFERENCE: 7, ELAPSED: 8, STATUS: 13, DNS: 23,
  SEARCH: 24, REFRESH: 32, FQDN: 39,
} as const; // prettier-ignore

export const CLIENT_PORT = 546;
export const SERVER_PORT = 547;
/** All relay agents and servers of the link. */
export const SERVERS = 'ff02::1:2';

export interface Option {
  code: number;
  data: Uint8Array;
}

export interface Dhcp6Message {
  type: number;
  /** 24 bits. */
  transaction: number;
  options: Option[];
}

/** An address that a server gives, times in seconds. */
export interface Given {
  address: Uint8Array;
  preferred: number;
  valid: number;
}

/** An identity association for addresses. */
export interface Association {
  id: number;
  /** When to renew and to rebind, in seconds; 0 leaves it to the client. */
  t1: number;
  t2: number;
  addresses: Given[];
  status: number;
}

function readOptions(reader: ByteReader): Option[] {
  const options: Option[] = [];
  while (reader.left > 0) {
    const code = reader.u16();
    options.push({ code, data: Uint8Array.from(reader.take(reader.u16())) });
  }
  return options;
}

/** Reads a message. Throws WireError. */
export function parseDhcp6(bytes: Uint8Array): Dhcp6Message {
  const reader = new ByteReader(bytes, 'dhcp6');
  const first = reader.u32();
  return { type: first >>> 24, transaction: first & 0xffffff, options: readOptions(reader) };
}

/** The inverse of {@link parseDhcp6}. */
export function serializeDhcp6({ type, transaction, options }: Dhcp6Message): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(((type << 24) | (transaction & 0xffffff)) >>> 0);
  for (const { code, data } of options) writer.u16(code).u16(data.length).put(data);
  return writer.bytes();
}

export const findOption = (options: readonly Option[], code: number): Uint8Array | undefined =>
  options.find((option) => option.code === code)?.data;

/** The status code among `options`; 0 where there is none. */
export function statusOf(options: readonly Option[]): number {
  const data = findOption(options, OPTION.STATUS);
  return data === undefined ? 0 : new ByteReader(data, 'dhcp6').u16();
}

/** Reads an IA_NA option. Throws WireError. */
export function parseAssociation(data: Uint8Array): Association {
  const reader = new ByteReader(data, 'dhcp6');
  const [id, t1, t2] = [reader.u32(), reader.u32(), reader.u32()];
  const options = readOptions(reader);
  const addresses = options
    .filter(({ code }) => code === OPTION.IA_ADDRESS)
    .flatMap((option): Given[] => {
      const inner = new ByteReader(option.data, 'dhcp6');
      const given = { address: Uint8Array.from(inner.take(16)), preferred: inner.u32(), valid: inner.u32() };
      return statusOf(readOptions(inner)) === 0 ? [given] : [];
    });
  return { id, t1, t2, addresses, status: statusOf(options) };
}

/** An IA_NA option that asks for these addresses. */
export function associationOption(id: number, addresses: readonly Uint8Array[]): Option {
  const writer = new ByteWriter();
  writer.u32(id).u32(0).u32(0);
  for (const address of addresses) writer.u16(OPTION.IA_ADDRESS).u16(24).put(address).u32(0).u32(0);
  return { code: OPTION.IA_NA, data: writer.bytes() };
}

/** Client FQDN (RFC 4704); no flag: the server decides about the DNS, as with iothconf. */
export function fqdnOption(name: string): Option {
  const writer = new ByteWriter();
  writer.u8(0);
  writeName(writer, name);
  return { code: OPTION.FQDN, data: writer.bytes() };
}

/** The addresses in an option. Throws WireError. */
export function addressList(data: Uint8Array): Uint8Array[] {
  const reader = new ByteReader(data, 'dhcp6');
  const list: Uint8Array[] = [];
  while (reader.left > 0) list.push(Uint8Array.from(reader.take(16)));
  return list;
}

/** The names in an option (RFC 8415 §10: no compression). Throws WireError. */
export function nameList(data: Uint8Array): string[] {
  const reader = new ByteReader(data, 'dhcp6');
  const list: string[] = [];
  while (reader.left > 0) list.push(readName(reader, false));
  return list.filter(Boolean);
}

/** A DUID of a hardware address and the time at which it is first used (RFC 8415 §11.2). */
export function makeDuid(mac: Uint8Array, now = Date.now()): Uint8Array {
  const since2000 = Math.floor(now / 1000 - 946_684_800) >>> 0;
  const writer = new ByteWriter(14);
  writer.u16(1).u16(1).u32(since2000).put(mac);
  return writer.bytes();
}
