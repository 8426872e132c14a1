/** Resource records (RFC 1035 §3.2 and §3.3, 2782, 3596, 6891). A type without a name here is `TYPE123` (RFC 3597). */
import { ByteReader, type ByteWriter } from '../bytes.ts';
import { formatIp, parseIp } from '../netlink/address.ts';
import { WireError } from '../netlink/wire.ts';
import { AF } from '../stack.ts';
import { type NamePlaces, readName, writeName } from './name.ts';

/** Numbers of the types that have a name. */
export const TYPES = {
  A: 1, NS: 2, CNAME: 5, SOA: 6, NULL: 10, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, OPT: 41, AXFR: 252, ANY: 255,
} as const; // prettier-ignore
/** Types of records that are understood, and ANY. */
export type RecordType = keyof typeof TYPES | `TYPE${number}`;

const NAMES = new Map<number, RecordType>(
  Object.entries(TYPES).map(([name, code]) => [code, name as RecordType]),
);

/** The number of a type; undefined when it is none. */
export function typeCode(type: string): number | undefined {
  if (Object.hasOwn(TYPES, type)) return TYPES[type as keyof typeof TYPES];
  const code = /^TYPE([0-9]{1,5})$/.exec(type)?.[1];
  return code !== undefined && Number(code) <= 0xffff ? Number(code) : undefined;
}

export const typeName = (code: number): RecordType => NAMES.get(code) ?? `TYPE${code}`;

/** What all records have. */
export interface RecordFields {
  name: string;
  /** IN (1) unless said otherwise. */
  class?: number;
  /** Seconds that the record may be kept. */
  ttl: number;
}

/** A resource record. */
export type DnsRecord = RecordFields &
  (
    | { type: 'A' | 'AAAA'; address: string }
    | { type: 'NS' | 'CNAME' | 'PTR'; target: string }
    | { type: 'MX'; preference: number; exchange: string }
    | { type: 'TXT'; strings: Uint8Array[] }
    | { type: 'SRV'; priority: number; weight: number; port: number; target: string }
    | {
        type: 'SOA';
        primary: string;
        mailbox: string;
        serial: number;
        refresh: number;
        retry: number;
        expire: number;
        minimum: number;
      }
    | { type: 'OPT' | 'NULL' | `TYPE${number}`; data: Uint8Array }
  );

export const CLASS_IN = 1;

type Body = DnsRecord extends infer R ? (R extends DnsRecord ? Omit<R, keyof RecordFields> : never) : never;

/** Reads the data of a record, which are all that `reader` has. Names may point to what is before them. */
function readBody(type: RecordType, reader: ByteReader): Body {
  switch (type) {
    case 'A':
      return { type, address: formatIp({ family: AF.INET, bytes: reader.take(4) }) };
    case 'AAAA':
      return { type, address: formatIp({ family: AF.INET6, bytes: reader.take(16) }) };
    case 'NS':
    case 'CNAME':
    case 'PTR':
      return { type, target: readName(reader) };
    case 'MX':
      return { type, preference: reader.u16(), exchange: readName(reader) };
    case 'TXT':
      return { type, strings: readStrings(reader) };
    case 'SRV':
      return {
        type, priority: reader.u16(), weight: reader.u16(), port: reader.u16(), target: readName(reader),
      }; // prettier-ignore
    case 'SOA':
      return {
        type, primary: readName(reader), mailbox: readName(reader), serial: reader.u32(), refresh: reader.u32(),
        retry: reader.u32(), expire: reader.u32(), minimum: reader.u32(),
      }; // prettier-ignore
    default:
      return { type: type as `TYPE${number}`, data: Uint8Array.from(reader.rest()) };
  }
}

function readStrings(reader: ByteReader): Uint8Array[] {
  const strings: Uint8Array[] = [];
  while (reader.left > 0) strings.push(Uint8Array.from(reader.take(reader.u8())));
  return strings;
}

/** Types whose data have fields, so that they cannot be empty. */
const FIELDS: ReadonlySet<RecordType> = new Set(['A', 'AAAA', 'NS', 'CNAME', 'PTR', 'MX', 'SRV', 'SOA']);

export function readRecord(reader: ByteReader): DnsRecord {
  const name = readName(reader);
  const type = typeName(reader.u16());
  const klass = reader.u16();
  const ttl = reader.u32();
  const data = reader.part(reader.u16());
  // RFC 2136 uses records without data; they have no fields to read.
  const empty = data.left === 0 && FIELDS.has(type);
  const body = empty
    ? { type: `TYPE${typeCode(type)!}` as const, data: new Uint8Array(0) }
    : readBody(type, data);
  data.done(`a record of type ${type}`);
  return { name, ...(klass === CLASS_IN ? {} : { class: klass }), ttl, ...body };
}

function addressBytes(text: string, family: number): Uint8Array {
  const address = parseIp(text);
  if (address?.family !== family) throw new WireError(0, `«${text}» is not an address of this family`, 'dns');
  return address.bytes;
}

function writeBody(writer: ByteWriter, record: DnsRecord, places: NamePlaces): void {
  switch (record.type) {
    case 'A':
      writer.put(addressBytes(record.address, AF.INET));
      return;
    case 'AAAA':
      writer.put(addressBytes(record.address, AF.INET6));
      return;
    case 'NS':
    case 'CNAME':
    case 'PTR':
      return writeName(writer, record.target, places);
    case 'MX':
      writer.u16(record.preference);
      return writeName(writer, record.exchange, places);
    case 'TXT':
      for (const text of record.strings) {
        if (text.length > 255)
          throw new WireError(writer.length, 'a string of a TXT record is too long', 'dns');
        writer.u8(text.length).put(text);
      }
      return;
    case 'SRV':
      writer.u16(record.priority).u16(record.weight).u16(record.port);
      return writeName(writer, record.target); // never compressed (RFC 2782)
    case 'SOA':
      writeName(writer, record.primary, places);
      writeName(writer, record.mailbox, places);
      writer.u32(record.serial).u32(record.refresh).u32(record.retry).u32(record.expire).u32(record.minimum);
      return;
    default:
      writer.put(record.data);
  }
}

export function writeRecord(writer: ByteWriter, record: DnsRecord, places: NamePlaces): void {
  const code = typeCode(record.type);
  if (code === undefined) throw new WireError(writer.length, `no such type: ${record.type}`, 'dns');
  writeName(writer, record.name, places);
  writer
    .u16(code)
    .u16(record.class ?? CLASS_IN)
    .u32(record.ttl);
  const start = writer.length;
  writer.counted(() => writeBody(writer, record, places));
  if (writer.length - start - 2 > 0xffff)
    throw new WireError(start, 'the data of a record are too long', 'dns');
}
