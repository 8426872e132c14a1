/** The Berkeley calls on stacks of the kernel, and Node's own interfaces on them. */
import { type EventEmitter, once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { execFileSync } from 'node:child_process';
import http from 'node:http';
import https from 'node:https';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  AF,
  IP,
  IPPROTO,
  type InetAddress,
  type IothHost,
  type IothStack,
  MSG,
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
import { descriptors } from '../helpers/leaks.ts';

let host: IothHost;
let a: IothStack;
let b: IothStack;

beforeAll(async () => {
  host = createIothHost();
  const open = (n: number): Promise<IothStack> =>
    newStackc(`stack=vdestack,vnl='switch://',eth,ip=10.0.0.${n}/24,ip=fc00::${n}/64`, host);
  // Both name the same private network of this host.
  [a, b] = await Promise.all([open(1), open(2)]);
  for (const stack of [a, b]) stack.netlink((client) => client.setUp(1, true));
});

afterAll(async () => {
  await a.close();
  await b.close();
  await host.close();
});

const used: { close(): unknown }[] = [];
/** `object` is closed after the test. */
function use<T extends { close(): unknown }>(object: T): T {
  used.push(object);
  return object;
}
afterEach(() => {
  for (const each of used.splice(0)) each.close();
});

/** A key and a certificate of web.test, signed by itself. */
function certificate(): { key: string; cert: string } {
  const pem = execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=web.test', '-addext', 'subjectAltName=DNS:web.test', '-keyout', '-', '-out', '-',
  ], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }); // prettier-ignore
  const at = pem.indexOf('-----BEGIN CERTIFICATE');
  return { key: pem.slice(0, at), cert: pem.slice(at) };
}

/** The error that `object` will emit. */
const errorOf = (object: EventEmitter): Promise<Error> =>
  new Promise((resolve) => object.once('error', (error: Error) => resolve(error)));

/** A TCP connection from a to a listening socket of b. */
async function connection() {
  const listener = use(b.msocket(AF.INET, SOCK.STREAM));
  listener.bind(inetAddress('10.0.0.2', 0));
  listener.listen();
  const client = use(a.msocket(AF.INET, SOCK.STREAM));
  const [{ socket: server, address }] = await Promise.all([
    listener.accept(),
    client.connect(listener.getsockname()),
  ]);
  return { listener, client, server: use(server), address };
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
    const nobody = use(a.msocket(AF.INET, SOCK.STREAM));
    await expect(nobody.connect(inetAddress('10.0.0.2', 1))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const nowhere = use(a.msocket(AF.INET, SOCK.STREAM));
    await expect(nowhere.connect(inetAddress('192.0.2.1', 1))).rejects.toMatchObject({ code: 'ENETUNREACH' });
    const wrong = use(a.msocket(AF.INET6, SOCK.STREAM));
    expect(() => wrong.bind(inetAddress('fc00::99', 1))).toThrow('bind: EADDRNOTAVAIL');
  });

  it('become sockets of Node', async () => {
    const { client, server } = await connection();
    const stream = a.toNetSocket(client);
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
    const stack = await newStackc("stack=vdestack,vnl='switch://',eth,ip=10.0.0.9", host);
    const one = stack.msocket(AF.INET, SOCK.DGRAM);
    const connecting = stack.msocket(AF.INET, SOCK.STREAM);
    const calls = [
      one.recv(),
      connecting.connect(inetAddress('10.0.0.77', 1)),
      stack.dns.resolver.resolve('x.test', 'A').catch((e: unknown) => Promise.reject(e as Error)),
    ];
    const settled = Promise.allSettled(calls);
    await stack.close();
    const codes = (await settled).map(
      (each) => each.status === 'rejected' && (each.reason as { code: string }).code,
    );
    expect(codes.slice(0, 2)).toEqual(['ENETDOWN', 'ENETDOWN']);
    expect(() => stack.msocket(AF.INET, SOCK.DGRAM)).toThrow('closed');
    await stack.close();
  });
});

