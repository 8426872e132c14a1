/** The DNS codec: by itself, against dns-packet, and with packets that are none. */
import packet from 'dns-packet';
import { describe, expect, it } from 'vitest';
import {
  type DnsMessage,
  type DnsRecord,
  FLAG,
  makeQuery,
  parseMessage,
  serializeMessage,
} from '../../runtime/ioth/dns/index.ts';
import { nameLabels, sameName } from '../../runtime/ioth/dns/name.ts';
import { inetAddress, parseResolvConf } from '../../runtime/ioth/index.ts';
import { WireError } from '../../runtime/ioth/netlink/wire.ts';
import { Random } from '../helpers/random.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const empty: DnsMessage = {
  id: 1, flags: FLAG.RESPONSE, opcode: 0, rcode: 0, questions: [], answers: [], authorities: [], additionals: [],
}; // prettier-ignore

const RECORDS: DnsRecord[] = [
  { name: 'www.example.org', ttl: 60, type: 'A', address: '192.0.2.1' },
  { name: 'www.example.org', ttl: 60, type: 'AAAA', address: '2001:db8::1' },
  { name: 'example.org', ttl: 1, type: 'NS', target: 'ns.example.org' },
  { name: 'alias.example.org', ttl: 2, type: 'CNAME', target: 'www.example.org' },
  { name: '1.2.0.192.in-addr.arpa', ttl: 3, type: 'PTR', target: 'www.example.org' },
  { name: 'example.org', ttl: 4, type: 'MX', preference: 10, exchange: 'mail.example.org' },
  { name: 'example.org', ttl: 5, type: 'TXT', strings: [Uint8Array.from(Buffer.from('v=spf1')), new Uint8Array(0)] },
  { name: '_http._tcp.example.org', ttl: 6, type: 'SRV', priority: 1, weight: 2, port: 80, target: 'www.example.org' },
  {
    name: 'example.org', ttl: 0xffffffff, type: 'SOA', primary: 'ns.example.org', mailbox: 'root.example.org',
    serial: 2026010101, refresh: 1, retry: 2, expire: 3, minimum: 4,
  },
  { name: 'example.org', class: 3, ttl: 0, type: 'TYPE65280', data: hex('0102') },
]; // prettier-ignore

function randomName(random: Random): string {
  const labels = random.list(4, () => Buffer.from(random.bytes(1 + random.below(8))));
  const text = labels.map((label) => [...label].map((byte) => `\\${String(byte).padStart(3, '0')}`).join(''));
  // One form of each name: as the parser gives it.
  const [question] = parseMessage(
    serializeMessage({ ...empty, questions: [{ name: text.join('.'), type: 'A' }] }),
  ).questions;
  return question!.name;
}

function randomRecord(random: Random): DnsRecord {
  const name = randomName(random);
  const ttl = random.below(2 ** 31);
  const target = randomName(random);
  return random.pick<() => DnsRecord>([
    () => ({ name, ttl, type: 'A', address: [...random.bytes(4)].join('.') }),
    () => ({ name, ttl, type: random.pick(['NS', 'CNAME', 'PTR'] as const), target }),
    () => ({ name, ttl, type: 'MX', preference: random.below(65536), exchange: target }),
    () => ({ name, ttl, type: 'TXT', strings: random.list(3, () => random.bytes(random.below(256))) }),
    () => ({ name, ttl, type: 'TYPE999', data: random.bytes(random.below(50)) }),
    () => ({ name, ttl, type: 'SRV', priority: 1, weight: 2, port: random.below(65536), target }),
  ])();
}

const randomMessage = (random: Random): DnsMessage => ({
  ...empty,
  id: random.below(65536),
  rcode: random.below(16),
  opcode: random.below(16),
  questions: random.list(2, () => ({ name: randomName(random), type: 'ANY' as const })),
  answers: random.list(5, () => randomRecord(random)),
  authorities: random.list(2, () => randomRecord(random)),
  additionals: random.list(2, () => randomRecord(random)),
});

