/**
 * Networks that libvdeplug carries. These tests have a file of their own because they cannot run with the sanitized
 * build: libvdeplug opens its plug-ins with RTLD_DEEPBIND, which ends a process that has AddressSanitizer in it.
 */
import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Networks } from '../../runtime/ioth/network.ts';
import { BROADCAST, frame, station, testPort } from '../helpers/frames.ts';
import { newNetns, type Netns } from '../helpers/netns.ts';

let dir: string;
let networks: Networks;
let namespaces: Netns[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'umvu-plug-'));
  networks = new Networks({ cwd: dir });
  namespaces = [];
});
afterEach(async () => {
  networks.close();
  for (const netns of namespaces) await netns.close();
  rmSync(dir, { recursive: true, force: true });
});

async function output(child: ChildProcessWithoutNullStreams): Promise<string> {
  let text = '';
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  await once(child, 'close');
  return text;
}

it('udp:// carries frames between two networks', async () => {
  const [p, q] = [20_000 + (process.pid % 5000), 26_000 + (process.pid % 5000)];
  const other = new Networks();
  const a = await networks.join(`udp://${p}->127.0.0.1:${q}`);
  const b = await other.join(`udp://${q}->127.0.0.1:${p}`);
  const [x, y] = [testPort(a.network), testPort(b.network)];
  x.send(frame(BROADCAST, station(1), 'there'));
  expect(y.receive(1, 3000).map((f) => f.subarray(14).toString())).toEqual(['there']);
  y.send(frame(station(1), station(2), 'and back'));
  expect(x.receive(1, 3000).map((f) => f.subarray(14).toString())).toEqual(['and back']);
  other.close();
  x.close();
  y.close();
});

it('slirp:// reaches a server of this host', async () => {
  const server = createServer((socket) => socket.end('welcome')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const member = await networks.join('slirp://');
  const netns = await newNetns();
  namespaces.push(netns);
  const fd = await netns.device('tap', 'vde0', true);
  member.network.addPort({ kind: 'tap', fd, vnetHeader: true });
  await netns.run('sh', '-c', 'ip addr add 10.0.2.15/24 dev vde0; ip link set vde0 up');
  const script = `import socket; print(socket.create_connection(('10.0.2.2', ${port}), 10).recv(100).decode())`;
  expect((await netns.run('/usr/bin/python3', '-c', script)).trim()).toBe('welcome');
  server.close();
});

it('the end of a command ends its port', async () => {
  const member = await networks.join('cmd://sleep 1');
  expect(member.network.stats(1)).toBeDefined();
  await expect.poll(() => member.network.stats(1), { timeout: 5000 }).toBeUndefined();
});

it('threads and connections end with the network', async () => {
  const tasks = (): number => readdirSync('/proc/self/task').length;
  (await networks.join('udp://29999->127.0.0.1:29998')).leave(); // loads the library, starts libuv's threads
  await new Promise((resolve) => setTimeout(resolve, 200));
  const [fds, before] = [readdirSync('/proc/self/fd').length, tasks()];
  for (let i = 0; i < 5; i++) (await networks.join('udp://29999->127.0.0.1:29998')).leave();
  await expect.poll(() => readdirSync('/proc/self/fd').length).toBe(fds);
  await expect.poll(tasks).toBe(before);
});

it('without the library the reason says what to install', async () => {
  const script = `import('${join(import.meta.dirname, '../../runtime/ioth/network.ts')}')
    .then(({ Networks }) => new Networks().join('udp://1->127.0.0.1:2')).catch((e) => console.log(e.code, e.message));`;
  // An unreadable library is as good as none.
  const text = await new Promise<string>((resolve) => {
    execFile(
      'unshare',
      [
        '-rm',
        'sh',
        '-c',
        'for f in /usr/lib/*/libvdeplug.so.2; do mount --bind /dev/null "$f"; done; exec "$@"',
        'sh',
        process.execPath,
        '--import',
        'tsx',
        '-e',
        script,
      ],
      (_, stdout) => resolve(stdout),
    );
  });
  expect(text).toMatch(/^EPROTONOSUPPORT udp:\/\/ is not built in, and .*libvdeplug2/);
});

it('a scheme that no plug-in serves fails with a reason', async () => {
  await expect(networks.join('gopher://x')).rejects.toMatchObject({
    code: 'EPROTONOSUPPORT',
    message: expect.stringMatching(/gopher:\/\//) as string,
  });
});

it('a process with networks and plugs exits by itself', async () => {
  const script = `import('${join(import.meta.dirname, '../../runtime/ioth/network.ts')}').then(async ({ Networks }) => {
    const networks = new Networks();
    await networks.join('hub://${dir}/n');
    await networks.join('udp://29997->127.0.0.1:29996');
    console.log('joined');
  });`;
  const child = spawn(process.execPath, ['--import', 'tsx', '-e', script]);
  const text = output(child);
  const [code] = (await once(child, 'exit')) as [number];
  expect([code, await text]).toEqual([0, 'joined\n']);
  expect(existsSync(join(dir, 'n'))).toBe(false);
});
