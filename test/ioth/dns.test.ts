/** The resolver and the server side, with dnsmasq, unbound and dig on a network of ours. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AF,
  AI,
  type DnsHandler,
  type DnsQuestion,
  FLAG,
  type IothHost,
  type IothStack,
  NI,
  RCODE,
  Resolver,
  SOCK,
  type Socket,
  StackDns,
  createIothHost,
  getaddrinfo,
  getnameinfo,
  inetAddress,
  makeReply,
  newStackc,
  parseMessage,
  reverseName,
  serializeMessage,
  serveTcp,
  serveUdp,
} from '../../runtime/ioth/index.ts';
import { newPeer, type Peer } from '../helpers/peer.ts';
import { DRIVERS } from '../helpers/stacks.ts';

describe.each(DRIVERS)('%s', (driver) => {
  const NET = 'switch://';
  let host: IothHost;
  let stack: IothStack;
  let peer: Peer;

  const DNSMASQ = [
  '--no-resolv', '--no-hosts', '--no-daemon', '--conf-file=/dev/null', '--pid-file=', '--local-ttl=77', '--log-queries',
  '--listen-address=10.0.0.53,fc00::53', '--bind-interfaces', '--user=root', '--local=/test/',
  '--host-record=www.test,192.0.2.10,fc00::80', '--host-record=four.test,192.0.2.4', '--host-record=six.test,fc00::6',
  '--cname=alias.test,www.test', '--mx-host=test,mail.test,5', '--txt-record=test,one,two',
  '--srv-host=_http._tcp.test,www.test,80,1,2', '--ptr-record=9.2.0.192.in-addr.arpa,nine.test',
  `--txt-record=big.test,${Array.from({ length: 12 }, () => 'x'.repeat(200)).join(',')}`,
]; // prettier-ignore

  const UNBOUND = (dir: string): string => `
server:
  interface: 10.0.0.54
  access-control: 0.0.0.0/0 allow
  chroot: ""
  directory: "${dir}"
  pidfile: ""
  username: ""
  use-syslog: no
  verbosity: 1
  do-not-query-localhost: no
  local-zone: "zone." static
  local-data: "zone. 60 SOA ns.zone. root.zone. 7 1 2 3 4"
  local-data: "zone. 60 NS ns.zone."
  local-data: "a.zone. 60 A 192.0.2.1"
  local-data: "a.zone. 60 AAAA fc00::1"
  local-data: "b.zone. 60 CNAME a.zone."
remote-control:
  control-enable: no
`;

  beforeAll(async () => {
    host = createIothHost();
    stack = await newStackc(
      `stack=${driver},vnl='${NET}',eth,ip=10.0.0.1/24,ip=fc00::1/64,dns=10.0.0.53,domain=test,domain=zone`,
      host,
    );
    peer = await newPeer(host, NET, '10.0.0.53/24', '10.0.0.54/24', 'fc00::53/64');
    await peer.start(/started, version/, 'dnsmasq', ...DNSMASQ);
    writeFileSync(join(peer.dir, 'unbound.conf'), UNBOUND(peer.dir));
    await peer.start(/start of service/, 'unbound', '-d', '-c', join(peer.dir, 'unbound.conf'));
  });

  afterAll(async () => {
    await stack.close();
    await peer.close();
    await host.close();
  });

  const resolver = (conf: string, hosts?: string): Resolver =>
    new Resolver(stack.stack, { conf, ...(hosts ? { hosts } : {}) });

  describe('lookups', () => {
    it('find addresses (IOTH-FACTS §3.3)', async () => {
      const d = resolver('nameserver 10.0.0.53\nsearch test other.test');
      expect(await d.lookupAaaa('www.test')).toEqual(['fc00::80']);
      expect(await d.lookupAaaa('www')).toEqual(['fc00::80']);
      expect(await d.lookupA('alias.test')).toEqual(['192.0.2.10']);
      await expect(d.lookupA('nope.test')).rejects.toMatchObject({
        code: 'ENOTFOUND',
        hostname: 'nope.test',
      });
      await expect(d.lookupA('six.test')).rejects.toMatchObject({ code: 'ENODATA' });
      expect([await d.lookupAaaa('10.0.0.1'), await d.lookupA('10.0.0.1')]).toEqual([[], ['10.0.0.1']]);
      expect(await d.lookupAaaaCompat('10.0.0.1')).toEqual(['::ffff:10.0.0.1']);
      expect(await d.lookupAaaaCompat('www')).toEqual(['fc00::80', '::ffff:192.0.2.10']);
      expect(await d.lookupAaaaCompat('four')).toEqual(['::ffff:192.0.2.4']);
      d.close();
    });

    it('have the shape of node:dns/promises', async () => {
      const { dns } = stack;
      expect(await dns.lookup('www')).toEqual({ address: '192.0.2.10', family: 4 });
      expect(await dns.lookup('www', { all: true })).toHaveLength(2);
      expect(await dns.lookup('www', 6)).toEqual({ address: 'fc00::80', family: 6 });
      expect(await dns.lookup('localhost')).toMatchObject({ address: '127.0.0.1' });
      expect(await dns.resolve4('www.test', { ttl: true })).toEqual([{ address: '192.0.2.10', ttl: 77 }]);
      expect(await dns.resolve6('www.test')).toEqual(['fc00::80']);
      expect(await dns.resolveMx('test')).toEqual([{ exchange: 'mail.test', priority: 5 }]);
      expect(await dns.resolveTxt('test.')).toEqual([['one', 'two']]);
      expect(await dns.resolveSrv('_http._tcp.test')).toEqual([
        { name: 'www.test', port: 80, priority: 1, weight: 2 },
      ]);
      expect(await dns.resolveCname('alias.test')).toEqual(['www.test']);
      expect(await dns.reverse('192.0.2.9')).toEqual(['nine.test']);
      expect(await dns.lookupService('192.0.2.9', 80)).toMatchObject({ hostname: 'nine.test' });
      expect(await dns.resolve('www.test', 'A')).toEqual(['192.0.2.10']);
      expect(dns.getServers()).toEqual(['10.0.0.53']);
      const other = new StackDns(stack.stack, { conf: '10.0.0.54' });
      expect(await other.resolveNs('zone')).toEqual(['ns.zone']);
      expect(await other.resolveSoa('zone')).toMatchObject({ nsname: 'ns.zone', serial: 7, minttl: 4 });
      expect((await dns.resolveAny('www.test')).map(({ type }) => type).sort()).toEqual(['A', 'AAAA']);
      expect(await other.resolve6('b.zone')).toEqual(['fc00::1']);
      other.setServers(['10.0.0.53', 'fc00::53']);
      expect([other.getServers(), await other.resolve4('www.test')]).toEqual([
        ['10.0.0.53', 'fc00::53'],
        ['192.0.2.10'],
      ]);
      other.close();
    });

    it('go on over TCP when an answer is truncated', async () => {
      const [strings] = await stack.dns.resolveTxt('big.test');
      expect(strings).toHaveLength(12);
      const tcp = resolver('nameserver fc00::53\noptions use-vc');
      expect(await tcp.lookupA('www.test')).toEqual(['192.0.2.10']);
      tcp.close();
    });

    it('read the hosts file first', async () => {
      const d = resolver('10.0.0.53', '10.9.9.9 www.test www # comment\nfc00::9 NINE\nbogus x');
      expect(await d.lookupA('WWW.test')).toEqual(['10.9.9.9']);
      expect(await d.lookupAaaa('nine')).toEqual(['fc00::9']);
      expect(await d.reverse('10.9.9.9')).toEqual(['www.test']);
      d.close();
    });

    it('run by the hundred at the same time', async () => {
      const d = resolver('10.0.0.54');
      const all = await Promise.all(Array.from({ length: 500 }, () => d.lookupA('b.zone')));
      expect(new Set(all.flat())).toEqual(new Set(['192.0.2.1']));
      d.close();
    });
  });

  describe('getaddrinfo and getnameinfo', () => {
    it('list addresses for sockets', async () => {
      const { resolver: r } = stack.dns;
      const short = (
        list: { family: number; socktype: number; address: { address: string; port: number } }[],
      ) => list.map(({ socktype, address }) => `${address.address} ${address.port} ${socktype}`);
      expect(short(await getaddrinfo(r, 'www', 80, { socktype: SOCK.STREAM }))).toEqual([
      '192.0.2.10 80 1', 'fc00::80 80 1',
    ]); // prettier-ignore
      expect(short(await getaddrinfo(r, '10.0.0.1', '7'))).toEqual([
        '10.0.0.1 7 1',
        '10.0.0.1 7 2',
        '10.0.0.1 7 3',
      ]);
      const hints = { socktype: SOCK.DGRAM };
      expect(short(await getaddrinfo(r, undefined, 1, { ...hints, flags: AI.PASSIVE }))).toEqual([
        '0.0.0.0 1 2',
        ':: 1 2',
      ]);
      expect(short(await getaddrinfo(r, undefined, 1, hints))).toEqual(['::1 1 2', '127.0.0.1 1 2']);
      const mapped = { ...hints, family: AF.INET6, flags: AI.V4MAPPED };
      expect(short(await getaddrinfo(r, 'four', 1, mapped))).toEqual(['::ffff:192.0.2.4 1 2']);
      const [first] = await getaddrinfo(r, 'alias.test', 1, { flags: AI.CANONNAME });
      expect(first?.canonname).toBe('www.test');
      await expect(getaddrinfo(r, undefined)).rejects.toMatchObject({ code: 'EAI_NONAME', errno: -2 });
      await expect(getaddrinfo(r, 'nope.test', 1)).rejects.toMatchObject({ code: 'EAI_NONAME' });
      await expect(getaddrinfo(r, 'www', 1, { flags: AI.NUMERICHOST })).rejects.toMatchObject({
        code: 'EAI_NONAME',
      });
      await expect(getaddrinfo(r, 'www', 'no-such-service')).rejects.toMatchObject({ code: 'EAI_SERVICE' });
      await expect(getaddrinfo(r, 'www', 1, { family: AF.NETLINK })).rejects.toMatchObject({
        code: 'EAI_FAMILY',
      });
    });

    it('name addresses', async () => {
      const { resolver: r } = stack.dns;
      expect(await getnameinfo(r, inetAddress('192.0.2.9', 1), NI.NUMERICSERV)).toEqual({
        host: 'nine.test',
        service: '1',
      });
      expect(await getnameinfo(r, inetAddress('192.0.2.9', 1), NI.NUMERICHOST)).toMatchObject({
        host: '192.0.2.9',
      });
      expect(await getnameinfo(r, inetAddress('fc00::9999', 1))).toMatchObject({ host: 'fc00::9999' });
      await expect(getnameinfo(r, inetAddress('fc00::9999', 1), NI.NAMEREQD)).rejects.toMatchObject({
        code: 'EAI_NONAME',
      });
    });

    it('reverse names have all their nibbles', () => {
      expect(reverseName('10.0.0.1')).toBe('1.0.0.10.in-addr.arpa');
      expect(reverseName('fc00::1')).toBe(
        `1.${'0.'.repeat(29)}c.f.ip6.arpa`.replace('0.c.f', '0.0.c.f'.slice(2)),
      );
    });
  });

  describe('bad servers', () => {
    /** A server on the stack that answers each query as `answer` says, and what it was asked. */
    async function badServer(answer: (query: Buffer, send: (reply: Uint8Array) => void) => void) {
      const socket = stack.msocket(AF.INET, SOCK.DGRAM);
      socket.bind(inetAddress('10.0.0.1', 0));
      const asked: Buffer[] = [];
      const serve = async (): Promise<void> => {
        for (;;) {
          const { data, address } = await socket.recvfrom();
          asked.push(data);
          answer(data, (reply) => void socket.sendto(reply, address!).catch(() => undefined));
        }
      };
      serve().catch(() => undefined);
      const { port } = socket.getsockname() as { port: number };
      const d = resolver(`nameserver 10.0.0.1:${port}\noptions timeout:1 attempts:1`);
      return { d, asked, port, close: () => [d.close(), socket.close()] };
    }
    const reply = (
      query: Buffer,
      address: string,
      change: (m: ReturnType<typeof parseMessage>) => void = () => {},
    ) => {
      const message = makeReply(parseMessage(query));
      message.answers.push({ name: message.questions[0]!.name, ttl: 1, type: 'A', address });
      change(message);
      return serializeMessage(message);
    };

    const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
    const framed = (bytes: Uint8Array): Uint8Array =>
      Uint8Array.from([bytes.length >> 8, bytes.length & 0xff, ...bytes]);

    it('that never answer are given up after the timeout', async () => {
      const { d, close, asked } = await badServer(() => undefined);
      const start = Date.now();
      await expect(d.lookupA('x.test')).rejects.toMatchObject({ code: 'ETIMEOUT' });
      expect(Date.now() - start).toBeLessThan(1500);
      expect(asked).toHaveLength(1);
      close();
    });

    it('that answer with something else are not believed', async () => {
      const { d, close } = await badServer((query, send) => {
        send(Buffer.alloc(0));
        send(query.subarray(0, 5));
        send(query); // not a reply
        send(reply(query, '6.6.6.1', (m) => (m.id = (m.id + 1) & 0xffff)));
        send(reply(query, '6.6.6.2', (m) => (m.questions = [{ name: 'evil.test', type: 'A' }])));
        send(reply(query, '6.6.6.3', (m) => (m.questions = [{ name: 'x.test', type: 'MX' }])));
        send(Buffer.concat([reply(query, '6.6.6.4').subarray(0, 20), Buffer.alloc(3, 0xc0)]));
        send(reply(query, '192.0.2.77'));
        send(reply(query, '6.6.6.5')); // twice
      });
      expect(await d.lookupA('x.test')).toEqual(['192.0.2.77']);
      expect(await d.lookupA('x.test')).toEqual(['192.0.2.77']);
      close();
    });

    it('that slip in records of other names are not believed', async () => {
      const { d, close } = await badServer((query, send) =>
        send(
          reply(query, '192.0.2.1', (m) =>
            m.answers.push({ name: 'other.test', ttl: 1, type: 'A', address: '6.6.6.6' }),
          ),
        ),
      );
      expect(await d.lookupA('x.test')).toEqual(['192.0.2.1']);
      close();
    });

    it('that answer late do not answer the next query', async () => {
      let first = true;
      const { d, close } = await badServer((query, send) => {
        const late = first;
        first = false;
        setTimeout(() => send(reply(query, late ? '6.6.6.6' : '192.0.2.2')), late ? 1100 : 300);
      });
      await expect(d.lookupA('late.test')).rejects.toMatchObject({ code: 'ETIMEOUT' });
      expect(await d.lookupA('next.test')).toEqual(['192.0.2.2']);
      close();
    });

    it('that answer with aliases in a circle do not hang us', async () => {
      const { d, close } = await badServer((query, send) => {
        const [{ name }] = parseMessage(query).questions as [DnsQuestion];
        const target = name === 'a.test' ? 'b.test' : 'a.test';
        send(reply(query, '', (m) => (m.answers = [{ name, ttl: 1, type: 'CNAME', target }])));
      });
      await expect(d.lookupA('a.test')).rejects.toMatchObject({ code: 'ENODATA' });
      close();
    });

    it('that know no EDNS are asked again without', async () => {
      const { d, close, asked } = await badServer((query, send) => {
        const old = parseMessage(query).additionals.length > 0;
        send(
          old ? serializeMessage(makeReply(parseMessage(query), RCODE.FORMAT)) : reply(query, '192.0.2.3'),
        );
      });
      expect(await d.lookupA('x.test')).toEqual(['192.0.2.3']);
      expect(asked).toHaveLength(2);
      close();
    });

    it.each<[string, string, (query: Buffer) => Uint8Array | undefined]>([
      ['hang up', 'ECONNREFUSED', () => undefined],
      ['promise more than they send', 'ETIMEOUT', () => hex('0100 1234')],
      ['say nothing', 'ETIMEOUT', () => new Uint8Array(0)],
      ['send an empty message', 'ECONNREFUSED', () => hex('0000')],
      ['send garbage', 'ECONNREFUSED', () => hex('0004 ffffffff')],
      [
        'answer another query',
        'ECONNREFUSED',
        (query) => framed(reply(query, '6.6.6.1', (m) => (m.id ^= 1))),
      ],
    ])('over TCP that %s are given up', async (_what, code, answer) => {
      const server = stack.net.createServer((socket) => {
        socket.on('error', () => undefined);
        socket.on('data', (data) => {
          const bytes = answer(data.subarray(2));
          if (bytes === undefined) socket.destroy();
          else socket.write(bytes);
        });
      });
      await once(server.listen(0, '10.0.0.1'), 'listening');
      const { port } = server.address() as { port: number };
      const d = resolver(`nameserver 10.0.0.1:${port}\noptions use-vc timeout:1 attempts:1`);
      await expect(d.lookupA('x.test')).rejects.toMatchObject({ code });
      d.close();
      server.close();
    });

    it('are left for the next one', async () => {
      const { port, close } = await badServer((query, send) =>
        send(serializeMessage(makeReply(parseMessage(query), RCODE.FAILURE))),
      );
      const d = resolver(
        `nameserver 10.0.0.1:${port}\nnameserver 10.0.0.2:1\nnameserver 10.0.0.53\noptions rotate`,
      );
      for (let i = 0; i < 3; i++) expect(await d.lookupA('www.test')).toEqual(['192.0.2.10']);
      d.close();
      close();
    });

    it('may be waited for by somebody who gives up, or be closed', async () => {
      const { d, close } = await badServer(() => undefined);
      await expect(d.lookupA('x.test', { signal: AbortSignal.timeout(20) })).rejects.toMatchObject({
        name: 'TimeoutError',
      });
      const waiting = d.lookupA('x.test');
      await sleep(10);
      close();
      await expect(waiting).rejects.toMatchObject({ code: 'ECANCELED' });
      const none = resolver('');
      await expect(none.lookupA('x.test')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      await expect(none.lookupA('x..test')).rejects.toMatchObject({ code: 'EBADNAME' });
    });
  });

  describe('the server side', () => {
    const open: Socket[] = [];
    afterAll(() => open.forEach((socket) => socket.close()));

    it('answers dig', async () => {
      const handler: DnsHandler = (query, { protocol }) => {
        const [{ name }] = query.questions as [DnsQuestion];
        if (name === 'fail.test') throw new Error('no');
        const answer = makeReply(
          query,
          name.endsWith('.test') ? RCODE.OK : RCODE.REFUSED,
          FLAG.AUTHORITATIVE,
        );
        const text = name === 'big.test' ? 'y'.repeat(200) : protocol;
        const strings = Array.from({ length: name === 'big.test' ? 9 : 1 }, () => Buffer.from(text));
        if (answer.rcode === RCODE.OK) answer.answers.push({ name, ttl: 5, type: 'TXT', strings });
        return answer;
      };
      const udp = stack.msocket(AF.INET6, SOCK.DGRAM);
      const tcp = stack.msocket(AF.INET6, SOCK.STREAM);
      open.push(udp, tcp);
      for (const socket of open) socket.bind(inetAddress('::', 53));
      tcp.listen();
      const errors: unknown[] = [];
      void serveUdp(udp, handler, { onError: (error) => errors.push(error) });
      void serveTcp(tcp, handler);
      const dig = (...args: string[]): Promise<string> =>
        peer.run('dig', '@10.0.0.1', '+tries=1', '+timeout=2', 'TXT', ...args);
      expect(await dig('x.test')).toMatch(
        /status: NOERROR[^]*flags: qr aa rd;[^]*EDNS: version: 0[^]*5\tIN\tTXT\t"udp"/,
      );
      expect(await dig('+tcp', 'x.test')).toMatch(/IN\tTXT\t"tcp"/);
      expect(await dig('+noedns', '+ignore', 'big.test')).toMatch(/flags: qr tc rd;[^]*ANSWER: 0/);
      expect(await dig('+noedns', 'big.test')).toMatch(/Truncated, retrying in TCP[^]*"y{200}"/);
      expect(await dig('other.example')).toMatch(/status: REFUSED/);
      expect(await dig('fail.test')).toMatch(/status: SERVFAIL/);
      expect(await dig('+opcode=STATUS', 'x.test')).toMatch(/status: NOTIMP/);
      expect(errors).toHaveLength(1);
    });
  });
});
