/** Packets of DHCP, DHCPv6 and routers: the codecs, and what servers with bad intentions achieve with them. */
import { describe, expect, it } from 'vitest';
import { leaseOf, prefixLengthOf } from '../../runtime/ioth/config/dhcp4/lease.ts';
import {
  OPTION as OPTION4,
  TYPE as TYPE4,
  parseDhcp4,
  serializeDhcp4,
  unwrap,
  wrapBroadcast,
} from '../../runtime/ioth/config/dhcp4/wire.ts';
import {
  OPTION as OPTION6,
  TYPE as TYPE6,
  findOption,
  makeDuid,
  nameList,
  parseAssociation,
  parseDhcp6,
  serializeDhcp6,
} from '../../runtime/ioth/config/dhcp6/wire.ts';
import { prolonged } from '../../runtime/ioth/config/router/client.ts';
import { parseAdvertisement, serializeSolicitation } from '../../runtime/ioth/config/router/wire.ts';
import { AF, formatIp, parseMac } from '../../runtime/ioth/index.ts';
import { WireError } from '../../runtime/ioth/netlink/wire.ts';
import { ADVERTISEMENT, REPLY, hex, ip4, message4 } from '../helpers/dhcp-packets.ts';
import { Random } from '../helpers/random.ts';

/**
 * Runs `parse` on random, damaged and oversized packets: nothing but a value or a WireError may come of it. What was
 * understood is understood in the same way when `serialize` has written it again.
 */
function torture<T>(
  parse: (bytes: Uint8Array) => T,
  good: Uint8Array[],
  serialize?: (value: T) => Uint8Array,
): void {
  const huge = [new Random(1).bytes(70_000), new Uint8Array(70_000), new Uint8Array(70_000).fill(0xff)];
  const packet = (seed: number, random: Random): Uint8Array => {
    if (seed < huge.length) return Uint8Array.from([...random.pick(good), ...huge[seed]!]);
    return seed % 3 === 0 ? random.bytes(random.below(400)) : random.damage(random.pick(good));
  };
  for (let seed = 0; seed <= 3000; seed++) {
    let value: T;
    try {
      value = parse(packet(seed, new Random(seed)));
    } catch (error) {
      expect(error, `seed ${seed}`).toBeInstanceOf(WireError);
      continue;
    }
    if (serialize && value !== undefined) expect(parse(serialize(value)), `seed ${seed}`).toEqual(value);
  }
}

describe('DHCPv4 messages', () => {
  it('come back as they were, with long options in parts', () => {
    const options = new Map([
      ...message4.options,
      [200, new Random(1).bytes(600)] as const,
      [201, new Uint8Array(0)] as const,
    ]);
    const message = { ...message4, options };
    expect(parseDhcp4(serializeDhcp4(message))).toEqual(message);
    expect(serializeDhcp4(message4)).toHaveLength(300);
    for (let seed = 1; seed < 300; seed++) {
      const random = new Random(seed);
      const some = new Map(
        random.list(8, () => [1 + random.below(51), random.bytes(random.below(300))] as const),
      );
      const one = { ...message4, xid: random.below(2 ** 32 - 1), options: some };
      expect(parseDhcp4(serializeDhcp4(one)), `seed ${seed}`).toEqual(one);
    }
  });

  it('may have options in the fields for names', () => {
    const bytes = serializeDhcp4({ ...message4, options: new Map([[OPTION4.OVERLOAD, Uint8Array.of(3)]]) });
    bytes.set(hex('0504 01020304 ff'), 108);
    bytes.set(hex('0604 05060708 ff'), 44);
    const { options } = parseDhcp4(bytes);
    expect([options.get(5), options.get(6)]).toEqual([hex('01020304'), hex('05060708')]);
  });

  it('travel in IPv4 packets', () => {
    const packet = wrapBroadcast(serializeDhcp4(message4));
    expect(unwrap(packet)).toBeUndefined(); // to the port of servers
    packet[23] = 68;
    expect(unwrap(packet)).toEqual(serializeDhcp4(message4));
    torture((bytes) => unwrap(bytes), [packet]);
    for (const at of [0, 6, 9, 10, 24]) {
      const bad = Uint8Array.from(packet);
      bad[at]! ^= 0x11;
      expect(unwrap(bad), `byte ${at}`).toBeUndefined();
    }
  });

  it('that are malformed throw WireError', () => {
    expect(() => parseDhcp4(serializeDhcp4(message4).subarray(0, 239))).toThrow(WireError);
    torture(parseDhcp4, [serializeDhcp4(message4)], serializeDhcp4);
  });

  it.each([
    ['255.255.255.0', 24], ['255.0.0.0', 8], ['255.255.255.255', 32], ['255.0.255.0', 8], ['0.0.0.0', 8], [undefined, 8],
  ])('a mask %s is a prefix of %d bits', (mask, length) => {
    expect(prefixLengthOf(mask === undefined ? undefined : ip4(mask), ip4('10.0.0.1'))).toBe(length);
  }); // prettier-ignore

  it('grant leases whose times make sense', () => {
    const grant = (...more: [number, string][]) => {
      const options = new Map([
        ...message4.options,
        ...more.map(([code, text]) => [code, hex(text)] as const),
      ]);
      options.set(OPTION4.TYPE, Uint8Array.of(TYPE4.ACK));
      return leaseOf({ ...message4, options }, { address: message4.yours, server: ip4('10.0.0.1') });
    };
    expect(grant([OPTION4.LEASE, '00000064'])).toMatchObject({
      seconds: 100,
      renewAfter: 50,
      rebindAfter: 87.5,
    });
    expect(
      grant([OPTION4.LEASE, '00000064'], [OPTION4.T1, '0000000a'], [OPTION4.T2, '00000014']),
    ).toMatchObject({
      renewAfter: 10,
      rebindAfter: 20,
    });
    expect(grant([OPTION4.LEASE, '00000064'], [OPTION4.T1, '000000ff'])).toMatchObject({ renewAfter: 50 });
    expect(grant([OPTION4.LEASE, 'ffffffff'])).toMatchObject({ seconds: Infinity });
    expect([grant(), grant([OPTION4.LEASE, '00000000']), grant([OPTION4.LEASE, '01'])]).toEqual([
      undefined, undefined, undefined,
    ]); // prettier-ignore
    expect(grant([OPTION4.LEASE, '00000064'], [OPTION4.DOMAIN, '610a6e61']), 'a newline').toMatchObject({
      domains: [],
    });
  });
});

