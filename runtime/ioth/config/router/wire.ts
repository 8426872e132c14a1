/** Router solicitations and advertisements (RFC 4861 §4.1, §4.2 and §4.6; RFC 8106 for names). */
import { ByteReader, ByteWriter } from '../../bytes.ts';
import { readName } from '../../dns/name.ts';

export const ROUTER_SOLICITATION = 133;
export const ROUTER_ADVERTISEMENT = 134;

const OPTION = { SOURCE: 1, PREFIX: 3, MTU: 5, DNS: 25, SEARCH: 31 } as const;

/** A prefix option; times in seconds, 0xffffffff for ever. */
export interface Prefix {
  prefix: Uint8Array;
  length: number;
  /** L: addresses of the prefix are on the link. */
  onLink: boolean;
  /** A: hosts may make addresses of it. */
  autonomous: boolean;
  valid: number;
  preferred: number;
}

export interface Advertisement {
  hopLimit: number;
  /** M and O: DHCPv6 has addresses, or other things. */
  managed: boolean;
  other: boolean;
  /** How long the sender is a default router, in seconds; 0: it is none. */
  lifetime: number;
  prefixes: Prefix[];
  mtu?: number;
  dns: { address: Uint8Array; lifetime: number }[];
  domains: { name: string; lifetime: number }[];
}

function readOption(type: number, reader: ByteReader, into: Advertisement): void {
  if (type === OPTION.PREFIX && reader.left === 30) {
    const length = reader.u8();
    const flags = reader.u8();
    const times = { valid: reader.u32(), preferred: reader.u32() };
    reader.u32();
    const prefix = Uint8Array.from(reader.take(16));
    if (length > 128) throw reader.error(`a prefix of ${length} bits`);
    into.prefixes.push({
      prefix,
      length,
      onLink: (flags & 0x80) !== 0,
      autonomous: (flags & 0x40) !== 0,
      ...times,
    });
  } else if (type === OPTION.MTU && reader.left === 6) {
    reader.u16();
    into.mtu = reader.u32();
  } else if (type === OPTION.DNS && reader.left >= 6) {
    reader.u16();
    const lifetime = reader.u32();
    while (reader.left > 0) into.dns.push({ address: Uint8Array.from(reader.take(16)), lifetime });
  } else if (type === OPTION.SEARCH && reader.left >= 6) {
    reader.u16();
    const lifetime = reader.u32();
    while (reader.left > 0) {
      const name = readName(reader, false);
      if (name !== '') into.domains.push({ name, lifetime }); // the rest is padding
    }
  }
}

/** Reads the ICMPv6 message of an advertisement. Throws WireError. What is unknown is skipped. */
export function parseAdvertisement(bytes: Uint8Array): Advertisement {
  const reader = new ByteReader(bytes, 'router advertisement');
  if (reader.u8() !== ROUTER_ADVERTISEMENT || reader.u8() !== 0) throw reader.error('another message', 0);
  reader.u16(); // the stack has verified the checksum
  const hopLimit = reader.u8();
  const flags = reader.u8();
  const lifetime = reader.u16();
  const into: Advertisement = {
    hopLimit,
    managed: (flags & 0x80) !== 0,
    other: (flags & 0x40) !== 0,
    lifetime,
    prefixes: [],
    dns: [],
    domains: [],
  };
  reader.u32();
  reader.u32();
  while (reader.left > 0) {
    const type = reader.u8();
    const length = reader.u8();
    // It would never end (RFC 4861 §4.6).
    if (length === 0) throw reader.error('an option without length');
    readOption(type, reader.part(length * 8 - 2), into);
  }
  return into;
}

/** The ICMPv6 message of a solicitation; the stack adds the checksum. */
export function serializeSolicitation(mac: Uint8Array): Uint8Array {
  const writer = new ByteWriter(16);
  writer.u8(ROUTER_SOLICITATION).u8(0).u16(0).u32(0).u8(OPTION.SOURCE).u8(1).put(mac);
  return writer.bytes();
}
