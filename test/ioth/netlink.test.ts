/** The rtnetlink codec and the texts of addresses. Its client is tested on real stacks (vdestack.test.ts). */
import { describe, expect, it } from 'vitest';
import { AF } from '../../runtime/ioth/stack.ts';
import { formatIp, formatMac, parseIp, parseMac } from '../../runtime/ioth/netlink/address.ts';
import {
  type Address,
  type Link,
  type Neighbor,
  type Route,
  parseAddress,
  parseLink,
  parseNeighbor,
  parseRoute,
  serializeAddress,
  serializeLink,
  serializeNeighbor,
  serializeRoute,
} from '../../runtime/ioth/netlink/route.ts';
import {
  WireError,
  parseAttributes,
  parseMessages,
  serializeAttributes,
  serializeMessage,
} from '../../runtime/ioth/netlink/wire.ts';
import { Random } from '../helpers/random.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('netlink messages', () => {
  it('come back as they were sent', () => {
    const one = { type: 16, flags: 5, seq: 7, pid: 0xffffffff, payload: bytes(1, 2, 3) };
    const two = { type: 3, flags: 2, seq: 8, pid: 1, payload: new Uint8Array(0) };
    const wire = Buffer.concat([serializeMessage(one), serializeMessage(two)]);
    expect(parseMessages(Uint8Array.from(wire))).toEqual([one, two]);
  });

  it.each([
    ['a header that is cut short', '1000 0000', 0],
    ['a length below that of a header', '0f000000 1000 0000 00000000 00000000', 0],
    ['a length beyond the end', '14000000 1000 0000 00000000 00000000', 0],
    ['garbage after a message', '10000000 1000 0000 00000000 00000000 ff', 16],
  ])('refuse %s', (_what, text, offset) => {
    expect(() => parseMessages(hex(text))).toThrow(
      expect.objectContaining({ name: 'WireError', offset }) as WireError,
    );
  });
});

