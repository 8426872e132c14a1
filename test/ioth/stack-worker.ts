/**
 * A program of its own that uses stacks, for tests that need another user or that kill it:
 *
 *     node stack-worker.js traffic CARRIER   two stacks on a hub; ping, TCP on port 80, both families
 *     node stack-worker.js many COUNT        opens COUNT stacks on one hub
 *     node stack-worker.js churn             opens and closes stacks; descriptors before and after
 *     node stack-worker.js library           what programs do on two stacks in user space
 *     node stack-worker.js hold VNL          opens two stacks, prints the broker's pid, waits to be killed
 *
 * The result is one line of JSON.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { check } from '../../runtime/errno.ts';
import { createIothHost, type IothHost } from '../../runtime/ioth/host.ts';
import { newStackFromConfig } from '../../runtime/ioth/newstack.ts';
import { inetAddress, makeReply, newStackc, parseIp, serveUdp } from '../../runtime/ioth/index.ts';
import { AF, SOCK, type Stack } from '../../runtime/ioth/stack.ts';
import { native } from '../../runtime/native.ts';

const SYS = {
  CLOSE: 3,
  POLL: 7,
  CONNECT: 42,
  ACCEPT: 43,
  SENDTO: 44,
  RECVFROM: 45,
  SHUTDOWN: 48,
  BIND: 49,
  LISTEN: 50,
};
const MSG_DONTWAIT = 0x40;
const EAGAIN = -11;
const BULK = 10 << 20;

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(text: string, port: number): Uint8Array {
  const { family, bytes } = parseIp(text)!;
  const address = Buffer.alloc(family === AF.INET ? 16 : 28);
  address.writeUInt16LE(family, 0);
  address.writeUInt16BE(port, 2);
  address.set(bytes, family === AF.INET ? 4 : 8);
  return address;
}

function readable(fd: number, ms: number): boolean {
  const pollfd = Buffer.alloc(8);
  pollfd.writeInt32LE(fd, 0);
  pollfd.writeInt16LE(1, 4);
  return check(native().syscall(SYS.POLL, pollfd, 1, ms)) > 0;
}

/** Sends an echo request; the type of the answer. */
function ping(stack: Stack, address: string): number {
  const to = socketAddress(address, 0);
  const six = to.length === 28;
  const fd = stack.socket(six ? AF.INET6 : AF.INET, SOCK.DGRAM, six ? 58 : 1);
  const packet = new Uint8Array(64);
  packet[0] = six ? 128 : 8;
  check(native().syscall(SYS.SENDTO, fd, packet, packet.length, 0, to, to.length));
  if (!readable(fd, 3000)) throw new Error(`no echo of ${address}`);
  check(native().syscall(SYS.RECVFROM, fd, packet, packet.length, 0, null, null));
  native().syscall(SYS.CLOSE, fd);
  return packet[0] ?? -1;
}

/** A TCP connection from `client` to port 80 of `server`. */
function connection(server: Stack, client: Stack, address: string): [number, number] {
  const to = socketAddress(address, 80);
  const family = to.length === 28 ? AF.INET6 : AF.INET;
  const listener = server.socket(family, SOCK.STREAM, 0);
  check(native().syscall(SYS.BIND, listener, to, to.length));
  check(native().syscall(SYS.LISTEN, listener, 1));
  const from = client.socket(family, SOCK.STREAM, 6);
  check(native().syscall(SYS.CONNECT, from, to, to.length));
  const into = check(native().syscall(SYS.ACCEPT, listener, null, null));
  native().syscall(SYS.CLOSE, listener);
  return [from, into];
}

/** Sends 10 MiB through a connection; whether they came as they went. */
function bulk([from, into]: [number, number]): boolean {
  const sent = createHash('sha256');
  const got = createHash('sha256');
  const data = new Uint8Array(1 << 16);
  const buffer = new Uint8Array(1 << 18);
  for (let out = 0, received = 0; received < BULK;) {
    data.fill(out >> 10);
    const size = Math.min(data.length, BULK - out);
    const n = size > 0 ? native().syscall(SYS.SENDTO, from, data, size, MSG_DONTWAIT, null, 0) : EAGAIN;
    if (n > 0) sent.update(data.subarray(0, n));
    if (n > 0) out += n;
    if (n < 0 && n !== EAGAIN) check(n);
    if (n === EAGAIN && !readable(into, 3000)) throw new Error(`stuck after ${received} bytes`);
    const m = native().syscall(SYS.RECVFROM, into, buffer, buffer.length, MSG_DONTWAIT, null, null);
    if (m < 0 && m !== EAGAIN) check(m);
    if (m > 0) got.update(buffer.subarray(0, m));
    if (m > 0) received += m;
  }
  native().syscall(SYS.CLOSE, from);
  native().syscall(SYS.CLOSE, into);
  return sent.digest('hex') === got.digest('hex');
}

