/**
 * What the benchmark of the IoTh library runs, once in a plain network namespace with Node's own modules, once on stacks:
 * `ioth-worker WHAT plain|vdestack|lwip`. Prints one number.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import http from 'node:http';
import { join } from 'node:path';
import { type IothStack, newStackc } from '../../runtime/ioth/index.ts';

const LOOKUPS = 10_000;
const REQUESTS = 5000;
const BYTES = 1 << 30;
const PLAIN = '127.0.0.1';
/** Of the name server on a network; 127.0.0.1 where it is in the same namespace. */
const SERVER = process.argv[3] === 'lwip' ? '10.0.0.53' : PLAIN;

/** The name server, in the namespace that these words lead to. */
async function nameServer(...enter: string[]): Promise<ChildProcess> {
  const options = [
    '--no-resolv',
    '--no-hosts',
    '--conf-file=/dev/null',
    '--pid-file=',
    '--user=root',
    '--no-daemon',
  ];
  const names = [
    `--listen-address=${SERVER},127.0.0.1`,
    '--bind-interfaces',
    '--host-record=www.test,192.0.2.1',
  ];
  const [command = 'dnsmasq', ...args] = [...enter, 'dnsmasq', ...options, ...names];
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  await once(child.stderr, 'data');
  return child;
}

/** Milliseconds for sequential lookups. */
async function dns(stack: IothStack | undefined): Promise<number> {
  // A stack in user space has no namespace for the server: that gets a stack of its own on the same hub.
  const place = where === 'lwip' ? await newStackc('stack=vdestack,vnl=hub://,eth,ip=10.0.0.53/24') : stack;
  place?.netlink((client) => client.setUp(1, true));
  const namespace = place && join(place.stack.view.procNet!, '../ns/net');
  const server = await nameServer(...(namespace ? ['nsenter', `--net=${namespace}`] : []));
  const resolver = stack ? stack.dns : new Resolver();
  resolver.setServers([SERVER]);
  const rounds = [];
  for (let round = 0; round < 3; round++) {
    const start = performance.now();
    for (let i = 0; i < LOOKUPS; i++) await resolver.resolve4('www.test');
    rounds.push(performance.now() - start);
  }
  server.kill();
  return Math.min(...rounds);
}

/** Requests per second of a server and a client in this process, on their own connections. */
async function requests(stack: IothStack | undefined): Promise<number> {
  const create = stack ? stack.http.createServer : http.createServer;
  const server = create((_request, response) => response.end('hello')).listen(8080, PLAIN);
  await once(server, 'listening');
  const agent = stack
    ? stack.httpAgent({ keepAlive: true, maxSockets: 8 })
    : new http.Agent({ keepAlive: true, maxSockets: 8 });
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      http
        .get({ host: PLAIN, port: 8080, agent }, (response) => response.resume().on('end', resolve))
        .on('error', reject);
    });
  const rates = [];
  for (let round = 0; round < 4; round++) {
    const start = performance.now();
    let left = REQUESTS;
    const worker = async (): Promise<void> => {
      while (left-- > 0) await one();
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    rates.push(REQUESTS / ((performance.now() - start) / 1000));
  }
  agent.destroy();
  server.close();
  return Math.max(...rates);
}

/** Gbit/s of the body of an answer, from an http server to its client. */
async function throughput(stack: IothStack | undefined): Promise<number> {
  const chunk = Buffer.alloc(1 << 16);
  const server = (stack?.http ?? http)
    .createServer((_request, response) => {
      let left = BYTES;
      const write = (): void => {
        while (left > 0) {
          left -= chunk.length;
          if (!response.write(chunk)) return;
        }
        response.end();
      };
      response.on('drain', write);
      response.setHeader('content-length', BYTES);
      write();
    })
    .listen(8081, PLAIN);
  await once(server, 'listening');
  const agent = stack?.httpAgent() ?? new http.Agent();
  const rates = [];
  for (let round = 0; round < 3; round++) {
    const start = performance.now();
    const request = http.get({ host: PLAIN, port: 8081, agent });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    response.resume();
    await once(response, 'end');
    rates.push((BYTES * 8) / 1e9 / ((performance.now() - start) / 1000));
  }
  server.close();
  return Math.max(...rates);
}

/** Milliseconds from a string to a configured stack, and its end. */
async function configured(stack: IothStack | undefined): Promise<number> {
  const driver = stack!.stack.driver;
  const times = [];
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    const each = await newStackc(`stack=${driver},vnl=hub://,eth,ip=10.0.0.1/24,gw=10.0.0.254,dns=10.0.0.53`);
    times.push(performance.now() - start);
    await each.close();
  }
  return times.toSorted((a, b) => a - b)[times.length >> 1]!;
}

const [what = '', where] = process.argv.slice(2);
const stack = where === 'plain' ? undefined : await newStackc(`stack=${where},vnl=hub://,eth,ip=10.0.0.1/24`);
stack?.netlink((client) => client.setUp(1, true));
const BENCHMARKS: Record<string, (stack: IothStack | undefined) => Promise<number>> = {
  dns, requests, throughput, configured,
}; // prettier-ignore
const result = await BENCHMARKS[what]!(stack);
console.log(result);
process.exit(0);
