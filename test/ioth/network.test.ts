import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Networks } from '../../runtime/ioth/network.ts';
import { native, type NativeNetwork } from '../../runtime/native.ts';
import { BROADCAST, frame, station, testPort, type TestPort } from '../helpers/frames.ts';

const texts = (frames: Buffer[]): string[] => frames.map((f) => f.subarray(14).toString());

describe('segment', () => {
  let network: NativeNetwork;
  let gone: number[];
  let ports: TestPort[];
  const build = (
    kind: 'hub' | 'switch',
    count: number,
    options = { hashSize: 64, expireSeconds: 120 },
  ): void => {
    gone = [];
    network = new (native().Network)(kind, options, (port) => gone.push(port));
    ports = Array.from({ length: count }, () => testPort(network));
  };
  afterEach(() => {
    network.close();
    for (const port of ports) port.close();
  });

  it('a hub repeats to all but the sender', () => {
    build('hub', 3);
    ports[0]!.send(frame(station(2), station(1), 'one'));
    expect(texts(ports[1]!.receive(1))).toEqual(['one']);
    expect(texts(ports[2]!.receive(1))).toEqual(['one']);
    expect(ports[0]!.receive(1, 20)).toEqual([]);
    expect(network.stats(ports[0]!.number)).toMatchObject({
      rxFrames: 1,
      rxBytes: 17,
      txFrames: 0,
      dropped: 0,
    });
    expect(network.stats(ports[1]!.number)).toMatchObject({ rxFrames: 0, txFrames: 1, txBytes: 17 });
    expect(network.stats(999)).toBeUndefined();
  });

  it('a switch floods what it does not know and learns', () => {
    build('switch', 3);
    ports[0]!.send(frame(station(2), station(1), 'unknown'));
    expect(texts(ports[1]!.receive(1))).toEqual(['unknown']);
    expect(texts(ports[2]!.receive(1))).toEqual(['unknown']);
    ports[1]!.send(frame(station(1), station(2), 'answer'));
    expect(texts(ports[0]!.receive(1))).toEqual(['answer']);
    ports[0]!.send(frame(station(2), station(1), 'known'));
    expect(texts(ports[1]!.receive(1))).toEqual(['known']);
    ports[0]!.send(frame(BROADCAST, station(1), 'all'));
    expect(texts(ports[1]!.receive(1))).toEqual(['all']);
    expect(texts(ports[2]!.receive(2, 30))).toEqual(['all']);
  });

  it('a switch keeps the addresses of each VLAN apart', () => {
    build('switch', 3);
    ports[1]!.send(frame(BROADCAST, station(2), 'here', 5));
    ports[0]!.receive(1);
    ports[2]!.receive(1);
    ports[0]!.send(frame(station(2), station(1), 'vlan5', 5));
    ports[0]!.send(frame(station(2), station(1), 'vlan6', 6));
    ports[0]!.send(frame(station(2), station(1), 'plain'));
    expect(ports[1]!.receive(3)).toHaveLength(3);
    expect(ports[2]!.receive(3, 30)).toHaveLength(2);
  });

  it('a station moves, and does not hear its own frames', () => {
    build('switch', 3);
    ports[1]!.send(frame(BROADCAST, station(2), 'here'));
    ports[2]!.receive(1);
    ports[2]!.send(frame(BROADCAST, station(2), 'moved'));
    ports[0]!.receive(2);
    ports[1]!.receive(1);
    ports[0]!.send(frame(station(2), station(1), 'where'));
    expect(texts(ports[2]!.receive(1))).toEqual(['where']);
    expect(ports[1]!.receive(1, 20)).toEqual([]);
    ports[2]!.send(frame(station(2), station(9), 'same port'));
    expect(ports[1]!.receive(1, 20)).toEqual([]);
  });

  it('addresses expire', async () => {
    build('switch', 3, { hashSize: 64, expireSeconds: 1 });
    ports[1]!.send(frame(BROADCAST, station(2), 'here'));
    ports[2]!.receive(1);
    await new Promise((resolve) => setTimeout(resolve, 2100));
    ports[0]!.send(frame(station(2), station(1), 'flooded'));
    expect(texts(ports[2]!.receive(1))).toEqual(['flooded']);
  });

  it('a flood of invented senders costs nothing but flooding', () => {
    build('switch', 3);
    for (let i = 0; i < 5000; i++) {
      const from = `02${i.toString(16).padStart(10, '0')}`;
      while (!ports[0]!.send(frame(station(2), from, 'x'))) ports[1]!.receive(Infinity, 1);
      if (i % 50 === 0) for (const port of ports) port.receive(Infinity, 0);
    }
    for (const port of ports) port.receive(Infinity, 5);
    ports[0]!.send(frame(station(2), station(1), 'alive'));
    expect(texts(ports[1]!.receive(1))).toEqual(['alive']);
  });

  it('drops runts and giants', () => {
    build('hub', 2);
    ports[0]!.send(Buffer.alloc(13));
    ports[0]!.send(Buffer.alloc(0));
    ports[0]!.send(Buffer.alloc(9235));
    ports[0]!.send(Buffer.alloc(60_000));
    ports[0]!.send(Buffer.alloc(9234, 'a'));
    ports[0]!.send(Buffer.alloc(14, 'b'));
    expect(ports[1]!.receive(2).map((f) => f.length)).toEqual([9234, 14]);
    expect(network.stats(ports[0]!.number)!.dropped).toBe(4);
  });

  it('a peer that does not read loses frames and holds nobody up', () => {
    build('hub', 3);
    let heard = 0;
    for (let i = 0; i < 4000; i++) {
      expect(ports[0]!.send(frame(BROADCAST, station(1), `${i} ${'x'.repeat(1000)}`))).toBe(true);
      heard += ports[2]!.receive(1).length;
    }
    expect(heard).toBe(4000);
    expect(network.stats(ports[1]!.number)!.dropped).toBeGreaterThan(0);
    // What it gets when it reads again is whole, in order, and the port works again.
    const late = ports[1]!.receive(Infinity, 50).map((f) => parseInt(f.subarray(14).toString()));
    expect(late).toEqual(late.map((_, i) => i));
    ports[0]!.send(frame(BROADCAST, station(1), 'again'));
    expect(texts(ports[1]!.receive(1))).toEqual(['again']);
  });

  it('removes ports, refuses bad descriptors, survives being closed', () => {
    build('switch', 3);
    ports[1]!.send(frame(BROADCAST, station(2), 'here'));
    ports[0]!.receive(1);
    ports[2]!.receive(1);
    network.removePort(ports[1]!.number);
    network.removePort(12345);
    ports[0]!.send(frame(station(2), station(1), 'flooded'));
    expect(texts(ports[2]!.receive(1))).toEqual(['flooded']);
    expect(network.addPort({ kind: 'datagram', fd: 999_999, vnetHeader: false })).toBe(-9);
    network.close();
    expect(network.addPort({ kind: 'datagram', fd: 999_999, vnetHeader: false })).toBe(-9);
    expect(network.stats(ports[0]!.number)).toBeUndefined();
    network.close();
    expect(gone).toEqual([]);
  });

  it('tells when the control stream of a port ends', async () => {
    build('hub', 1);
    const data = native().socketPair(2) as [number, number];
    const control = native().socketPair(1) as [number, number];
    const port = network.addPort({ kind: 'datagram', fd: data[1], vnetHeader: false, controlFd: control[1] });
    native().syscall(3, control[0]);
    await expect.poll(() => gone).toEqual([port]);
    expect(network.stats(port)).toBeUndefined();
    native().syscall(3, data[0]);
  });

  it('leaves no descriptor and no thread behind', () => {
    build('hub', 0);
    network.close();
    const count = (): number => readdirSync('/proc/self/fd').length + readdirSync('/proc/self/task').length;
    const before = count();
    for (let i = 0; i < 20; i++) {
      build('hub', 5);
      network.close();
      for (const port of ports) port.close();
    }
    expect(count()).toBe(before);
    ports = [];
  });
});