describe('other sockets', () => {
  it('datagrams keep their bounds and tell where they come from', async () => {
    const to = use(b.msocket(AF.INET6, SOCK.DGRAM));
    to.bind(inetAddress('fc00::2', 0));
    const from = use(a.msocket(AF.INET6, SOCK.DGRAM));
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
    const to = use(b.msocket(AF.INET, SOCK.DGRAM));
    to.bind(inetAddress('10.0.0.2', 0));
    to.setsockopt(IPPROTO.IP, IP.PKTINFO, true);
    const from = use(a.msocket(AF.INET, SOCK.DGRAM));
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
    const raw = use(a.msocket(AF.INET, SOCK.RAW, IPPROTO.ICMP));
    await raw.sendto(Buffer.from('0800f7fe00010000', 'hex'), inetAddress('10.0.0.2', 0));
    const { data, address } = await raw.recvfrom();
    expect([data[20], (address as InetAddress).address]).toEqual([0, '10.0.0.2']);
  });

  it('packet sockets see frames', async () => {
    const packet = use(b.msocket(AF.PACKET, SOCK.RAW, 0x0003 << 8));
    packet.bind({ family: AF.PACKET, protocol: 3, index: 2 });
    expect(packet.getsockname()).toMatchObject({ family: AF.PACKET, index: 2, protocol: 3 });
    const from = use(a.msocket(AF.INET, SOCK.DGRAM));
    await from.sendto('seen?', inetAddress('10.0.0.2', 9));
    for (;;) if ((await packet.recv()).includes('seen?')) return;
  });

  it('netlink sockets speak to the stack', async () => {
    const netlink = use(a.msocket(AF.NETLINK, SOCK.RAW, 0));
    netlink.bind({ family: AF.NETLINK, pid: 0, groups: 0 });
    await netlink.send(Buffer.from('1400000012000103010000000000000000000000', 'hex'));
    const { data, address } = await netlink.recvfrom();
    expect([data.readUInt16LE(4), address]).toEqual([16, { family: AF.NETLINK, pid: 0, groups: 0 }]);
  });

  it('take options, ioctl and fcntl', () => {
    const one = use(a.msocket(AF.INET, SOCK.STREAM));
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
    const one = a.msocket(AF.INET, SOCK.RAW, IPPROTO.ICMP);
    expect(native().syscall(72, one.fd, 3)).toBeGreaterThanOrEqual(0);
    await expect(one.recv(1, { signal: AbortSignal.timeout(1) })).rejects.toThrow();
    one.close();
    await sleep(10);
    expect(descriptors()).toBe(before);
  });
});

describe('node:net', () => {
  it('connects and serves', async () => {
    const server = use(
      b.net.createServer((each) =>
        each
          .on('error', () => {})
          .end('hello')
          .resume(),
      ),
    );
    server.listen(0, '10.0.0.2');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const client = a.net.connect(port, '10.0.0.2');
    expect(await text(client)).toBe('hello');
    const named = a.net.connect({ port, host: '10.0.0.2', localAddress: '10.0.0.1', localPort: 5555 });
    await once(named, 'connect');
    expect([named.localAddress, named.localPort]).toEqual(['10.0.0.1', 5555]);
    named.destroy();
  });

  it('listens on IPv6 and IPv4 at once', async () => {
    const server = use(b.net.createServer((each) => each.end(each.remoteAddress ?? '')).listen(0));
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    expect(await text(a.net.connect(port, 'fc00::2'))).toBe('fc00::1');
    expect(await text(a.net.connect(port, '10.0.0.2'))).toBe('::ffff:10.0.0.1');
  });

  it('reports errors as Node does', async () => {
    const refused = await errorOf(a.net.connect(1, '10.0.0.2'));
    expect(refused).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', address: '10.0.0.2' });
    const server = use(b.net.createServer());
    server.listen(0, '10.0.0.77');
    const error = await errorOf(server);
    expect(error).toMatchObject({ code: 'EADDRNOTAVAIL', syscall: 'bind', address: '10.0.0.77' });
    const lost = a.net.connect(1, 'no.such.name');
    const missing = await errorOf(lost);
    expect(missing).toMatchObject({ code: 'ECONNREFUSED', hostname: 'no.such.name' });
  });

  it('never leaves the stack for localhost', async () => {
    const outside = http.createServer((_request, response) => response.end('outside')).listen(0, '127.0.0.1');
    await once(outside, 'listening');
    const { port } = outside.address() as { port: number };
    const client = a.net.connect(port);
    const error = await errorOf(client);
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
    outside.close();
  });
});

describe('node:dgram', () => {
  it('sends and receives', async () => {
    const server = use(b.dgram.createSocket('udp4'));
    server.bind(0, '10.0.0.2');
    await once(server, 'listening');
    const { port } = server.address();
    const client = use(a.dgram.createSocket('udp4'));
    client.send('hello', port, '10.0.0.2');
    const [data, from] = (await once(server, 'message')) as [Buffer, { address: string; port: number }];
    expect([data.toString(), from.address]).toEqual(['hello', '10.0.0.1']);
    server.send('back', from.port, from.address);
    expect(((await once(client, 'message')) as [Buffer])[0].toString()).toBe('back');
  });

  it('joins groups', async () => {
    const server = use(b.dgram.createSocket({ type: 'udp6', reuseAddr: true }));
    server.bind(5007, '::');
    await once(server, 'listening');
    server.addMembership('ff05::123');
    const client = use(a.dgram.createSocket('udp6'));
    client.send('all', 5007, 'ff05::123');
    expect(((await once(server, 'message')) as [Buffer])[0].toString()).toBe('all');
    const taken = use(b.dgram.createSocket('udp6'));
    taken.bind(5007, '::');
    const error = await errorOf(taken);
    expect(error).toMatchObject({ code: 'EADDRINUSE' });
  });
});

