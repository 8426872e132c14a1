/** DNS messages (RFC 1035 §4, 6891). parseMessage and serializeMessage are inverse; nothing here opens a socket. */
import { ByteReader, ByteWriter } from '../bytes.ts';
import { WireError } from '../netlink/wire.ts';
import { type NamePlaces, readName, writeName } from './name.ts';
import {
  CLASS_IN,
  type DnsRecord,
  type RecordType,
  readRecord,
  typeCode,
  typeName,
  writeRecord,
} from './records.ts';

/** Flags of the header, but for opcode and response code. */
export const FLAG = {
  RESPONSE: 0x8000, AUTHORITATIVE: 0x0400, TRUNCATED: 0x0200, RECURSION_DESIRED: 0x0100,
  RECURSION_AVAILABLE: 0x0080, AUTHENTIC_DATA: 0x0020, CHECKING_DISABLED: 0x0010,
} as const; // prettier-ignore
/** Response codes. */
export const RCODE = { OK: 0, FORMAT: 1, FAILURE: 2, NO_NAME: 3, NOT_IMPLEMENTED: 4, REFUSED: 5 } as const;

/** Largest message that everybody takes over UDP without EDNS. */
export const UDP_SIZE = 512;
/** What we say that we take over UDP (no fragments on any usual path). */
export const EDNS_SIZE = 1232;
const MAX_MESSAGE = 0xffff;

/** What is asked (RFC 1035 §4.1.2). */
export interface DnsQuestion {
  name: string;
  type: RecordType;
  class?: number;
}

/** A query or its reply (RFC 1035 §4). */
export interface DnsMessage {
  id: number;
  /** A mask of {@link FLAG}. */
  flags: number;
  opcode: number;
  rcode: number;
  questions: DnsQuestion[];
  answers: DnsRecord[];
  authorities: DnsRecord[];
  additionals: DnsRecord[];
}

function readQuestion(reader: ByteReader): DnsQuestion {
  const name = readName(reader);
  const type = typeName(reader.u16());
  const klass = reader.u16();
  return { name, type, ...(klass === CLASS_IN ? {} : { class: klass }) };
}

function several<T>(count: number, read: () => T): T[] {
  const items: T[] = [];
  for (let i = 0; i < count; i++) items.push(read());
  return items;
}

/** Reads a message. Throws WireError for anything malformed; bytes after its end are ignored. */
export function parseMessage(bytes: Uint8Array): DnsMessage {
  const reader = new ByteReader(bytes, 'dns');
  const id = reader.u16();
  const flags = reader.u16();
  const [questions, answers, authorities, additionals] = [
    reader.u16(),
    reader.u16(),
    reader.u16(),
    reader.u16(),
  ];
  return {
    id,
    flags: flags & 0x87f0,
    opcode: (flags >> 11) & 0xf,
    rcode: flags & 0xf,
    questions: several(questions, () => readQuestion(reader)),
    answers: several(answers, () => readRecord(reader)),
    authorities: several(authorities, () => readRecord(reader)),
    additionals: several(additionals, () => readRecord(reader)),
  };
}

/** Writes a message, names compressed. Throws WireError for what no message can hold. */
export function serializeMessage(message: DnsMessage): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  const places: NamePlaces = new Map();
  writer
    .u16(message.id)
    .u16((message.flags & 0x87f0) | ((message.opcode & 0xf) << 11) | (message.rcode & 0xf));
  const { questions, answers, authorities, additionals } = message;
  for (const list of [questions, answers, authorities, additionals]) writer.u16(list.length);
  for (const { name, type, class: klass } of questions) {
    const code = typeCode(type);
    if (code === undefined) throw new WireError(writer.length, `no such type: ${type}`, 'dns');
    writeName(writer, name, places);
    writer.u16(code).u16(klass ?? CLASS_IN);
  }
  for (const record of [...answers, ...authorities, ...additionals]) writeRecord(writer, record, places);
  if (writer.length > MAX_MESSAGE) throw new WireError(MAX_MESSAGE, 'a message is too long', 'dns');
  return writer.bytes();
}

/** The EDNS record of a message that takes answers of `size` bytes over UDP. */
export const ednsRecord = (size = EDNS_SIZE): DnsRecord => ({
  name: '',
  type: 'OPT',
  class: size,
  ttl: 0,
  data: new Uint8Array(0),
});

/** What the sender of `message` takes over UDP. */
export function udpSize(message: DnsMessage): number {
  const edns = message.additionals.find((record) => record.type === 'OPT');
  return Math.max(UDP_SIZE, edns?.class ?? 0);
}

/** A query for one question. */
export function makeQuery(id: number, name: string, type: RecordType, edns = true): DnsMessage {
  return {
    id,
    flags: FLAG.RECURSION_DESIRED,
    opcode: 0,
    rcode: 0,
    questions: [{ name, type }],
    answers: [],
    authorities: [],
    additionals: edns ? [ednsRecord()] : [],
  };
}

/** An empty answer to `query`. */
export function makeReply(query: DnsMessage, rcode = 0, flags = 0): DnsMessage {
  return {
    id: query.id,
    flags: FLAG.RESPONSE | (query.flags & FLAG.RECURSION_DESIRED) | flags,
    opcode: query.opcode,
    rcode,
    questions: query.questions,
    answers: [],
    authorities: [],
    additionals: [],
  };
}