describe('messages', () => {
  it('come back as they were', () => {
    const message = {
      ...empty,
      questions: [{ name: 'example.org', type: 'ANY' as const }],
      answers: RECORDS,
    };
    expect(parseMessage(serializeMessage(message))).toEqual(message);
    for (let seed = 1; seed <= 500; seed++) {
      const random = randomMessage(new Random(seed));
      expect(parseMessage(serializeMessage(random)), `seed ${seed}`).toEqual(random);
    }
  });

  it('are understood by dns-packet', () => {
    const answers = RECORDS.slice(0, 9);
    const decoded = packet.decode(Buffer.from(serializeMessage({ ...empty, answers })));
    expect(decoded.answers).toMatchObject([
      { name: 'www.example.org', type: 'A', ttl: 60, data: '192.0.2.1' },
      { type: 'AAAA', data: '2001:db8::1' },
      { type: 'NS', data: 'ns.example.org' },
      { type: 'CNAME', data: 'www.example.org' },
      { name: '1.2.0.192.in-addr.arpa', type: 'PTR', data: 'www.example.org' },
      { type: 'MX', data: { preference: 10, exchange: 'mail.example.org' } },
      { type: 'TXT', data: [Buffer.from('v=spf1'), Buffer.alloc(0)] },
      { type: 'SRV', data: { priority: 1, weight: 2, port: 80, target: 'www.example.org' } },
      {
        type: 'SOA',
        data: { mname: 'ns.example.org', rname: 'root.example.org', minimum: 4, serial: 2026010101 },
      },
    ]);
    const query = packet.decode(Buffer.from(serializeMessage(makeQuery(7, 'example.org', 'MX'))));
    expect(query).toMatchObject({
      id: 7, flags: 0x100, questions: [{ name: 'example.org', type: 'MX' }], additionals: [{ type: 'OPT', udpPayloadSize: 1232 }],
    }); // prettier-ignore
  });

  it('of dns-packet are understood', () => {
    const bytes = packet.encode({
      type: 'response', id: 9, flags: packet.AUTHORITATIVE_ANSWER,
      questions: [{ type: 'A', name: 'a.example' }],
      answers: [
        { type: 'A', name: 'a.example', ttl: 5, data: '10.0.0.1' },
        { type: 'TXT', name: 'a.example', ttl: 5, data: ['x', 'y'] },
        { type: 'SRV', name: 's.example', ttl: 5, data: { port: 1, target: 't.example', priority: 2, weight: 3 } },
      ],
    }); // prettier-ignore
    expect(parseMessage(bytes)).toMatchObject({
      id: 9,
      flags: FLAG.RESPONSE | FLAG.AUTHORITATIVE,
      answers: [
        { name: 'a.example', type: 'A', address: '10.0.0.1', ttl: 5 },
        { type: 'TXT', strings: [hex('78'), hex('79')] },
        { type: 'SRV', target: 't.example', port: 1, priority: 2, weight: 3 },
      ],
    });
  });

  it('are compressed: a name that was there is a pointer', () => {
    const answers: DnsRecord[] = [{ name: 'a.example.org', ttl: 0, type: 'CNAME', target: 'b.example.org' }];
    const questions = [{ name: 'a.example.org', type: 'A' as const }];
    const bytes = serializeMessage({ ...empty, questions, answers });
    expect(Buffer.from(bytes.subarray(31)).toString('hex')).toBe('c00c00050001000000000004' + '0162c00e');
  });
});

describe('names', () => {
  it.each([
    ['', 0], ['.', 0], ['a', 1], ['a.', 1], ['a.b.c', 3], ['\\046.x', 2], ['a\\.b.c', 2], ['hèllo.x', 2],
    [`${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`, 4],
  ])('«%s» has %d labels', (name, count) => {
    expect(nameLabels(name)).toHaveLength(count);
  }); // prettier-ignore

  it.each(['a..b', '.a', 'a..', 'x'.repeat(64), `${'a.'.repeat(127)}b`])('«%s» is none', (name) => {
    expect(() => nameLabels(name)).toThrow(WireError);
  });

  it('are the same in capital letters', () => {
    expect([sameName('A.b', 'a.B.'), sameName('a.b', 'a.c')]).toEqual([true, false]);
  });
});