describe('HTTP', () => {
  it('goes out of the stack: node:http, an agent and fetch', async () => {
    const server = use(
      b.http.createServer((request, response) => {
        response.end(`${request.socket.remoteAddress} ${request.method} ${request.url}`);
      }),
    );
    server.listen(0, '10.0.0.2');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const url = `http://10.0.0.2:${port}/x`;
    const get = (...args: unknown[]): Promise<string> =>
      new Promise((resolve, reject) => {
        const request = (a.http.get as (...all: unknown[]) => http.ClientRequest)(
          ...args,
          (r: http.IncomingMessage) => text(r).then(resolve),
        );
        request.on('error', reject);
      });
    expect(await get(url)).toBe('10.0.0.1 GET /x');
    expect(await get({ host: '10.0.0.2', port, path: '/y' })).toBe('10.0.0.1 GET /y');
    expect(await (await a.fetch(url, { method: 'POST', body: 'z' })).text()).toBe('10.0.0.1 POST /x');
    expect(await (await fetch(url, { dispatcher: a.dispatcher } as RequestInit)).text()).toBe(
      '10.0.0.1 GET /x',
    );
    server.closeAllConnections();
  });

  it('may be encrypted: an https agent and fetch', async () => {
    const { key, cert } = certificate();
    const server = use(
      b.net.attach(https.createServer({ key, cert }, (_request, response) => response.end('secret'))),
    );
    server.listen(0, '10.0.0.2');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const agent = a.httpsAgent({ ca: cert });
    const body = await new Promise<string>((resolve, reject) => {
      https
        .get(
          { host: '10.0.0.2', port, agent, servername: 'web.test' },
          (response) => void text(response).then(resolve, reject),
        )
        .on('error', reject);
    });
    expect(body).toBe('secret');
    const dispatcher = a.newDispatcher({
      ca: cert,
      servername: 'web.test',
      checkServerIdentity: () => undefined,
    });
    const url = `https://10.0.0.2:${port}/`;
    expect(await (await fetch(url, { dispatcher } as unknown as RequestInit)).text()).toBe('secret');
    await expect(a.fetch(url)).rejects.toThrow('fetch failed');
    await dispatcher.destroy();
    agent.destroy();
    server.closeAllConnections();
  });

  it('fetches from an IPv6 literal', async () => {
    const server = use(b.http.createServer((_request, response) => response.end('six')).listen(0, 'fc00::2'));
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    expect(await (await a.fetch(`http://[fc00::2]:${port}/`)).text()).toBe('six');
    server.closeAllConnections();
  });
});

describe('stacks', () => {
  it('have several interfaces with names', async () => {
    const stack = await newStackOn(host, 'vdestack', 'eth0:switch://', 'hub://', 'wan:null://');
    expect(stack.netlink((client) => client.links().map((link) => link.name))).toEqual([
      'lo', 'eth0', 'vde1', 'wan',
    ]); // prettier-ignore
    await stack.close();
  });

  it('tell their interfaces and addresses', () => {
    const list = a.getifaddrs();
    expect(list).toContainEqual(expect.objectContaining({ name: 'vde0', index: 2, family: AF.PACKET }));
    expect(list).toContainEqual(
      expect.objectContaining({ name: 'vde0', family: AF.INET, address: '10.0.0.1', prefixLength: 24 }),
    );
    expect(list.filter(({ name }) => name === 'lo').map(({ address }) => address)).toContain('::1');
  });

  it('know their neighbours', () => {
    const address = parseIp('10.0.0.99')!;
    const known = () =>
      a.netlink((client) =>
        client
          .neighbors()
          .filter((each) => each.destination?.[3] === 99)
          .map((each) => each.address),
      );
    a.netlink((client) => client.addNeighbor(2, address, Uint8Array.of(2, 0, 0, 0, 0, 9)));
    expect(known()).toEqual([Uint8Array.of(2, 0, 0, 0, 0, 9)]);
    a.netlink((client) => client.delNeighbor(2, address));
    expect(a.netlink((client) => [client.nameOf(2), client.indexOf('vde0')])).toEqual(['vde0', 2]);
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
          socket: (...args) => a.stack.socket(...args),
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
    setDefaultStack(a);
    const one = use(await socket(AF.INET, SOCK.DGRAM));
    one.bind(inetAddress('10.0.0.1', 0));
    setDefaultStack(undefined);
    const native = use(await socket(AF.INET, SOCK.DGRAM));
    expect(() => native.bind(inetAddress('10.0.0.1', 0))).toThrow('EADDRNOTAVAIL');
  });
});
