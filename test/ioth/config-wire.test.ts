/** Packets of DHCP, DHCPv6 and routers: the codecs, and what servers with bad intentions achieve with them. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { leaseOf, prefixLengthOf } from '../../runtime/ioth/config/dhcp4/lease.ts';
import {
  type Dhcp4Message,
  NO_ADDRESS,
  OPTION as OPTION4,
  TYPE as TYPE4,
  parseDhcp4,
  serializeDhcp4,
  unwrap,
  wrapBroadcast,
} from '../../runtime/ioth/config/dhcp4/wire.ts';
import {
  OPTION as OPTION6,
  SERVERS,
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
import {
  AF,
  IPPROTO,
  IPV6,
  type IothHost,
  type IothStack,
  SO,
  SOCK,
  SOL,
  type Socket,
  createIothHost,
  formatIp,
  inetAddress,
  newStackOn,
  newStackc,
  parseIp,
  parseMac,
} from '../../runtime/ioth/index.ts';
import { WireError } from '../../runtime/ioth/netlink/wire.ts';
import { Random } from '../helpers/random.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/[\s|]/g, ''), 'hex'));
const ip4 = (text: string): Uint8Array => parseIp(text)!.bytes;
const message4: Dhcp4Message = {
  op: 2, xid: 0x12345678, seconds: 3, broadcast: true, client: NO_ADDRESS, yours: ip4('10.0.0.5'),
  server: ip4('10.0.0.1'), relay: NO_ADDRESS, mac: parseMac('02:00:00:00:00:05')!,
  options: new Map([[OPTION4.TYPE, Uint8Array.of(TYPE4.OFFER)], [OPTION4.SERVER, ip4('10.0.0.1')]]),
}; // prettier-ignore

/** Runs `parse` on random and damaged packets: nothing but a value or a WireError may come of it. */
function torture(parse: (bytes: Uint8Array) => unknown, good: Uint8Array[]): void {
  for (let seed = 1; seed <= 3000; seed++) {
    const random = new Random(seed);
    const bytes = seed % 3 === 0 ? random.bytes(random.below(400)) : random.damage(random.pick(good));
    try {
      parse(bytes);
    } catch (error) {
      expect(error, `seed ${seed}`).toBeInstanceOf(WireError);
    }
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
    torture(parseDhcp4, [serializeDhcp4(message4)]);
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

/** The REPLY of IOTH-FACTS §8.5. */
const REPLY =
  hex(`07 123456 | 0001 000e 0001 0001 3293a319 c62a6d1fa489 | 0002 000e 0001 0001 3293a311 020000000001
  | 0003 0028 6d1fa489 00000000 00000000 0005 0018 fc00000000000000 04cc80496765d03a ffffffff ffffffff
  | 0027 0013 00 0572656e7a6f 0468617368 056c6f63616c 00 | 0017 0010 fc000000000000000000000000000024
  | 0018 0019 0468617368 056c6f63616c 00 076578616d706c65 036f7267 00`);

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
    torture(parseDhcp6, [REPLY]);
    torture(parseAssociation, [association]);
    torture(nameList, [findOption(parseDhcp6(REPLY).options, OPTION6.SEARCH)!]);
    expect(() => nameList(hex('0161 c000'))).toThrow('compressed');
  });
});

/** The advertisement of IOTH-FACTS §9.4. */
const ADVERTISEMENT = hex(`86 00 4b92 | 40 | c0 | 0708 | 30750000 | e8030000
  | 03 04 40 80 00015180 00003840 00000000 fc000000000000000000000000000000
  | 03 04 40 c0 ffffffff ffffffff 00000000 20010db8000100000000000000000000 | 01 01 800011223344 | 05 01 0000 00000578`);

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

