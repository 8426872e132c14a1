/** Frames with offloads between real TCP stacks: passed through, or completed and cut in software. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { native, projectRoot, type NativeNetwork } from '../../runtime/native.ts';
import { check } from '../../runtime/errno.ts';
import { bulkClient, bulkServer, compareBulk, type Bulk } from '../helpers/bulk.ts';
import { BROADCAST, frame, station, testPort } from '../helpers/frames.ts';
import { newNetns, type Netns } from '../helpers/netns.ts';

const SIZE = (24 << 20) + 12_345;

interface Side {
  device: 'tap' | 'veth';
  vnetHeader: boolean;
}
const side = (device: 'tap' | 'veth', vnetHeader: boolean): Side => ({ device, vnetHeader });

it('cuts frames right, and takes any bytes (sanitized C++ check)', { timeout: 120_000 }, async () => {
  const run = promisify(execFile);
  const dir = mkdtempSync(join(tmpdir(), 'umvu-check-'));
  const source = join(projectRoot, 'native/src');
  const files = ['offload', 'frame_queue', 'vde_protocol'].map((name) => join(source, 'net', `${name}.cc`));
  const flags = ['-std=gnu++20', '-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  const program = join(dir, 'check');
  try {
    await run('c++', [
      ...flags,
      '-I',
      source,
      join(projectRoot, 'test/native/net_check.cc'),
      ...files,
      '-o',
      program,
    ]);
    const { stdout } = await run(program, ['2', String(Date.now() % 100_000)]);
    expect(stdout.trim().split('\n')).toHaveLength(4);
    expect(stdout).not.toContain('not ok');
  } finally {
    rmSync(dir, { recursive: true });
  }
});

describe('real stacks', () => {
  let network: NativeNetwork;
  let sides: Netns[];
  let ports: number[];

  beforeEach(async () => {
    network = new (native().Network)('hub', { hashSize: 256, expireSeconds: 120 }, () => undefined);
    sides = await Promise.all([newNetns(), newNetns()]);
    ports = [];
  });
  afterEach(async () => {
    network.close();
    await Promise.all(sides.map((netns) => netns.close()));
  });

  async function connect(...kinds: Side[]): Promise<void> {
    for (const [i, { device, vnetHeader }] of kinds.entries()) {
      const netns = sides[i]!;
      const fd = await netns.device(device, 'vde0', vnetHeader);
      const kind = device === 'tap' ? 'tap' : 'packet';
      ports.push(check(network.addPort({ kind, fd, vnetHeader })));
      await netns.run('ip', 'addr', 'add', `10.0.0.${i + 1}/24`, 'dev', 'vde0');
      await netns.run('ip', 'addr', 'add', `fc00::${i + 1}/64`, 'dev', 'vde0', 'nodad');
      await netns.run('ip', 'link', 'set', 'vde0', 'up');
    }
  }

  async function bulk(address: string): Promise<Bulk> {
    const server = sides[1]!.spawn(...bulkServer(SIZE));
    const ended = once(server, 'close');
    let output = '';
    server.stdout.on('data', (data: Buffer) => (output += data.toString()));
    await once(server.stdout, 'data');
    const client = await sides[0]!.run(...bulkClient(address, SIZE));
    await ended;
    return compareBulk(output, client);
  }

  const intact: Bulk = { received: SIZE, answered: SIZE, intact: true };

  describe.each([
    ['two taps', side('tap', true), side('tap', true)],
    ['two veths', side('veth', true), side('veth', true)],
    ['a tap and a veth', side('tap', true), side('veth', true)],
  ])('between %s', (_, one, two) => {
    it.each(['10.0.0.2', 'fc00::2'])('segments pass uncut to %s', async (address) => {
      await connect(one, two);
      expect(await bulk(address)).toEqual(intact);
      const { rxFrames, rxBytes } = network.stats(ports[0]!)!;
      expect(rxBytes).toBeGreaterThan(SIZE);
      expect(rxFrames).toBeLessThan(SIZE / 1500);
    });
  });

  describe.each([
    ['a tap and a plain tap', side('tap', true), side('tap', false)],
    ['a veth and a plain tap', side('veth', true), side('tap', false)],
  ])('between %s', (_, one, two) => {
    it.each(['10.0.0.2', 'fc00::2'])('segments are cut on the way to %s', async (address) => {
      await connect(one, two);
      expect(await bulk(address)).toEqual(intact);
    });
  });

  it('a listener without offload beside two taps hears small frames only', async () => {
    await connect(side('tap', true), side('tap', true));
    const listener = testPort(network);
    const transfer = bulk('10.0.0.2');
    const sizes: number[] = [];
    const timer = setInterval(() => sizes.push(...listener.receive(Infinity, 0).map((f) => f.length)), 5);
    expect(await transfer).toEqual(intact);
    clearInterval(timer);
    listener.close();
    expect(sizes.length).toBeGreaterThan(100);
    expect(Math.max(...sizes)).toBe(1514);
  });

  it('a deleted device removes its port', async () => {
    const gone: number[] = [];
    network.close();
    network = new (native().Network)('hub', { hashSize: 64, expireSeconds: 60 }, (port) => gone.push(port));
    await connect(side('tap', true), side('veth', true));
    await Promise.all(sides.map((netns) => netns.run('ip', 'link', 'del', 'vde0')));
    // A packet socket tells of it when it is used.
    const other = testPort(network);
    await expect
      .poll(() => (other.send(frame(BROADCAST, station(1), 'anybody?')), [...gone].sort()), { timeout: 5000 })
      .toEqual(ports);
    other.close();
  });
});