describe('bad packets', () => {
  const header = '0001 8000 0001 0000 0000 0000';
  it.each([
    ['nothing', ''],
    ['half a header', '0001 8000 0001'],
    ['no question', header],
    ['a pointer to itself', `${header} c00c 0001 0001`],
    ['a pointer forward', `${header} c00f 0001 0001 00`],
    ['two pointers to each other', `${header} 0161 c00e c00c 0001 0001`],
    ['a name that never ends', `${header} 3f61`],
    ['a label of an unknown kind', `${header} 4161 00 0001 0001`],
    ['a name beyond the end through a pointer', '0001 8000 0000 0001 0000 0000 3f61 c00c'],
    [
      'a record that is too short for its type',
      '0001 8000 0000 0001 0000 0000 00 0001 0001 00000000 0003 010203',
    ],
    [
      'a record that is too long for its type',
      '0001 8000 0000 0001 0000 0000 00 0001 0001 00000000 0005 0102030405',
    ],
    ['a TXT that ends in a string', '0001 8000 0000 0001 0000 0000 00 0010 0001 00000000 0002 0561'],
    ['records that are not there', '0001 8000 0000 ffff 0000 0000 00 0010 0001 00000000 0000'],
  ])('with %s throw WireError', (_what, text) => {
    expect(() => parseMessage(hex(text))).toThrow(WireError);
  });

  it('that are random or damaged throw WireError or parse, and then they are stable', () => {
    for (let seed = 1; seed <= 4000; seed++) {
      const random = new Random(seed);
      const bytes =
        seed % 2 === 0
          ? random.bytes(random.below(100))
          : random.damage(serializeMessage(randomMessage(random)));
      let message: DnsMessage;
      try {
        message = parseMessage(bytes);
      } catch (error) {
        expect(error, `seed ${seed}`).toBeInstanceOf(WireError);
        continue;
      }
      expect(parseMessage(serializeMessage(message)), `seed ${seed}`).toEqual(message);
    }
  });

  it('of a long chain of pointers take no long time', () => {
    // Each pointer leads to the one before it.
    const chain = Buffer.alloc(12 + 2 * 8000);
    chain.writeUInt16BE(0x8000, 2);
    chain.writeUInt16BE(1, 4);
    for (let i = 1; i < 8000; i++) chain.writeUInt16BE(0xc000 | (12 + 2 * (i - 1)), 12 + 2 * i);
    const start = performance.now();
    for (let i = 0; i < 100; i++) {
      try {
        parseMessage(chain);
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('resolv.conf', () => {
  it('is read as the man page says', () => {
    expect(
      parseResolvConf(`# comment
domain first.test
nameserver 10.0.0.1 # one
  nameserver fc00::1
nameserver bogus
nameserver 10.0.0.2
nameserver 10.0.0.3
search a.test b.test.
options ndots:3 timeout:5 attempts:4 rotate debug edns0`),
    ).toEqual({
      servers: ['10.0.0.1', 'fc00::1', '10.0.0.2'].map((address) => inetAddress(address, 53)),
      search: ['a.test', 'b.test'],
      ndots: 3,
      timeout: 5000,
      attempts: 4,
      rotate: true,
      tcp: false,
    });
  });

  it('may be a list of servers (iothdns)', () => {
    const servers = (text: string) =>
      parseResolvConf(text).servers.map(({ address, port }) => `${address} ${port}`);
    expect(servers('::1,fc00::5')).toEqual(['::1 53', 'fc00::5 53']);
    expect(servers('127.0.0.1')).toEqual(['127.0.0.1 53']);
    expect(servers('127.0.0.1:5353,[::1]:5354')).toEqual(['127.0.0.1 5353', '::1 5354']);
    expect([servers(''), servers('bogus')]).toEqual([[], []]);
  });
});