describe('Networks', () => {
  let dir: string;
  let networks: Networks;
  let told: string[];
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'umvu-net-'));
    told = [];
    networks = new Networks({
      cwd: dir,
      onPath: (path, created) => told.push(`${created ? '+' : '-'}${path}`),
    });
  });
  afterEach(() => {
    networks.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it('null:// is a network for each', async () => {
    const [a, b, c] = [
      await networks.join('null://'),
      await networks.join('null://'),
      await networks.join('null://'),
    ];
    expect(new Set([a.network, b.network, c.network]).size).toBe(3);
  });

  it('hub:// and switch:// are shared by the users of this VM, and of this VM only', async () => {
    const other = new Networks();
    const [a, b, c, d] = [
      await networks.join('hub://'),
      await networks.join('hub://'),
      await networks.join('switch://'),
      await other.join('hub://'),
    ];
    expect(b.network).toBe(a.network);
    expect(c.network).not.toBe(a.network);
    expect(d.network).not.toBe(a.network);
    expect(told).toEqual([]);
    other.close();
  });

  it('serves a directory until the last one leaves', async () => {
    const path = join(dir, 'h');
    const a = await networks.join(`hub://${path}[mode=0660]`);
    expect((statSync(path).mode & 0o7777).toString(8)).toBe('2770');
    expect((statSync(join(path, 'ctl')).mode & 0o777).toString(8)).toBe('660');
    const [b, c] = [await networks.join('hub://h'), await networks.join(`vde://${path}`)];
    expect(b.network).toBe(a.network);
    expect(c.network).toBe(a.network);
    a.leave();
    a.leave();
    b.leave();
    expect(existsSync(path)).toBe(true);
    c.leave();
    expect(existsSync(path)).toBe(false);
    expect(told).toEqual([`+${path}`, `-${path}`]);
    (await networks.join(`hub://${path}`)).leave();
  });

  it('joins at the same time share one network', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => networks.join('hub://h')));
    expect(new Set(all.map((m) => m.network)).size).toBe(1);
  });

  const failures: [string, string, RegExp][] = [
    ['hub:///no/such/dir', 'ENOENT', /\/no\/such\/dir/],
    [`hub:///${'x'.repeat(110)}`, 'ENAMETOOLONG', /xxx/],
    ['hub://h[grp=no-such-group]', 'EINVAL', /no-such-group/],
    ['vde:///no/such/dir', 'ENOENT', /no such directory/],
    ['vde:///etc/passwd', 'ENOTDIR', /not the directory of a VDE switch/],
    ['vde:///tmp', 'ECONNREFUSED', /no switch is running/],
    ['hub://h[colour=red]', 'EINVAL', /colour/],
  ];
  it.each(failures)('%s fails with a reason', async (text, code, why) => {
    const before = readdirSync('/proc/self/fd').length;
    await expect(networks.join(text)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(why) as string,
    });
    expect(readdirSync('/proc/self/fd').length).toBe(before);
    expect(told).toEqual([]);
  });

  it('a directory of another program is EEXIST and suggests to join', async () => {
    const other = new Networks();
    await other.join(`hub://${dir}/h`);
    await expect(networks.join('hub://h')).rejects.toMatchObject({
      code: 'EEXIST',
      message: expect.stringContaining(`vde://${dir}/h`) as string,
    });
    await expect(networks.join(`switch://${dir}/h`)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(existsSync(join(dir, 'h/ctl'))).toBe(true);
    other.close();
  });

  it('a hub of this VM is not a switch', async () => {
    await networks.join('hub://h');
    await expect(networks.join('switch://h')).rejects.toMatchObject({ code: 'EEXIST' });
  });

  it('client and server of two VMs exchange frames; the client learns of the end', async () => {
    const other = new Networks();
    const server = await other.join(`switch://${dir}/s`);
    const client = await networks.join('vde://s');
    expect((await networks.join('vde://s')).network).toBe(client.network);
    const [a, b] = [testPort(server.network), testPort(client.network)];
    a.send(frame(BROADCAST, station(1), 'down'));
    expect(texts(b.receive(1))).toEqual(['down']);
    b.send(frame(station(1), station(2), 'up'));
    expect(texts(a.receive(1))).toEqual(['up']);
    expect(readdirSync(join(dir, 's')).sort()).toEqual(['ctl', 'fd1']);
    client.network.removePort(1);
    await expect.poll(() => readdirSync(join(dir, 's'))).toEqual(['ctl']);
    other.close();
    expect(existsSync(join(dir, 's'))).toBe(false);
    a.close();
    b.close();
  });

  it('a lost uplink is opened again by the next to join', async () => {
    let other = new Networks();
    await other.join(`hub://${dir}/h`);
    const client = await networks.join('vde://h');
    other.close();
    await expect.poll(() => client.network.stats(1)).toBeUndefined();
    await expect(networks.join('vde://h')).rejects.toMatchObject({ code: 'ENOENT' });
    other = new Networks();
    const server = await other.join(`hub://${dir}/h`);
    expect((await networks.join('vde://h')).network).toBe(client.network);
    const [a, b] = [testPort(server.network), testPort(client.network)];
    a.send(frame(BROADCAST, station(1), 'again'));
    expect(texts(b.receive(1))).toEqual(['again']);
    other.close();
    a.close();
    b.close();
  });

  it('nothing is joined after close', async () => {
    networks.close();
    await expect(networks.join('hub://')).rejects.toMatchObject({ code: 'ENETDOWN' });
  });
});