const open = (host: IothHost, rest: string, carrier = 'any'): Promise<Stack> =>
  newStackFromConfig(`stack='vdestack,carrier=${carrier}',eth,${rest}`, host);

async function traffic(host: IothHost, carrier: string): Promise<unknown> {
  const a = await open(host, 'vnl=hub://,ip=10.0.0.1/24,ip=fc00::1', carrier);
  const b = await open(host, 'vnl=hub://,ip=10.0.0.2/24,ip=fc00::2', carrier);
  const pings = [ping(b, '10.0.0.1'), ping(a, 'fc00::2'), ping(a, '127.0.0.1')];
  const intact = ['10.0.0.1', 'fc00::1'].map((address) => bulk(connection(a, b, address)));
  return { pings, intact, inUse: [a.inUse(), b.inUse()] };
}

async function many(host: IothHost, count: number): Promise<unknown> {
  const memory = process.memoryUsage().rss;
  const start = performance.now();
  for (let i = 0; i < count; i++) await open(host, `vnl=hub://,ip=10.0.${i}.1/16`);
  const opened = performance.now();
  const last = await open(host, 'vnl=hub://,ip=10.0.255.1/16');
  const echo = ping(last, '10.0.0.1');
  const kib = (process.memoryUsage().rss - memory) / count / 1024;
  const closing = performance.now();
  await host.close();
  return { ms: opened - start, closeMs: performance.now() - closing, kib, echo };
}

async function churn(host: IothHost): Promise<unknown> {
  const counts: number[] = [];
  for (let round = 0; round < 4; round++) {
    const stacks = await Promise.all([1, 2, 3].map((i) => open(host, `vnl=hub://,ip=10.0.0.${i}`)));
    ping(stacks[0]!, '10.0.0.2');
    void stacks[1]!.view.sysfs;
    await Promise.all(stacks.map((stack) => stack.close()));
    counts.push(readdirSync('/proc/self/fd').length);
  }
  return { counts };
}

async function library(host: IothHost): Promise<unknown> {
  const [a, b] = await Promise.all(
    [1, 2].map((n) => newStackc(`stack=lwip,vnl=hub://,eth,ip=10.0.0.${n}/24,dns=10.0.0.2`, host)),
  );
  const site = b!.http.createServer((request, response) => response.end(request.socket.remoteAddress));
  await once(site.listen(80, '10.0.0.2'), 'listening');
  const named = b!.msocket(AF.INET, SOCK.DGRAM);
  named.bind(inetAddress('10.0.0.2', 53));
  void serveUdp(named, (query) => {
    const reply = makeReply(query);
    reply.answers.push({ name: query.questions[0]!.name, type: 'A', ttl: 1, address: '10.0.0.2' });
    return reply;
  });
  const text = await (await a!.fetch('http://www.test/')).text();
  const echo = b!.dgram.createSocket('udp4', (message, { port, address }) =>
    echo.send(message, port, address),
  );
  await once(echo.bind(7), 'listening');
  const asking = a!.dgram.createSocket('udp4');
  asking.send('echo', 7, '10.0.0.2');
  const [said] = (await once(asking, 'message')) as [Buffer];
  await Promise.all([a!.close(), b!.close()]);
  return { text, said: said.toString() };
}

async function hold(host: IothHost, vnl: string): Promise<unknown> {
  await open(host, `vnl=${vnl},ip=10.0.0.1`);
  await open(host, `vnl=${vnl},ip=10.0.0.2`);
  setInterval(() => undefined, 1000);
  return { broker: (await host.broker()).pid };
}

async function main([command, argument = '']: string[]): Promise<void> {
  const host = createIothHost();
  const commands: Record<string, () => Promise<unknown>> = {
    traffic: () => traffic(host, argument),
    many: () => many(host, Number(argument)),
    churn: () => churn(host),
    library: () => library(host),
    hold: () => hold(host, argument),
  };
  const result = await commands[command ?? '']!();
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (command !== 'hold') await host.close();
}

await main(process.argv.slice(2));