describe('servers with bad intentions', () => {
  const NET = 'switch://';
  const timing = {
    dhcpTry: 150,
    dhcpTries: 1,
    routerTry: 150,
    routerTries: 1,
    probeMin: 20,
    probeMax: 20,
    announceWait: 20,
    declined: 10,
  };
  let host: IothHost;
  let evil: IothStack;
  let victim: IothStack;
  const sockets: Socket[] = [];

  beforeAll(async () => {
    host = createIothHost();
    evil = await newStackc(`stack=vdestack,vnl=${NET},eth,ip=10.0.0.254/24,ip=fd00::254/64`, host);
  });
  beforeEach(async () => {
    victim = await newStackOn(host, 'vdestack', NET);
    await victim.config('eth,mac=02:00:00:00:00:05');
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.close();
    await victim.close();
  });
  afterAll(async () => {
    await evil.close();
    await host.close();
  });

  const given = (): string[] =>
    victim.netlink((client) =>
      client
        .addresses()
        .filter(({ index }) => index === 2)
        .map(({ family, address }) => formatIp({ family: family as typeof AF.INET, bytes: address! }))
        .filter((text) => !text.startsWith('fe80:')),
    );

  /** A DHCPv4 server that sends what `answer` makes of each message. */
  function server4(answer: (asked: Dhcp4Message) => (Dhcp4Message | Uint8Array)[]): void {
    const socket = evil.msocket(AF.INET, SOCK.DGRAM);
    sockets.push(socket);
    socket.setsockopt(SOL.SOCKET, SO.BROADCAST, 1);
    socket.setsockopt(SOL.SOCKET, SO.BINDTOIFINDEX, 2);
    socket.bind(inetAddress('0.0.0.0', 67));
    const serve = async (): Promise<void> => {
      for (;;) {
        for (const reply of answer(parseDhcp4(await socket.recv()))) {
          const bytes = reply instanceof Uint8Array ? reply : serializeDhcp4(reply);
          await socket.sendto(bytes, inetAddress('255.255.255.255', 68));
        }
      }
    };
    serve().catch(() => undefined);
  }

  /** The honest answer to `asked`. */
  function honest(
    asked: Dhcp4Message,
    change: Partial<Dhcp4Message> = {},
    more: [number, Uint8Array][] = [],
  ): Dhcp4Message {
    const type = asked.options.get(OPTION4.TYPE)![0] === TYPE4.DISCOVER ? TYPE4.OFFER : TYPE4.ACK;
    const options = new Map([
      [OPTION4.TYPE, Uint8Array.of(type)],
      [OPTION4.SERVER, ip4('10.0.0.254')],
      [OPTION4.LEASE, hex('00000e10')],
      [OPTION4.SUBNET_MASK, ip4('255.255.255.0')],
      ...more,
    ]);
    return { ...message4, xid: asked.xid, mac: asked.mac, yours: ip4('10.0.0.66'), options, ...change };
  }
  const isRequest = (asked: Dhcp4Message): boolean => asked.options.get(OPTION4.TYPE)![0] === TYPE4.REQUEST;

  it('are heard when they are honest', async () => {
    server4((asked) => [honest(asked)]);
    expect(await victim.config('dhcp', { timing })).toBe(4);
    expect(given()).toEqual(['10.0.0.66']);
  });

  it.each<[string, (asked: Dhcp4Message) => Dhcp4Message]>([
    [
      'grant an address that they did not offer',
      (a) => honest(a, isRequest(a) ? { yours: ip4('10.0.0.67') } : {}),
    ],
    ['offer the loopback', (a) => honest(a, { yours: ip4('127.0.0.1') })],
    ['offer a group', (a) => honest(a, { yours: ip4('224.0.0.1') })],
    ['offer everybody', (a) => honest(a, { yours: ip4('255.255.255.255') })],
    ['offer nothing', (a) => honest(a, { yours: NO_ADDRESS })],
    ['use another transaction', (a) => honest(a, { xid: a.xid ^ 1 })],
    ['speak to another host', (a) => honest(a, { mac: parseMac('02:00:00:00:00:06')! })],
    ['speak to another client', (a) => honest(a, {}, [[OPTION4.CLIENT_ID, Uint8Array.of(1, 2)]])],
    ['send requests', (a) => honest(a, { op: 1 })],
    ['have no name', (a) => honest(a, {}, [[OPTION4.SERVER, new Uint8Array(0)]])],
    [
      'grant for another server',
      (a) => honest(a, {}, isRequest(a) ? [[OPTION4.SERVER, ip4('10.0.0.9')]] : []),
    ],
    ['offer without being asked', (a) => honest(a, {}, [[OPTION4.TYPE, Uint8Array.of(TYPE4.ACK)]])],
  ])('get nowhere when they %s', async (_what, answer) => {
    server4((asked) => [answer(asked)]);
    expect(await victim.config('dhcp', { timing })).toBe(0);
    expect(given()).toEqual([]);
  });

  it('cannot disturb an honest one with garbage', async () => {
    const random = new Random(7);
    server4((asked) => [
      new Uint8Array(0),
      random.bytes(100),
      ...Array.from({ length: 20 }, () => {
        const bytes = random.damage(serializeDhcp4(honest(asked)));
        bytes[4]! ^= 0xff; // never the right transaction
        return bytes;
      }),
      honest(asked),
      honest(asked), // twice
    ]);
    expect(await victim.config('dhcp', { timing })).toBe(4);
    expect(given()).toEqual(['10.0.0.66']);
  });

  it('refuse for ever, and we stop asking', async () => {
    let requests = 0;
    server4((asked) => {
      if (isRequest(asked)) requests++;
      return [honest(asked, {}, isRequest(asked) ? [[OPTION4.TYPE, Uint8Array.of(TYPE4.NAK)]] : [])];
    });
    expect(await victim.config('dhcp', { timing })).toBe(0);
    expect(requests).toBe(3);
  });

  it.each<[string, string, string]>([
    ['offer the loopback', '00000000000000000000000000000001', '00000000000000000000000000000001'],
    ['offer a group', 'ff020000000000000000000000000001', 'ff020000000000000000000000000001'],
    ['offer a link-local address', 'fe800000000000000000000000000001', 'fe800000000000000000000000000001'],
    ['grant what they did not offer', 'fd000000000000000000000000000066', 'fd000000000000000000000000000067'],
  ])('of DHCPv6 get nowhere when they %s', async (_what, offered, granted) => {
    const socket = evil.msocket(AF.INET6, SOCK.DGRAM);
    sockets.push(socket);
    socket.setsockopt(
      IPPROTO.IPV6,
      IPV6.JOIN_GROUP,
      Uint8Array.from([...parseIp(SERVERS)!.bytes, 2, 0, 0, 0]),
    );
    socket.bind(inetAddress('::', 547));
    let heard = 0;
    const serve = async (): Promise<void> => {
      for (;;) {
        const { data, address } = await socket.recvfrom();
        heard++;
        const asked = parseDhcp6(data);
        const solicited = asked.type === TYPE6.SOLICIT;
        const association = findOption(asked.options, OPTION6.IA_NA)!.subarray(0, 4);
        const value = hex(`${Buffer.from(association).toString('hex')} 00000000 00000000 0005 0018
          ${solicited ? offered : granted} 00000e10 00000e10`);
        const options = [
          { code: OPTION6.CLIENT_ID, data: findOption(asked.options, OPTION6.CLIENT_ID)! },
          { code: OPTION6.SERVER_ID, data: hex('0003 0001 020000000001') },
          { code: OPTION6.IA_NA, data: value },
        ];
        const type = solicited ? TYPE6.ADVERTISE : TYPE6.REPLY;
        await socket.sendto(serializeDhcp6({ type, transaction: asked.transaction, options }), address!);
      }
    };
    serve().catch(() => undefined);
    expect(await victim.config('dhcp6', { timing })).toBe(0);
    expect(heard).toBeGreaterThan(0);
    expect(given()).toEqual([]);
  });

  it.each<[string, number, (bytes: Uint8Array) => Uint8Array]>([
    ['are not on the link', 64, (bytes) => bytes],
    ['send options without length', 255, (bytes) => Uint8Array.from([...bytes.subarray(0, 16), 1, 0])],
    ['send half an option', 255, (bytes) => bytes.subarray(0, 30)],
  ])('of routers get nowhere when they %s', async (_what, hops, change) => {
    const socket = evil.msocket(AF.INET6, SOCK.RAW, IPPROTO.ICMPV6);
    sockets.push(socket);
    socket.setsockopt(IPPROTO.IPV6, IPV6.MULTICAST_HOPS, hops);
    const done = victim.config('rd,slaac', { timing: { ...timing, routerTry: 600 } });
    const flood = setInterval(() => {
      void socket
        .sendto(change(ADVERTISEMENT), { family: AF.INET6, address: 'ff02::1', port: 0, scopeId: 2 })
        .catch(() => {});
    }, 20);
    expect(await done).toBe(0);
    clearInterval(flood);
  });
});