describe('netlink attributes', () => {
  it('are padded to four bytes', () => {
    const attributes = [
      { type: 3, data: bytes(0x61, 0) },
      { type: 4, data: bytes(1, 2, 3, 4) },
    ];
    const wire = serializeAttributes(attributes);
    expect(Buffer.from(wire).toString('hex')).toBe('06000300610000000800040001020304');
    expect(parseAttributes(wire)).toEqual(attributes);
  });

  it.each([
    ['a length of zero, which would never end', '00000300', 0],
    ['a length beyond the end', '08000300 61', 0],
    ['half a header', '04000300 0400', 4],
  ])('refuse %s', (_what, text, offset) => {
    expect(() => parseAttributes(hex(text))).toThrow(expect.objectContaining({ offset }) as WireError);
  });

  it('survive any damage of a real message with an error or a value, and nothing else', () => {
    const wire = serializeLink({
      index: 2,
      hardware: 1,
      flags: 0,
      change: 0,
      name: 'vde0',
      mtu: 1500,
      kind: 'veth',
      more: [],
    });
    for (let at = 0; at < wire.length; at++) {
      for (const value of [0, 1, 0x7f, 0xff]) {
        const damaged = wire.slice();
        damaged[at] = value;
        try {
          parseLink(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }
      try {
        parseLink(wire.slice(0, at));
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }
  });
});

describe('links, addresses and routes', () => {
  it('come back as they were', () => {
    const link: Link = {
      index: 2,
      hardware: 1,
      flags: 0x1043,
      change: 1,
      name: 'vde0',
      mtu: 1500,
      address: bytes(2, 0, 0, 0, 0, 1),
      queueLength: 1000,
      kind: 'bridge',
      kindData: [{ type: 1, data: bytes(1, 0, 0, 0) }],
      more: [{ type: 42, data: bytes(9) }],
    };
    expect(parseLink(serializeLink(link))).toEqual(link);
    const address: Address = {
      family: AF.INET,
      prefixLength: 24,
      flags: 0x80,
      scope: 0,
      index: 2,
      local: bytes(10, 0, 0, 1),
      address: bytes(10, 0, 0, 1),
      label: 'vde0',
      more: [],
    };
    expect(parseAddress(serializeAddress(address))).toEqual(address);
    const route: Route = {
      family: AF.INET,
      prefixLength: 8,
      table: 254,
      protocol: 3,
      scope: 0,
      type: 1,
      flags: 0,
      destination: bytes(10, 0, 0, 0),
      gateway: bytes(192, 168, 0, 1),
      outIndex: 2,
      priority: 100,
      more: [{ type: 15, data: bytes(254, 0, 0, 0) }],
    };
    expect(parseRoute(serializeRoute(route))).toEqual(route);
  });

  it('are read from the bytes of the kernel', () => {
    // Answer of Linux 6.18 to «ip addr add 10.0.0.1/24 dev vde0; ip -4 addr show vde0», without IFA_CACHEINFO.
    const address = parseAddress(
      hex(
        '02188000 02000000 08000100 0a000001 08000200 0a000001 09000300 76646530 00000000 08000800 80000000',
      ),
    );
    expect(address).toMatchObject({ family: AF.INET, prefixLength: 24, index: 2, label: 'vde0' });
    expect(address.more).toEqual([{ type: 8, data: bytes(0x80, 0, 0, 0) }]);
  });
});

describe('texts of addresses', () => {
  it.each([
    ['0.0.0.0', '0.0.0.0'],
    ['10.0.0.255', '10.0.0.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['fc00::', 'fc00::'],
    ['FC00:0:0:0:0:0:0:1', 'fc00::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['0:0:1::', '0:0:1::'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
  ])('%s is written %s', (text, canonical) => {
    expect(formatIp(parseIp(text)!)).toBe(canonical);
  });

  it.each([
    '',
    '10.0.0',
    '10.0.0.256',
    '10.0.0.01',
    ':::',
    '1::2::3',
    'fe80::1%eth0',
    'fc00::/64',
    ' ::1',
    'g::',
  ])('«%s» is not an address', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  it('knows Ethernet addresses with colons or dashes, not both', () => {
    expect(formatMac(parseMac('2-0-0-0-A-ff')!)).toBe('02:00:00:00:0a:ff');
    for (const text of [
      '',
      '02:00:00:00:00',
      '02:00:00:00:00:00:00',
      '02:00-00:00:00:00',
      '02:00:00:00:00:0g',
      '020000000001',
    ]) {
      expect(parseMac(text), text).toBeUndefined();
    }
  });
});

describe('neighbours', () => {
  it('come back as they were', () => {
    const neighbor: Neighbor = {
      family: AF.INET, index: 2, state: 0x80, flags: 0, type: 1, destination: bytes(10, 0, 0, 1),
      address: bytes(2, 0, 0, 0, 0, 1), more: [{ type: 9, data: bytes(1) }],
    }; // prettier-ignore
    expect(parseNeighbor(serializeNeighbor(neighbor))).toEqual(neighbor);
  });
});

describe('packets that are none', () => {
  const good = [
    serializeLink({ index: 2, hardware: 1, flags: 1, change: 1, name: 'vde0', mtu: 1500, kind: 'vde', kindData: [{ type: 1, data: bytes(1) }], more: [] }),
    serializeAddress({ family: AF.INET, prefixLength: 24, flags: 0, scope: 0, index: 2, local: bytes(10, 0, 0, 1), more: [] }),
    serializeRoute({ family: AF.INET, prefixLength: 0, table: 254, protocol: 3, scope: 0, type: 1, flags: 0, outIndex: 2, more: [] }),
  ]; // prettier-ignore

  it('throw WireError, or parse and then are stable', () => {
    const codecs: [(b: Uint8Array) => unknown, (value: never) => Uint8Array][] = [
      [parseLink, serializeLink],
      [parseAddress, serializeAddress],
      [parseRoute, serializeRoute],
      [parseNeighbor, serializeNeighbor],
    ];
    for (let seed = 1; seed <= 4000; seed++) {
      const random = new Random(seed);
      const packet = seed % 3 === 0 ? random.bytes(random.below(80)) : random.damage(random.pick(good));
      for (const [parse, serialize] of codecs) {
        try {
          const value = parse(packet);
          expect(parse(serialize(value as never)), `seed ${seed}`).toEqual(value);
        } catch (error) {
          expect(error, `seed ${seed}`).toBeInstanceOf(WireError);
        }
      }
      try {
        parseMessages(packet);
      } catch (error) {
        expect(error, `seed ${seed}`).toBeInstanceOf(WireError);
      }
    }
  });
});
