/** The VDE protocol with Debian's programs on the other side, in both roles, and with hostile peers. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Networks, type Membership } from '../../runtime/ioth/network.ts';
import { bulkClient, bulkServer, compareBulk } from '../helpers/bulk.ts';
import { BROADCAST, frame, station, testPort } from '../helpers/frames.ts';
import { newNetns, type Netns } from '../helpers/netns.ts';

const SIZE = (4 << 20) + 777;

let dir: string;
let networks: Networks;
let children: ChildProcessWithoutNullStreams[];
let namespaces: Netns[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'umvu-vde-'));
  networks = new Networks({ cwd: dir });
  children = [];
  namespaces = [];
});
afterEach(async () => {
  networks.close();
  for (const child of children) {
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL'))
      await once(child, 'exit');
  }
  for (const netns of namespaces) await netns.close();
  rmSync(dir, { recursive: true, force: true });
});

function start(command: string, ...args: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(command, args);
  children.push(child);
  return child;
}

const appears = (path: string): Promise<void> =>
  expect.poll(() => existsSync(path), { timeout: 10_000, interval: 20 }).toBe(true);

/** A namespace on `member`'s network with address .1, by a tap with offloads. */
async function host(member: Membership): Promise<Netns> {
  const netns = await newNetns();
  namespaces.push(netns);
  const fd = await netns.device('tap', 'vde0', true);
  expect(member.network.addPort({ kind: 'tap', fd, vnetHeader: true })).toBeGreaterThan(0);
  await netns.run('sh', '-c', CONFIGURE(1));
  return netns;
}

const CONFIGURE = (n: number): string =>
  `ip addr add 10.0.0.${n}/24 dev vde0; ip addr add fc00::${n}/64 dev vde0 nodad; ip link set vde0 up; ip link set lo up`;

/** Runs a command in a vdens namespace with address .2 on network `vnl`. */
function vdens(vnl: string, ...command: string[]): ChildProcessWithoutNullStreams {
  return start('vdens', vnl, 'sh', '-c', `${CONFIGURE(2)}; exec "$@"`, 'sh', ...command);
}

async function output(child: ChildProcessWithoutNullStreams): Promise<string> {
  let text = '';
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  await once(child, 'close');
  return text;
}

async function bulkWithVdens(netns: Netns, vnl: string, address: string): Promise<void> {
  const server = vdens(vnl, ...bulkServer(SIZE));
  const text = output(server);
  await once(server.stdout, 'data');
  const client = await netns.run(...bulkClient(address, SIZE));
  expect(compareBulk(await text, client)).toEqual({ received: SIZE, answered: SIZE, intact: true });
}

/** vde_plug with one locator speaks frames with a 2-byte length on its standard streams (IOTH-FACTS §11.6). */
function framed(bytes: Buffer): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(bytes.length);
  return Buffer.concat([head, bytes]);
}
const next = async (child: ChildProcessWithoutNullStreams): Promise<string> => {
  const [data] = (await once(child.stdout, 'data')) as [Buffer];
  return data.subarray(16).toString();
};

describe.each(['hub', 'switch'])('a %s of ours', (scheme) => {
  it.each(['10.0.0.2', 'fc00::2'])('carries TCP to and from vdens at %s', async (address) => {
    const member = await networks.join(`${scheme}://${dir}/n`);
    await bulkWithVdens(await host(member), `vde://${dir}/n`, address);
    await expect.poll(() => readdirSync(join(dir, 'n'))).toEqual(['ctl']);
  });

  it('exchanges frames with vde_plug', async () => {
    const member = await networks.join(`${scheme}://${dir}/n`);
    const port = testPort(member.network);
    const plug = start('vde_plug', `vde://${dir}/n`);
    await appears(join(dir, 'n/fd1'));
    plug.stdin.write(framed(frame(BROADCAST, station(2), 'from the plug')));
    expect(port.receive(1, 5000).map((f) => f.subarray(14).toString())).toEqual(['from the plug']);
    const heard = next(plug);
    port.send(frame(station(2), station(1), 'to the plug'));
    expect(await heard).toBe('to the plug');
    plug.kill('SIGKILL');
    await expect.poll(() => readdirSync(join(dir, 'n'))).toEqual(['ctl']);
    member.leave();
    expect(existsSync(join(dir, 'n'))).toBe(false);
    port.close();
  });
});

