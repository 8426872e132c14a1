/** Node's own interfaces on stacks: node:net, node:dgram, node:http, node:https and fetch. */
import { execFileSync } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { DRIVERS, twoStacks } from '../helpers/stacks.ts';

describe.each(DRIVERS)('%s', (driver) => {
  const two = twoStacks(driver);

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

  describe('node:net', () => {
    it('connects and serves', async () => {
      const server = two.use(
        two.b.net.createServer((each) =>
          each
            .on('error', () => {})
            .end('hello')
            .resume(),
        ),
      );
      server.listen(0, '10.0.0.2');
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      const client = two.a.net.connect(port, '10.0.0.2');
      expect(await text(client)).toBe('hello');
      const named = two.a.net.connect({ port, host: '10.0.0.2', localAddress: '10.0.0.1', localPort: 5555 });
      await once(named, 'connect');
      expect([named.localAddress, named.localPort]).toEqual(['10.0.0.1', 5555]);
      named.destroy();
    });

    it('listens on IPv6 and IPv4 at once', async () => {
      const server = two.use(two.b.net.createServer((each) => each.end(each.remoteAddress ?? '')).listen(0));
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      expect(await text(two.a.net.connect(port, 'fc00::2'))).toBe('fc00::1');
      expect(await text(two.a.net.connect(port, '10.0.0.2'))).toBe('::ffff:10.0.0.1');
    });

    it('reports errors as Node does', async () => {
      const refused = await errorOf(two.a.net.connect(1, '10.0.0.2'));
      expect(refused).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', address: '10.0.0.2' });
      const server = two.use(two.b.net.createServer());
      server.listen(0, '10.0.0.77');
      const error = await errorOf(server);
      expect(error).toMatchObject({ code: 'EADDRNOTAVAIL', syscall: 'bind', address: '10.0.0.77' });
      const lost = two.a.net.connect(1, 'no.such.name');
      const missing = await errorOf(lost);
      expect(missing).toMatchObject({ code: 'ECONNREFUSED', hostname: 'no.such.name' });
    });

    it('never leaves the stack for localhost', async () => {
      const outside = http
        .createServer((_request, response) => response.end('outside'))
        .listen(0, '127.0.0.1');
      await once(outside, 'listening');
      const { port } = outside.address() as { port: number };
      const client = two.a.net.connect(port);
      const error = await errorOf(client);
      expect(error).toMatchObject({ code: 'ECONNREFUSED' });
      outside.close();
    });
  });

  describe('node:dgram', () => {
    it('sends and receives', async () => {
      const server = two.use(two.b.dgram.createSocket('udp4'));
      server.bind(0, '10.0.0.2');
      await once(server, 'listening');
      const { port } = server.address();
      const client = two.use(two.a.dgram.createSocket('udp4'));
      client.send('hello', port, '10.0.0.2');
      const [data, from] = (await once(server, 'message')) as [Buffer, { address: string; port: number }];
      expect([data.toString(), from.address]).toEqual(['hello', '10.0.0.1']);
      server.send('back', from.port, from.address);
      expect(((await once(client, 'message')) as [Buffer])[0].toString()).toBe('back');
    });

    it('joins groups', async () => {
      const server = two.use(two.b.dgram.createSocket({ type: 'udp6', reuseAddr: true }));
      server.bind(5007, '::');
      await once(server, 'listening');
      server.addMembership('ff05::123');
      const client = two.use(two.a.dgram.createSocket('udp6'));
      client.send('all', 5007, 'ff05::123');
      expect(((await once(server, 'message')) as [Buffer])[0].toString()).toBe('all');
      const taken = two.use(two.b.dgram.createSocket('udp6'));
      taken.bind(5007, '::');
      const error = await errorOf(taken);
      expect(error).toMatchObject({ code: 'EADDRINUSE' });
    });
  });

  describe('HTTP', () => {
    it('goes out of the stack: node:http, an agent and fetch', async () => {
      const server = two.use(
        two.b.http.createServer((request, response) => {
          response.end(`${request.socket.remoteAddress} ${request.method} ${request.url}`);
        }),
      );
      server.listen(0, '10.0.0.2');
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      const url = `http://10.0.0.2:${port}/x`;
      const get = (...args: unknown[]): Promise<string> =>
        new Promise((resolve, reject) => {
          const request = (two.a.http.get as (...all: unknown[]) => http.ClientRequest)(
            ...args,
            (r: http.IncomingMessage) => text(r).then(resolve),
          );
          request.on('error', reject);
        });
      expect(await get(url)).toBe('10.0.0.1 GET /x');
      expect(await get({ host: '10.0.0.2', port, path: '/y' })).toBe('10.0.0.1 GET /y');
      expect(await (await two.a.fetch(url, { method: 'POST', body: 'z' })).text()).toBe('10.0.0.1 POST /x');
      expect(await (await fetch(url, { dispatcher: two.a.dispatcher } as RequestInit)).text()).toBe(
        '10.0.0.1 GET /x',
      );
      server.closeAllConnections();
    });

    it('may be encrypted: an https agent and fetch', async () => {
      const { key, cert } = certificate();
      const server = two.use(
        two.b.net.attach(https.createServer({ key, cert }, (_request, response) => response.end('secret'))),
      );
      server.listen(0, '10.0.0.2');
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      const agent = two.a.httpsAgent({ ca: cert });
      const body = await new Promise<string>((resolve, reject) => {
        https
          .get(
            { host: '10.0.0.2', port, agent, servername: 'web.test' },
            (response) => void text(response).then(resolve, reject),
          )
          .on('error', reject);
      });
      expect(body).toBe('secret');
      const dispatcher = two.a.newDispatcher({
        ca: cert,
        servername: 'web.test',
        checkServerIdentity: () => undefined,
      });
      const url = `https://10.0.0.2:${port}/`;
      expect(await (await fetch(url, { dispatcher } as unknown as RequestInit)).text()).toBe('secret');
      await expect(two.a.fetch(url)).rejects.toThrow('fetch failed');
      await dispatcher.destroy();
      agent.destroy();
      server.closeAllConnections();
    });

    it('fetches from an IPv6 literal', async () => {
      const server = two.use(
        two.b.http.createServer((_request, response) => response.end('six')).listen(0, 'fc00::2'),
      );
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      expect(await (await two.a.fetch(`http://[fc00::2]:${port}/`)).text()).toBe('six');
      server.closeAllConnections();
    });
  });
});
