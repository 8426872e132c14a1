/** The Berkeley calls on stacks, of the kernel and in user space. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import {
  AF,
  IP,
  IPPROTO,
  type InetAddress,
  MSG,
  Resolver,
  SHUT,
  SO,
  SOCK,
  SOL,
  createIothHost,
  defineStack,
  getDefaultStack,
  inetAddress,
  newStackOn,
  newStackc,
  parseIp,
  setDefaultStack,
  socket,
  truncated,
} from '../../runtime/ioth/index.ts';
import { native } from '../../runtime/native.ts';
import { until } from '../helpers/exec.ts';
import { descriptors } from '../helpers/leaks.ts';
import { DRIVERS, twoStacks } from '../helpers/stacks.ts';

describe.each(DRIVERS)('%s', (driver) => {
  const two = twoStacks(driver);

  /** A TCP connection from a to a listening socket of b. */
  async function connection() {
    const listener = two.use(two.b.msocket(AF.INET, SOCK.STREAM));
    listener.bind(inetAddress('10.0.0.2', 0));
    listener.listen();
    const client = two.use(two.a.msocket(AF.INET, SOCK.STREAM));
    const [{ socket: server, address }] = await Promise.all([
      listener.accept(),
      client.connect(listener.getsockname()),
    ]);
    return { listener, client, server: two.use(server), address };
  }

  describe('streams', () => {
    it('carry bytes both ways, with the addresses of their ends', async () => {
      const { client, server, address } = await connection();
      expect(address).toEqual(client.getsockname());
      expect(server.getpeername()).toEqual(client.getsockname());
      await client.sendAll('ciao\n');
      expect((await server.recv()).toString()).toBe('ciao\n');
      await server.writev([Buffer.from('one '), Buffer.from('two')]);
      const pieces = [Buffer.alloc(4), Buffer.alloc(8)];
      expect(await client.readv(pieces)).toBe(7);
      expect(Buffer.concat(pieces).toString('latin1')).toBe('one two\0\0\0\0\0');
      client.shutdown(SHUT.WR);
      expect(await server.recv()).toHaveLength(0);
    });

    it('send as much as the reader takes, in order', async () => {
      const { client, server } = await connection();
      const data = Buffer.alloc(8 << 20, 'abcdefg');
      const sent = client.sendAll(data).then(() => client.shutdown(SHUT.WR));
      const received: Buffer[] = [];
      for (let part = await server.recv(); part.length > 0; part = await server.recv()) received.push(part);
      await sent;
      expect(Buffer.concat(received).equals(data)).toBe(true);
    });

    it('serve several waiting calls in their order', async () => {
      const { client, server } = await connection();
      const calls = [server.recv(1), server.recv(1), server.recv(1)];
      await client.sendAll('abc');
      expect((await Promise.all(calls)).map(String)).toEqual(['a', 'b', 'c']);
    });

    it('let other things happen while data are always there', async () => {
      const { client, server } = await connection();
      await client.sendAll(Buffer.alloc(100_000));
      let ticks = 0;
      const timer = setInterval(() => ticks++, 1);
      await sleep(20);
      ticks = 0;
      for (let i = 0; i < 50_000; i++) await server.recv(1);
      clearInterval(timer);
      expect(ticks).toBeGreaterThan(2);
    });

    it('say why they cannot be connected', async () => {
      const nobody = two.use(two.a.msocket(AF.INET, SOCK.STREAM));
      await expect(nobody.connect(inetAddress('10.0.0.2', 1))).rejects.toMatchObject({
        code: 'ECONNREFUSED',
      });
      const nowhere = two.use(two.a.msocket(AF.INET, SOCK.STREAM));
      await expect(nowhere.connect(inetAddress('192.0.2.1', 1))).rejects.toMatchObject({
        code: 'ENETUNREACH',
      });
      const wrong = two.use(two.a.msocket(AF.INET6, SOCK.STREAM));
      expect(() => wrong.bind(inetAddress('fc00::99', 1))).toThrow('bind: EADDRNOTAVAIL');
    });

    it('become sockets of Node', async () => {
      const { client, server } = await connection();
      const stream = two.a.toNetSocket(client);
      expect(stream.remoteAddress).toBe('10.0.0.2');
      stream.end('from node');
      expect((await server.recv()).toString()).toBe('from node');
      expect(client.fd).toBe(-1);
      expect(() => client.getsockname()).toThrow('closed');
      stream.destroy();
    });
  });

  describe('calls that wait', () => {
    it('can be called off', async () => {
      const { client } = await connection();
      const controller = new AbortController();
      const waiting = client.recv(10, { signal: controller.signal });
      controller.abort(new Error('enough'));
      await expect(waiting).rejects.toThrow('enough');
      await expect(client.recv(1, { signal: controller.signal })).rejects.toThrow('enough');
      await expect(client.recv(1, { signal: AbortSignal.timeout(20) })).rejects.toMatchObject({
        name: 'TimeoutError',
      });
    });

    it('end with their socket', async () => {
      const { client, listener } = await connection();
      const waiting = [client.recv(), listener.accept()];
      client.close();
      listener.close();
      for (const each of waiting) await expect(each).rejects.toMatchObject({ code: 'ECANCELED' });
      await expect(client.recv()).rejects.toMatchObject({ code: 'EBADF' });
      client.close();
    });

    it('end with their stack', async () => {
      const stack = await newStackc(`stack=${driver},vnl=switch://,eth,ip=10.0.0.9`, two.host);
      const nobody = inetAddress('10.0.0.77', 1);
      const datagrams = stack.msocket(AF.INET, SOCK.DGRAM);
      const listener = stack.msocket(AF.INET, SOCK.STREAM);
      listener.bind(inetAddress('10.0.0.9', 7));
      listener.listen();
      // A server that takes connections and says nothing.
      const heard: Socket[] = [];
      const mute = two.a.net
        .createServer((each) => heard.push(each.on('error', () => undefined)))
        .listen(8080);
      await once(mute, 'listening');
      const resolver = new Resolver(stack.stack, { conf: '10.0.0.77' });
      stack.dns.setServers(['10.0.0.77']);
      const request = stack.http.get('http://10.0.0.1:8080/');
      const calls = {
        recv: datagrams.recv(),
        accept: listener.accept(),
        connect: stack.msocket(AF.INET, SOCK.STREAM).connect(nobody),
        'net.connect': once(stack.net.connect(1, '10.0.0.77'), 'connect'),
        lookup: stack.dns.lookup('x.test'),
        resolve: stack.dns.resolve4('x.test'),
        'a resolver of its own': resolver.lookupA('x.test'),
        dhcp: stack.config('dhcp'),
        http: once(request, 'response'),
        fetch: stack.fetch('http://10.0.0.1:8080/'),
      };
      const settled = Promise.all(
        Object.entries(calls).map(([name, call]) =>
          (call as Promise<unknown>).then(
            () => [name, 'done'],
            (error: Error & { code?: string; cause?: { code?: string } }) => [
              name,
              error.cause?.code ?? error.code,
            ],
          ),
        ),
      );
      await sleep(50);
      const start = performance.now();
      await stack.close();
      expect(Object.fromEntries(await settled)).toEqual({
        recv: 'ENETDOWN',
        accept: 'ENETDOWN',
        connect: 'ENETDOWN',
        'net.connect': 'ENETDOWN',
        lookup: 'ENETDOWN',
        resolve: 'ENETDOWN',
        'a resolver of its own': 'ENETDOWN',
        dhcp: 'ENETDOWN',
        http: 'ECONNRESET',
        fetch: 'ENETDOWN',
      });
      expect(performance.now() - start).toBeLessThan(1000);
      expect(() => stack.msocket(AF.INET, SOCK.DGRAM)).toThrow('closed');
      await stack.close();
      heard.forEach((each) => each.destroy());
      await once(mute.close(), 'close');
      // They end a moment later; the next test counts them.
      let last = -1;
      await until('the end of all descriptors', () => last === (last = descriptors()));
    });
  });

  describe('other sockets', () => {
    it('datagrams keep their bounds and tell where they come from', async () => {
      const to = two.use(two.b.msocket(AF.INET6, SOCK.DGRAM));
      to.bind(inetAddress('fc00::2', 0));
      const from = two.use(two.a.msocket(AF.INET6, SOCK.DGRAM));
      from.bind(inetAddress('fc00::1', 0));
      const there = to.getsockname() as InetAddress;
      await from.sendto('one', there);
      await from.sendto('', there);
      await from.sendto('three', there);
      expect(await to.recvfrom()).toEqual({ data: Buffer.from('one'), address: from.getsockname() });
      expect((await to.recvfrom()).data).toHaveLength(0);
      const cut = await to.recvmsg(2);
      expect([cut.data.toString(), truncated(cut)]).toEqual(['th', true]);
      await from.connect(there);
      await from.send('connected');
      expect((await to.recv(100, { flags: MSG.PEEK })).toString()).toBe('connected');
      expect((await to.recv()).toString()).toBe('connected');
    });

    it('messages carry control data', async () => {
      const to = two.use(two.b.msocket(AF.INET, SOCK.DGRAM));
      to.bind(inetAddress('10.0.0.2', 0));
      to.setsockopt(IPPROTO.IP, IP.PKTINFO, true);
      const from = two.use(two.a.msocket(AF.INET, SOCK.DGRAM));
      const source = Buffer.alloc(12);
      source.set([10, 0, 0, 1], 4);
      await from.sendmsg({
        data: [Buffer.from('a'), Buffer.from('b')],
        address: to.getsockname(),
        control: [{ level: IPPROTO.IP, type: IP.PKTINFO, data: source }],
      });
      const { data, control } = await to.recvmsg();
      expect(data.toString()).toBe('ab');
      expect(control[0]).toMatchObject({ level: IPPROTO.IP, type: IP.PKTINFO });
      expect([...control[0]!.data.subarray(8, 12)]).toEqual([10, 0, 0, 2]);
    });

    it('raw sockets ping', async () => {
      const raw = two.use(two.a.msocket(AF.INET, SOCK.RAW, IPPROTO.ICMP));
      await raw.sendto(Buffer.from('0800f7fe00010000', 'hex'), inetAddress('10.0.0.2', 0));
      const { data, address } = await raw.recvfrom();
      expect([data[20], (address as InetAddress).address]).toEqual([0, '10.0.0.2']);
    });

    it('netlink sockets speak to the stack', async () => {
      const netlink = two.use(two.a.msocket(AF.NETLINK, SOCK.RAW, 0));
      netlink.bind({ family: AF.NETLINK, pid: 0, groups: 0 });
      await netlink.send(Buffer.from('1400000012000103010000000000000000000000', 'hex'));
      const { data, address } = await netlink.recvfrom();
      expect([data.readUInt16LE(4), address]).toEqual([16, { family: AF.NETLINK, pid: 0, groups: 0 }]);
    });

    it('take options, ioctl and fcntl', () => {
      const one = two.use(two.a.msocket(AF.INET, SOCK.STREAM));
      one.setsockopt(SOL.SOCKET, SO.KEEPALIVE, 1);
      expect(one.getsockopt(SOL.SOCKET, SO.KEEPALIVE).readInt32LE(0)).toBe(1);
      expect(one.getsockopt(SOL.SOCKET, SO.TYPE).readInt32LE(0)).toBe(SOCK.STREAM);
      expect(one.fcntl(1)).toBe(1);
      const request = Buffer.alloc(40);
      request.write('vde0');
      expect(one.ioctl(0x8933, request)).toBe(0); // SIOCGIFINDEX
      expect(request.readInt32LE(16)).toBe(2);
      expect(() => one.ioctl(0x8933, Buffer.alloc(40))).toThrow('ioctl: ENODEV');
    });

    it('are real descriptors, and closed ones are gone', async () => {
      const before = descriptors();
      const one = two.a.msocket(AF.INET, SOCK.RAW, IPPROTO.ICMP);
      expect(native().syscall(72, one.fd, 3)).toBeGreaterThanOrEqual(0);
      await expect(one.recv(1, { signal: AbortSignal.timeout(1) })).rejects.toThrow();
      one.close();
      await sleep(10);
      expect(descriptors()).toBe(before);
    });
  });

  describe('stacks', () => {
    it('have several interfaces with names', async () => {
      const stack = await newStackOn(two.host, driver, 'eth0:switch://', 'hub://', 'wan:null://');
      expect(stack.netlink((client) => client.links().map((link) => link.name))).toEqual([
      'lo', 'eth0', 'vde1', 'wan',
    ]); // prettier-ignore
      await stack.close();
    });

    it('tell their interfaces and addresses', () => {
      const list = two.a.getifaddrs();
      expect(list).toContainEqual(expect.objectContaining({ name: 'vde0', index: 2, family: AF.PACKET }));
      expect(list).toContainEqual(
        expect.objectContaining({ name: 'vde0', family: AF.INET, address: '10.0.0.1', prefixLength: 24 }),
      );
      expect(list.filter(({ name }) => name === 'lo').map(({ address }) => address)).toContain('::1');
    });

    it('know their neighbours', () => {
      const address = parseIp('10.0.0.99')!;
      const known = () =>
        two.a.netlink((client) =>
          client
            .neighbors()
            .filter((each) => each.destination?.[3] === 99)
            .map((each) => each.address),
        );
      two.a.netlink((client) => client.addNeighbor(2, address, Uint8Array.of(2, 0, 0, 0, 0, 9)));
      expect(known()).toEqual([Uint8Array.of(2, 0, 0, 0, 0, 9)]);
      two.a.netlink((client) => client.delNeighbor(2, address));
      expect(two.a.netlink((client) => [client.nameOf(2), client.indexOf('vde0')])).toEqual(['vde0', 2]);
      expect(known().filter(Boolean)).toEqual([]);
    });

    it('may be of a kind of the program itself', async () => {
      const drivers = createIothHost();
      drivers.drivers.set(
        'mine',
        defineStack({
          name: 'mine',
          summary: 'the stack of a, under another name',
          create: async ({ options }) => ({
            driver: 'mine',
            isHost: false,
            families: new Set([AF.INET]),
            view: {},
            resolvConf: options['dns'],
            socket: (...args) => two.a.stack.socket(...args),
            inUse: () => false,
            close: async () => {},
          }),
        }),
      );
      const mine = await newStackOn(drivers, 'mine,dns=nameserver 10.0.0.9');
      expect(mine.dns.getServers()).toEqual(['10.0.0.9']);
      const one = mine.msocket(AF.INET, SOCK.DGRAM);
      one.bind(inetAddress('10.0.0.1', 0));
      await drivers.close();
      await expect(newStackOn(drivers, 'other')).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
      one.close();
    });

    it('can be the default of a program', async () => {
      expect((await getDefaultStack()).stack.isHost).toBe(true);
      setDefaultStack(two.a);
      const one = two.use(await socket(AF.INET, SOCK.DGRAM));
      one.bind(inetAddress('10.0.0.1', 0));
      setDefaultStack(undefined);
      const native = two.use(await socket(AF.INET, SOCK.DGRAM));
      expect(() => native.bind(inetAddress('10.0.0.1', 0))).toThrow('EADDRNOTAVAIL');
    });
  });
});

describe.each(DRIVERS)('packet sockets on %s', (driver) => {
  const two = twoStacks(driver);

  it('see frames', async () => {
    const packet = two.use(two.b.msocket(AF.PACKET, SOCK.RAW, 0x0003 << 8));
    packet.bind({ family: AF.PACKET, protocol: 3, index: 2 });
    expect(packet.getsockname()).toMatchObject({ family: AF.PACKET, index: 2, protocol: 3 });
    const from = two.use(two.a.msocket(AF.INET, SOCK.DGRAM));
    await from.sendto('seen?', inetAddress('10.0.0.2', 9));
    for (;;) if ((await packet.recv()).includes('seen?')) return;
  });
});