describe('a client of ours', () => {
  it.each([
    ['vde_switch', 'vde_switch', ['-s', 'n']],
    ['vde_switch as a hub', 'vde_switch', ['-x', '-s', 'n']],
    ['a hub of vde_plug', 'vde_plug', ['null://', 'hub://n']],
    ['a switch of vde_plug', 'vde_plug', ['null://', 'switch://n']],
  ])('joins %s', async (_, command, args) => {
    start(command, ...args.map((arg) => arg.replace(/\bn$/, `${dir}/n`)));
    await appears(join(dir, 'n/ctl'));
    const member = await networks.join('vde://n');
    await bulkWithVdens(await host(member), `vde://${dir}/n`, '10.0.0.2');
    await bulkWithVdens(namespaces[0]!, `vde://${dir}/n`, 'fc00::2');
  });

  it('takes the port it asks for, under its name', async () => {
    start('vde_switch', '-s', `${dir}/n`, '-M', `${dir}/mgmt`);
    await appears(join(dir, 'mgmt'));
    await networks.join(`vde://${dir}/n[port=5]`);
    const console = createConnection(join(dir, 'mgmt'));
    let text = '';
    console.on('data', (data) => (text += data.toString()));
    console.write('port/print\n');
    await expect.poll(() => text).toMatch(/Port 0005[^]*umvu user=\S+ pid=\d+/);
    console.destroy();
    // The name of our socket is gone, its frames are not.
    expect(readdirSync(join(dir, 'n')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('does not wait long for a server that does not answer', async () => {
    const server = createServer();

    mkdirSync(join(dir, 'n'));
    server.listen(join(dir, 'n/ctl'));
    await expect(networks.join('vde://n')).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect(readdirSync(join(dir, 'n'))).toEqual(['ctl']);
    server.close();
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'ECONNREFUSED'],
    ['half an answer', Buffer.alloc(50, 1), 'EPROTO'],
    ['another family', Buffer.alloc(110, 2), 'EPROTO'],
    ['a path without end', Buffer.concat([Buffer.from([1, 0]), Buffer.alloc(108, 'x')]), 'EPROTO'],
    [
      'a socket that is not there',
      Buffer.concat([Buffer.from([1, 0]), Buffer.from('/no/x'), Buffer.alloc(103)]),
      'ENOENT',
    ],
  ])('takes %s for an error', async (_, answer, code) => {
    mkdirSync(join(dir, 'n'));
    const server = createServer((socket) => void socket.once('data', () => socket.end(answer)));
    server.listen(join(dir, 'n/ctl'));
    await expect(networks.join('vde://n')).rejects.toMatchObject({ code });
    expect(readdirSync(join(dir, 'n'))).toEqual(['ctl']);
    server.close();
  });
});

describe('hostile clients', () => {
  const connect = async (): Promise<Socket> => {
    for (;;) {
      const socket = createConnection(join(dir, 'n/ctl'));
      const connected = await new Promise<boolean>((resolve) => {
        socket.on('connect', () => resolve(true)).on('error', () => resolve(false)); // EAGAIN: the backlog is full
      });
      if (connected) return socket;
    }
  };
  const request = (path: Buffer, { magic = 0xfeedface, version = 3, type = 0, family = 1 } = {}): Buffer => {
    const head = Buffer.alloc(14);
    [magic, version, type].forEach((word, i) => head.writeUInt32LE(word, i * 4));
    head.writeUInt16LE(family, 12);
    return Buffer.concat([head, path, Buffer.alloc(Math.max(0, 108 - path.length)), Buffer.from('hostile')]);
  };

  it.each([
    ['one byte', Buffer.from('x')],
    ['zeroes', Buffer.alloc(256)],
    ['too much', Buffer.alloc(100_000, 0xce)],
    ['another magic', request(Buffer.from('/tmp/x'), { magic: 1 })],
    ['another version', request(Buffer.from('/tmp/x'), { version: 77 })],
    ['another type', request(Buffer.from('/tmp/x'), { type: 9 })],
    ['another family', request(Buffer.from('/tmp/x'), { family: 2 })],
    ['no path', request(Buffer.alloc(0))],
    ['a path without end', request(Buffer.alloc(108, '/'))],
    ['a relative path', request(Buffer.from('x'))],
    ['an abstract name', request(Buffer.from('\0x'))],
    ['a socket that is not there', request(Buffer.from('/no/such/socket'))],
    ['a file', request(Buffer.from('/etc/passwd'))],
    ['a stream socket', request(Buffer.from('CTL'))],
    ['a short request', request(Buffer.from('/tmp/x')).subarray(0, 100)],
  ])('%s is hung up on', async (_, bytes) => {
    const member = await networks.join(`hub://${dir}/n`);
    const socket = await connect();
    const at = bytes.indexOf('CTL');
    if (at > 0) Buffer.from(join(dir, 'n/ctl')).copy(bytes, at);
    socket.write(bytes);
    await new Promise((resolve) => socket.on('close', resolve));
    expect(readdirSync(join(dir, 'n'))).toEqual(['ctl']);
    member.leave();
    expect(existsSync(join(dir, 'n'))).toBe(false);
  });

  it('silent connections are bounded and keep nobody out', async () => {
    await networks.join(`hub://${dir}/n`);
    const before = readdirSync('/proc/self/fd').length;
    const sockets: Socket[] = [];
    for (let i = 0; i < 400; i++) sockets.push(await connect());
    // Ours are 400; of those of the server, the oldest made room.
    await expect.poll(() => readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before + 400 + 256);
    const other = new Networks();
    expect((await other.join(`vde://${dir}/n`)).network).toBeDefined();
    other.close();
    for (const socket of sockets) socket.destroy();
    await expect.poll(() => readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
  });

  it('version 1 of the protocol is understood', async () => {
    const member = await networks.join(`hub://${dir}/n`);
    const port = testPort(member.network);
    const peer = start(
      '/usr/bin/python3',
      '-c',
      `
import os, socket, struct, sys
data = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
data.bind('${dir}/peer')
ctl = socket.socket(socket.AF_UNIX)
ctl.connect('${dir}/n/ctl')
ctl.send(struct.pack('=II6sH108s', 0xfeedface, 0, b'', 1, b'${dir}/peer') + b'old')
reply = ctl.recv(200)
assert len(reply) == 110
data.connect(reply[2:].rstrip(b'\\0'))
print('joined', flush=True)
data.send(data.recv(2000)[:14] + b'echo')
sys.stdin.read()
`,
    );
    await once(peer.stdout, 'data');
    port.send(frame(BROADCAST, station(1), 'hello'));
    expect(port.receive(1, 3000).map((f) => f.subarray(14).toString())).toEqual(['echo']);
    port.close();
  });
});
