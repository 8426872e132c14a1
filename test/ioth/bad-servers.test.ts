/** What servers and routers with bad intentions achieve with packets of DHCP, DHCPv6 and router discovery: nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type Dhcp4Message,
  NO_ADDRESS,
  OPTION as OPTION4,
  TYPE as TYPE4,
  parseDhcp4,
  serializeDhcp4,
} from '../../runtime/ioth/config/dhcp4/wire.ts';
import {
  type Dhcp6Message,
  OPTION as OPTION6,
  SERVERS,
  TYPE as TYPE6,
  findOption,
  parseDhcp6,
  serializeDhcp6,
} from '../../runtime/ioth/config/dhcp6/wire.ts';
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
import { ADVERTISEMENT, REPLY, hex, ip4, message4 } from '../helpers/dhcp-packets.ts';
import { Random } from '../helpers/random.ts';

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

  // One victim for all: what one server achieved, the next test would see.
  beforeAll(async () => {
    host = createIothHost();
    evil = await newStackc(`stack=vdestack,vnl=${NET},eth,ip=10.0.0.254/24,ip=fd00::254/64`, host);
    victim = await newStackOn(host, 'vdestack', NET);
    await victim.config('eth,mac=02:00:00:00:00:05');
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.close();
    await victim.config('-dhcp,-dhcp6,-rd');
    expect(given()).toEqual([]);
  });
  afterAll(async () => {
    await victim.close();
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

  it('get nowhere when they answer too late', async () => {
    const heard: number[] = [];
    server4((asked) => {
      heard.push(asked.xid);
      return [];
    });
    // The first exchange is over when its offer comes, in the time of the second one.
    expect(await victim.config('dhcp', { timing })).toBe(0);
    const [xid] = heard;
    sockets.pop()!.close();
    server4((asked) => [honest(asked, { xid: xid! })]);
    expect(await victim.config('dhcp', { timing })).toBe(0);
    expect(given()).toEqual([]);
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

  const OFFERED = 'fd00::66';
  interface Answer6 {
    offered: string;
    granted: string;
    transaction: number;
    client: Uint8Array;
    /** How often it is sent, after how many ms. */
    copies: number;
    delay: number;
    garbage: Uint8Array[];
  }

  /** A DHCPv6 server that answers honestly but for `change`; what it heard. */
  function server6(change: (asked: Dhcp6Message) => Partial<Answer6>): Dhcp6Message[] {
    const socket = evil.msocket(AF.INET6, SOCK.DGRAM);
    sockets.push(socket);
    const group = Uint8Array.from([...parseIp(SERVERS)!.bytes, 2, 0, 0, 0]);
    socket.setsockopt(IPPROTO.IPV6, IPV6.JOIN_GROUP, group);
    socket.bind(inetAddress('::', 547));
    const heard: Dhcp6Message[] = [];
    const answer = (asked: Dhcp6Message): { bytes: Uint8Array[]; delay: number } => {
      const client = findOption(asked.options, OPTION6.CLIENT_ID)!;
      const { transaction } = asked;
      const honest = {
        offered: OFFERED,
        granted: OFFERED,
        transaction,
        client,
        copies: 1,
        delay: 0,
        garbage: [],
      };
      const said = { ...honest, ...change(asked) };
      const solicited = asked.type === TYPE6.SOLICIT;
      const association = findOption(asked.options, OPTION6.IA_NA)?.subarray(0, 4) ?? new Uint8Array(4);
      const address = parseIp(solicited ? said.offered : said.granted)!.bytes;
      const times = hex('00000e10 00000e10');
      const value = Uint8Array.from([
        ...association,
        ...new Uint8Array(8),
        ...hex('0005 0018'),
        ...address,
        ...times,
      ]);
      const options = [
        { code: OPTION6.CLIENT_ID, data: said.client },
        { code: OPTION6.SERVER_ID, data: hex('0003 0001 020000000001') },
        { code: OPTION6.IA_NA, data: value },
      ];
      const type = solicited ? TYPE6.ADVERTISE : TYPE6.REPLY;
      const reply = serializeDhcp6({ type, transaction: said.transaction, options });
      return {
        bytes: [...said.garbage, ...Array.from({ length: said.copies }, () => reply)],
        delay: said.delay,
      };
    };
    const serve = async (): Promise<void> => {
      for (;;) {
        const { data, address } = await socket.recvfrom();
        const asked = parseDhcp6(data);
        heard.push(asked);
        const { bytes, delay } = answer(asked);
        if (delay > 0) await sleep(delay);
        for (const each of bytes) await socket.sendto(each, address!);
      }
    };
    serve().catch(() => undefined);
    return heard;
  }

  it.each<[string, (asked: Dhcp6Message) => Partial<Answer6>]>([
    ['offer the loopback', () => ({ offered: '::1', granted: '::1' })],
    ['offer a group', () => ({ offered: 'ff02::1', granted: 'ff02::1' })],
    ['offer a link-local address', () => ({ offered: 'fe80::1', granted: 'fe80::1' })],
    ['grant what they did not offer', () => ({ granted: 'fd00::67' })],
    ['use another transaction', ({ transaction }) => ({ transaction: transaction ^ 1 })],
    ['speak to another client', () => ({ client: hex('0003 0001 020000000009') })],
    ['answer too late', () => ({ delay: 250 })],
  ])('of DHCPv6 get nowhere when they %s', async (_what, change) => {
    const heard = server6(change);
    expect(await victim.config('dhcp6', { timing })).toBe(0);
    expect(heard.length).toBeGreaterThan(0);
    expect(given()).toEqual([]);
  });

  it('of DHCPv6 cannot disturb an honest one with garbage, late answers and copies', async () => {
    const random = new Random(9);
    const garbage = [new Uint8Array(0), new Uint8Array(3), random.bytes(1200), hex('0712')];
    let first = true;
    const heard = server6(({ transaction }) => {
      const late = first;
      first = false;
      // The answer to the first try comes during the second one, which has the same transaction (RFC 8415 §16.1).
      return late
        ? { delay: 200 }
        : { copies: 2, garbage: [...garbage, random.damage(REPLY), hex(`07 ${'0'.repeat(6)}`)], transaction };
    });
    expect(await victim.config('dhcp6', { timing: { ...timing, dhcpTries: 2 } })).toBe(8);
    expect(heard.map(({ type }) => type).filter((type) => type === TYPE6.SOLICIT).length).toBeGreaterThan(1);
    expect(given()).toEqual([OFFERED]);
  });

  it.each<[string, number, (bytes: Uint8Array) => Uint8Array]>([
    ['are not on the link', 64, (bytes) => bytes],
    ['send options without length', 255, (bytes) => Uint8Array.from([...bytes.subarray(0, 16), 1, 0])],
    ['send half an option', 255, (bytes) => bytes.subarray(0, 30)],
  ])('of routers get nowhere when they %s', async (_what, hops, change) => {
    const socket = evil.msocket(AF.INET6, SOCK.RAW, IPPROTO.ICMPV6);
    sockets.push(socket);
    socket.setsockopt(IPPROTO.IPV6, IPV6.MULTICAST_HOPS, hops);
    const done = victim.config('rd,slaac', { timing });
    const flood = setInterval(() => {
      void socket
        .sendto(change(ADVERTISEMENT), { family: AF.INET6, address: 'ff02::1', port: 0, scopeId: 2 })
        .catch(() => {});
    }, 20);
    expect(await done).toBe(0);
    clearInterval(flood);
  });

  it('of routers are forgotten in the very moment in which they speak', async () => {
    const socket = evil.msocket(AF.INET6, SOCK.RAW, IPPROTO.ICMPV6);
    sockets.push(socket);
    socket.setsockopt(IPPROTO.IPV6, IPV6.MULTICAST_HOPS, 255);
    const say = (): void =>
      void socket
        .sendto(ADVERTISEMENT, { family: AF.INET6, address: 'ff02::1', port: 0, scopeId: 2 })
        .catch(() => {});
    const flood = setInterval(() => [1, 2, 3].forEach(say), 1);
    // Its first prefix is not for autoconfiguration: only we make an address of it, for the name.
    const own = (): string[] => given().filter((text) => text.startsWith('fc00:'));
    await victim.config('rd,slaac,fqdn=host2.hash.local', { timing });
    expect(own()).toEqual(['fc00::4ee:5d2b:291e:1f8e']);
    await victim.config('-rd');
    await sleep(20);
    expect(own()).toEqual([]);
    clearInterval(flood);
    // What the kernel made of them itself.
    for (const text of given()) victim.netlink((client) => client.delAddress(2, parseIp(text)!, 64));
  });
});