describe('DHCPv6 messages', () => {
  it('of namedhcp are understood (IOTH-FACTS §8.5)', () => {
    const reply = parseDhcp6(REPLY);
    expect([reply.type, reply.transaction]).toEqual([TYPE6.REPLY, 0x123456]);
    const association = parseAssociation(findOption(reply.options, OPTION6.IA_NA)!);
    expect(association).toMatchObject({ id: 0x6d1fa489, t1: 0, t2: 0, status: 0 });
    const [given] = association.addresses;
    expect(formatIp({ family: AF.INET6, bytes: given!.address })).toBe('fc00::4cc:8049:6765:d03a');
    expect(nameList(findOption(reply.options, OPTION6.SEARCH)!)).toEqual(['hash.local', 'example.org']);
    expect(serializeDhcp6(reply)).toEqual(REPLY);
  });

  it('have DUIDs with the time since 2000', () => {
    const duid = makeDuid(parseMac('c6:2a:6d:1f:a4:89')!, (946684800 + 0x3293a319) * 1000);
    expect(duid).toEqual(hex('0001 0001 3293a319 c62a6d1fa489'));
  });

  it('that are malformed throw WireError', () => {
    const association = findOption(parseDhcp6(REPLY).options, OPTION6.IA_NA)!;
    torture(parseDhcp6, [REPLY], serializeDhcp6);
    torture(parseAssociation, [association]);
    torture(nameList, [findOption(parseDhcp6(REPLY).options, OPTION6.SEARCH)!]);
    expect(() => nameList(hex('0161 c000'))).toThrow('compressed');
  });
});

describe('router advertisements', () => {
  it('of iothradvd are understood (IOTH-FACTS §9.4)', () => {
    expect(parseAdvertisement(ADVERTISEMENT)).toMatchObject({
      hopLimit: 64,
      managed: true,
      other: true,
      lifetime: 1800,
      mtu: 1400,
      prefixes: [
        { length: 64, onLink: true, autonomous: false, valid: 86400, preferred: 14400 },
        { length: 64, onLink: true, autonomous: true, valid: 0xffffffff },
      ],
    });
    expect(serializeSolicitation(parseMac('02:00:00:00:00:05')!)).toEqual(
      hex('85 00 0000 00000000 01 01 020000000005'),
    );
  });

  it('that are malformed throw WireError', () => {
    torture(parseAdvertisement, [ADVERTISEMENT]);
    expect(() => parseAdvertisement(hex('86000000 40000708 00000000 00000000 0100'))).toThrow(
      'without length',
    );
  });

  it('shorten the life of an address to no less than two hours (RFC 4862 §5.5.3)', () => {
    expect([prolonged(100_000, 10), prolonged(100, 10), prolonged(100, 200), prolonged(100, 8000)]).toEqual([
      7200, 100, 200, 8000,
    ]); // prettier-ignore
  });
});
