/** The rtnetlink server, message by message: against the kernel, by the rules, and under damage. */
import { describe, expect, it } from 'vitest';
import {
  type MemoryTable,
  NETLINK,
  type NetlinkPeer,
  NetlinkServer,
  type PeerOptions,
  RTNLGRP,
  interfaceList,
  memoryTable,
  netdeviceIoctl,
  procNetDev,
} from '../../runtime/ioth/netlink/server/index.ts';
import { Errno } from '../../runtime/errno.ts';
import {
  type NetlinkMessage,
  parseAttributes,
  parseMessages,
  serializeMessage,
  viewOf,
} from '../../runtime/ioth/netlink/wire.ts';
import { askKernel, type Probe } from './netlink-server/kernel.ts';

const F = { REQUEST: 1, ACK: 4, ECHO: 8, DUMP: 0x300, REPLACE: 0x100, EXCL: 0x200, CREATE: 0x400 };
const RTM = { NEWLINK: 16, GETLINK: 18, SETLINK: 19, NEWADDR: 20, DELADDR: 21, GETADDR: 22, GETROUTE: 26, GETNEIGH: 30, GETRULE: 34, GETQDISC: 38 }; // prettier-ignore

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const request = (type: number, flags: number, payload: string, seq = 7): Uint8Array =>
  serializeMessage({ type, flags: flags | F.REQUEST, seq, pid: 0, payload: hex(payload) });

function configured(): MemoryTable {
  const table = memoryTable({ now: () => 100 });
  table.addLink({ name: 'd0', index: 3, address: Uint8Array.of(2, 0, 0, 0, 0, 1) });
  return table;
}

interface Client {
  peer: NetlinkPeer;
  datagrams: Uint8Array[];
  /** Sends and gives all messages of the answer. */
  ask: (bytes: Uint8Array) => NetlinkMessage[];
}

function client(server: NetlinkServer, options: Partial<PeerOptions> = {}): Client {
  const datagrams: Uint8Array[] = [];
  const peer = server.connect({ send: (bytes) => void datagrams.push(bytes), ...options });
  const ask = (bytes: Uint8Array): NetlinkMessage[] => {
    datagrams.length = 0;
    peer.receive(bytes);
    return datagrams.flatMap((d) => parseMessages(d));
  };
  return { peer, datagrams, ask };
}

const errnoOf = ({ payload }: NetlinkMessage): number => viewOf(payload).getInt32(0, true);

const ADDR_10 = '02180000 03000000 08000200 0a000001 08000100 0a000001';
const SETUP =
  'ip link set lo up; ip link set d0 up; ip addr add 10.0.0.1/24 dev d0; ip addr add fd00::1/64 dev d0 nodad; ip route add default via 10.0.0.254; ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev d0';

/** The configuration of SETUP, made with requests. */
function setUp(server: NetlinkServer): void {
  const { ask } = client(server);
  const steps = [
    request(RTM.NEWLINK, F.ACK, '0000 0000 01000000 01000000 01000000'),
    request(RTM.NEWLINK, F.ACK, '0000 0000 03000000 01000000 01000000'),
    request(RTM.NEWADDR, F.ACK | F.CREATE, ADDR_10),
    request(RTM.NEWADDR, F.ACK | F.CREATE, `0a400200 03000000 14000200 fd00${'00'.repeat(13)}01`),
    request(24, F.ACK | F.CREATE, '02000000 fe030001 00000000 08000500 0a0000fe'),
    request(28, F.ACK | F.CREATE, '02000000 03000000 8000 0000 08000100 0a000009 0a000200 020000000009 0000'),
  ];
  for (const step of steps) expect(ask(step).map(errnoOf)).toEqual([0]);
}

/** A message for comparing with the kernel's: what it says, without ports, times and what is the kernel's own. */
function shape({ type, flags, seq, payload }: NetlinkMessage): unknown {
  const attributes = (header: number, but: number[]): unknown => ({
    type, flags, seq, header: Buffer.from(payload.subarray(0, header)).toString('hex'),
    attributes: Object.fromEntries(
      parseAttributes(payload, header).filter((a) => !but.includes(a.type)).map((a) => [a.type, Buffer.from(a.data).toString('hex')]),
    ),
  }); // prettier-ignore
  switch (type) {
    case 2: {
      const copy = payload.slice();
      // The port in the copied header is the sender's.
      copy.fill(0, 16, 20);
      return { type, flags, seq, payload: Buffer.from(copy).toString('hex') };
    }
    case 16: {
      // Only what the two links have in common: the kernel's is a veth with queues, statistics and more.
      const known = [1, 2, 3, 4, 13, 16, 17, 27, 30, 33, 50, 51, 61];
      return attributes(
        16,
        Array.from({ length: 100 }, (_, i) => i).filter((i) => !known.includes(i)),
      );
    }
    case 20:
      return attributes(8, [6]);
    case 28:
      return attributes(12, [3]);
    case 24:
    case 32:
      // Times that the kernel counts.
      return attributes(12, [12]);
    default:
      return { type, flags, seq, payload: Buffer.from(payload).toString('hex') };
  }
}

const LINK_HEADER = '00000000 00000000 00000000 00000000';
const PROBES: [string, Probe][] = [
  ['all links', { request: request(RTM.GETLINK, F.DUMP, LINK_HEADER) }],
  ['all links, as glibc asks', { request: request(RTM.GETLINK, F.DUMP, '00000000') }],
  ['links without counters', { request: request(RTM.GETLINK, F.DUMP, `${LINK_HEADER} 08001d00 09000000`) }],
  ['a link by index', { request: request(RTM.GETLINK, 0, '00000000 03000000 00000000 00000000') }],
  ['a link by name', { request: request(RTM.GETLINK, 0, `${LINK_HEADER} 07000300 643000 00`) }],
  ['a link by name as alternative one', { request: request(RTM.GETLINK, F.ACK, `${LINK_HEADER} 07003500 6c6f00 00`) }],
  ['a missing link', { request: request(RTM.GETLINK, 0, '00000000 4d000000 00000000 00000000') }],
  ['no link', { options: [NETLINK.CAP_ACK], request: request(RTM.GETLINK, 0, LINK_HEADER) }],
  ['a dump with an index, strictly', { options: [NETLINK.EXT_ACK, NETLINK.GET_STRICT_CHK], request: request(RTM.GETLINK, F.DUMP, '00000000 03000000 00000000 00000000') }],
  ['all addresses', { request: request(RTM.GETADDR, F.DUMP, '00000000 00000000') }],
  ['addresses of IPv6', { request: request(RTM.GETADDR, F.DUMP, '0a000000 00000000') }],
  ['addresses of a link, strictly', { options: [NETLINK.GET_STRICT_CHK], request: request(RTM.GETADDR, F.DUMP, '00000000 03000000') }],
  ['addresses of a link, not strictly', { request: request(RTM.GETADDR, F.DUMP, '02000000 03000000') }],
  ['addresses of a missing link, strictly', { options: [NETLINK.GET_STRICT_CHK], request: request(RTM.GETADDR, F.DUMP, '02000000 4d000000') }],
  ['addresses with a prefix, strictly', { options: [NETLINK.GET_STRICT_CHK, NETLINK.EXT_ACK], request: request(RTM.GETADDR, F.DUMP, '02080000 00000000') }],
  ['one address', { request: request(RTM.GETADDR, 0, '02000000 00000000') }],
  ['routes of IPv4', { request: request(RTM.GETROUTE, F.DUMP, '02000000 00000000 00000000') }],
  ['routes of IPv4, as Go asks', { request: request(RTM.GETROUTE, F.DUMP, '02') }],
  ['routes of table main, strictly', { options: [NETLINK.GET_STRICT_CHK], request: request(RTM.GETROUTE, F.DUMP, '02000000 fe000000 00000000') }],
  ['routes of a link, strictly', { options: [NETLINK.GET_STRICT_CHK], request: request(RTM.GETROUTE, F.DUMP, '02000000 00000000 00000000 08000400 01000000') }],
  ['routes of a missing table, strictly', { options: [NETLINK.GET_STRICT_CHK, NETLINK.EXT_ACK], request: request(RTM.GETROUTE, F.DUMP, '02000000 4d000000 00000000') }],
  ['cached routes', { request: request(RTM.GETROUTE, F.DUMP, '02000000 00000000 00020000') }],
  ['the route to an address', { request: request(RTM.GETROUTE, 0, '02200000 00000000 00000000 08000100 0a000005') }],
  ['the route to a gateway', { request: request(RTM.GETROUTE, F.ACK, '02200000 00000000 00000000 08000100 08080808') }],
  ['the route to itself', { request: request(RTM.GETROUTE, 0, '02200000 00000000 00000000 08000100 0a000001') }],
  ['no route', { options: [NETLINK.EXT_ACK], request: request(RTM.GETROUTE, 0, `0a800000 00000000 00000000 14000100 2001${'00'.repeat(14)}`) }],
  ['a permanent neighbour', { request: request(RTM.GETNEIGH, 0, '02000000 03000000 0000 0000 08000100 0a000009') }],
  ['rules', { request: request(RTM.GETRULE, F.DUMP, '02000000 00000000 00000000') }],
  ['rules of IPv6', { request: request(RTM.GETRULE, F.DUMP, '0a000000 00000000 00000000') }],
  ['an unknown type', { request: request(250, 0, '00000000') }],
  ['an unknown dump', { options: [NETLINK.CAP_ACK, NETLINK.EXT_ACK], request: request(250, F.DUMP, '00000000') }],
  ['a message of netlink itself', { request: request(1, F.ACK, '00') }],
  ['an empty message', { request: request(RTM.GETLINK, F.ACK, '') }],
  ['a header cut short', { request: request(RTM.GETADDR, F.DUMP, '02') }],
  ['a set link cut short', { request: request(RTM.SETLINK, F.ACK, '0200') }],
  ['no request', { request: serializeMessage({ type: RTM.GETLINK, flags: F.ACK, seq: 9, pid: 0, payload: hex(LINK_HEADER) }) }],
  ['an address that is there', { options: [NETLINK.EXT_ACK, NETLINK.CAP_ACK], request: request(RTM.NEWADDR, F.CREATE | F.EXCL, ADDR_10) }],
  ['an address without a link', { request: request(RTM.NEWADDR, F.CREATE, ADDR_10.replace('03000000', '4d000000')) }],
  ['an address to remove that is missing', { options: [NETLINK.EXT_ACK], request: request(RTM.DELADDR, F.ACK, ADDR_10.replaceAll('0a000001', '0a000003')) }],
  ['an address of a wrong size', { request: request(RTM.NEWADDR, F.CREATE, '02180000 03000000 06000200 0a00 0000') }],
  ['a name that is too long', { request: request(RTM.GETLINK, 0, `${LINK_HEADER} 18000300 ${'61'.repeat(20)}`) }],
  ['two requests, of which the first is bad', { request: Buffer.concat([request(250, 0, '00000000'), request(RTM.GETLINK, 0, '00000000 01000000 00000000 00000000', 8)]) }],
  ['a request and a bad length', { request: Buffer.concat([request(RTM.GETLINK, 0, '00000000 01000000 00000000 00000000'), hex('ff000000 12000100 00000000 00000000')]) }],
]; // prettier-ignore

describe('the answers are those of the kernel', () => {
  const answers = askKernel(
    SETUP,
    PROBES.map(([, probe]) => probe),
  );
  const server = new NetlinkServer(configured());
  setUp(server);

  it.each(PROBES.map(([name, probe], i) => ({ name, probe, i })))('for $name', async ({ probe, i }) => {
    const kernel = parseMessages(Uint8Array.from((await answers)[i] ?? [])).map(shape);
    const { peer, ask } = client(server);
    for (const option of probe.options ?? []) peer.setOption(option, hex('01000000'));
    expect(ask(probe.request).map(shape)).toEqual(kernel);
  });
});

describe('a peer', () => {
  it('gets dumps in datagrams that fit its buffer', () => {
    const table = configured();
    for (let i = 0; i < 300; i++) table.addLink({ name: `x${i}` });
    const server = new NetlinkServer(table);
    const dump = request(RTM.GETLINK, F.DUMP, '00000000');
    const sizes = (readerBuffer: number): number[] => {
      const { peer, ask, datagrams } = client(server);
      peer.readerBuffer(readerBuffer);
      const messages = ask(dump);
      expect(messages.length).toBe(303);
      expect(messages.at(-1)).toMatchObject({ type: 3, flags: 2 });
      return datagrams.map((d) => d.length);
    };
    expect(Math.max(...sizes(4096))).toBeLessThanOrEqual(4096);
    const large = sizes(1 << 20);
    expect(Math.max(...large)).toBeLessThanOrEqual(32768);
    expect(Math.max(...large)).toBeGreaterThan(30000);
  });

  it('that does not read holds one datagram of a dump, and may not start another', () => {
    const table = configured();
    for (let i = 0; i < 100; i++) table.addLink({ name: `x${i}` });
    const taken: Uint8Array[] = [];
    let open = false;
    const peer = new NetlinkServer(table).connect({ send: (d) => open && taken.push(d) > 0 });
    peer.receive(request(RTM.GETLINK, F.DUMP, '00000000', 1));
    for (let i = 0; i < 10_000; i++) peer.receive(request(RTM.GETLINK, F.DUMP, '00000000', 2));
    expect(peer.takeOverrun()).toBe(true);
    expect(peer.takeOverrun()).toBe(false);
    open = true;
    peer.resume();
    const messages = taken.flatMap((d) => parseMessages(d));
    expect(messages.filter((m) => m.seq === 1).length).toBe(103);
    const busy = messages.filter((m) => m.seq === 2);
    expect(new Set(busy.map(errnoOf))).toEqual(new Set([-16]));
    // What it may keep waiting is bounded by its receive buffer.
    expect(busy.length * 36).toBeLessThanOrEqual(212992);
  });

  it('is told what others change, if it is a member', () => {
    const server = new NetlinkServer(configured());
    const groups: number[] = [];
    const watcher = server.connect({ send: (_, group) => void groups.push(group) });
    watcher.bind(0, 1 << (RTNLGRP.LINK - 1));
    watcher.setOption(NETLINK.ADD_MEMBERSHIP, hex('05000000'));
    setUp(server);
    expect(groups).toEqual([RTNLGRP.LINK, RTNLGRP.IPV4_IFADDR, RTNLGRP.LINK, RTNLGRP.IPV4_IFADDR]);
    watcher.setOption(NETLINK.DROP_MEMBERSHIP, hex('05000000'));
    expect(watcher.groupMask).toBe(1);
    expect(Buffer.from(watcher.getOption(NETLINK.LIST_MEMBERSHIPS)).toString('hex')).toBe('0100000000000000');
    server.ioctl(0x8914, Buffer.concat([Buffer.from('d0'.padEnd(16, '\0')), Buffer.alloc(24)]));
    expect(groups.slice(4)).toEqual([RTNLGRP.LINK]);
  });

  it('hears of its own change with its number, once, if it asked for an echo', () => {
    const server = new NetlinkServer(configured());
    const { peer, ask } = client(server, { pid: 42 });
    peer.setOption(NETLINK.ADD_MEMBERSHIP, hex('05000000'));
    const answer = ask(request(RTM.NEWADDR, F.CREATE | F.ACK | F.ECHO, ADDR_10, 99));
    expect(answer.map(({ type, seq, pid }) => [type, seq, pid])).toEqual([[20, 99, 42], [2, 99, 42]]); // prettier-ignore
  });

  it('of a table that does not tell its changes is told by the server', () => {
    const { link, addr, route, neigh } = configured();
    const silent = { link, addr, route, neigh };
    const server = new NetlinkServer(silent);
    const { peer, ask } = client(server);
    peer.setOption(NETLINK.ADD_MEMBERSHIP, hex('05000000'));
    expect(ask(request(RTM.NEWADDR, F.CREATE, ADDR_10)).map((m) => m.type)).toEqual([20]);
    expect(ask(request(RTM.DELADDR, 0, ADDR_10)).map((m) => m.type)).toEqual([21]);
    expect([...silent.addr.get()]).toEqual([]);
    server.notify('link', [...silent.link.get()][0]!);
  });

  it('may be forbidden to change anything', () => {
    const { ask } = client(new NetlinkServer(configured()), { mayConfigure: () => false });
    expect(ask(request(RTM.NEWADDR, F.CREATE, ADDR_10)).map(errnoOf)).toEqual([-1]);
    expect(ask(request(RTM.GETLINK, 0, '00000000 01000000 00000000 00000000'))[0]?.type).toBe(16);
  });

  it('has a port of its own', () => {
    const server = new NetlinkServer(configured());
    const [a, b, c] = [0, 0, 0].map(() => client(server, { pid: 500 }).peer) as [NetlinkPeer, NetlinkPeer, NetlinkPeer]; // prettier-ignore
    a.autobind();
    b.autobind();
    expect(a.port).toBe(500);
    expect(b.port).toBeGreaterThan(0x80000000);
    expect(() => c.bind(500, 0)).toThrow('EADDRINUSE');
    expect(() => a.bind(501, 0)).toThrow('EINVAL');
    a.close();
    c.bind(500, 0);
    expect(c.port).toBe(500);
  });

  it('refuses options that there are not', () => {
    const { peer } = client(new NetlinkServer(configured()));
    expect(() => peer.setOption(99, hex('01000000'))).toThrow('ENOPROTOOPT');
    expect(() => peer.getOption(99)).toThrow('ENOPROTOOPT');
    expect(() => peer.setOption(NETLINK.ADD_MEMBERSHIP, hex('00000000'))).toThrow('EINVAL');
    expect(() => peer.setOption(NETLINK.ADD_MEMBERSHIP, hex('ffffffff'))).toThrow('EINVAL');
    peer.setOption(NETLINK.EXT_ACK, hex('01000000'));
    expect(Buffer.from(peer.getOption(NETLINK.EXT_ACK)).readUInt32LE()).toBe(1);
  });
});

describe('the ioctls', () => {
  it('list interfaces into what room there is', () => {
    const server = new NetlinkServer(configured());
    setUp(server);
    expect(interfaceList(server.table).length).toBe(80);
    expect(interfaceList(server.table, 79).length).toBe(40);
    expect(Buffer.from(interfaceList(server.table, 40)).toString('latin1', 0, 3)).toBe('lo\0');
  });

  it('refuse what they do not know and structures that are too short', () => {
    const table = configured();
    expect(() => netdeviceIoctl(table, 0x8946, Buffer.alloc(40))).toThrow('ENOTTY');
    expect(() => netdeviceIoctl(table, 0x8913, Buffer.alloc(39))).toThrow('EFAULT');
    expect(() => netdeviceIoctl(table, 0x8913, Buffer.alloc(40))).toThrow('ENODEV');
  });
});

/** A small generator of numbers (mulberry32): the same damage in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

describe('whatever a client sends', () => {
  it('is answered with messages that make sense, and changes stay bounded', () => {
    const below = numbers(1);
    const table = configured();
    const server = new NetlinkServer(table);
    const { peer, ask } = client(server);
    peer.setOption(NETLINK.EXT_ACK, hex('01000000'));
    const seeds = PROBES.map(([, probe]) => probe.request);
    for (let round = 0; round < 20_000; round++) {
      const bytes = Uint8Array.from(seeds[below(seeds.length)]!);
      for (let n = below(6); n > 0; n--) bytes[below(bytes.length)] = below(4) === 0 ? below(256) : below(8);
      const sent = bytes.subarray(0, below(8) === 0 ? below(bytes.length + 1) : bytes.length);
      for (const message of ask(sent)) {
        if (message.type !== 2) continue;
        const errno = errnoOf(message);
        expect(errno <= 0 && errno > -134 && errno !== -5, `errno ${errno}`).toBe(true);
      }
    }
    const counts = [table.link, table.addr, table.route, table.neigh].map((h) => [...h.get()].length);
    expect(Math.max(...counts)).toBeLessThan(1000);
    expect(procNetDev(table).split('\n').length).toBe(counts[0]! + 3);
  });

  it('by ioctl is done or refused', () => {
    const below = numbers(2);
    const table = configured();
    for (let round = 0; round < 20_000; round++) {
      const argument = Buffer.alloc(below(2) ? 40 : 120);
      argument.write(['d0', 'lo', 'd0:1', 'x'][below(4)]!, 0, 'latin1');
      argument.writeUInt16LE([2, 10, 1, 0][below(4)]!, 16);
      for (let n = below(12); n > 0; n--) argument[16 + below(argument.length - 16)] = below(256);
      try {
        netdeviceIoctl(table, 0x8900 + below(0x90), argument, { family: below(2) ? 2 : 10 });
      } catch (error) {
        expect(error).toBeInstanceOf(Errno);
      }
    }
  });

  it('what is shown can be set again: dumps of one table configure another alike', () => {
    const from = new NetlinkServer(configured());
    setUp(from);
    const to = new NetlinkServer(configured());
    const kinds: [number, number][] = [[RTM.GETLINK, 16], [RTM.GETADDR, 20], [RTM.GETROUTE, 24], [RTM.GETNEIGH, 28]]; // prettier-ignore
    const dump = (server: NetlinkServer, type: number): NetlinkMessage[] =>
      client(server).ask(request(type, F.DUMP, '00'.repeat(16)));
    // The address of lo, which is part of its dump, cannot be set.
    client(to).ask(request(RTM.NEWLINK, 0, '0000 0000 01000000 01000000 01000000'));
    for (const [get, set] of kinds) {
      for (const { payload } of dump(from, get).filter((m) => m.type === set)) {
        // Those of table local come with the addresses.
        if (set === 24 && payload[4] !== 254) continue;
        // No flag of a link is said to change, so all of them are.
        client(to).ask(
          serializeMessage({
            type: set,
            flags: set === RTM.NEWLINK ? 0x401 : 0x501,
            seq: 1,
            pid: 0,
            payload,
          }),
        );
      }
    }
    for (const [get] of kinds) expect(dump(to, get).map(shape)).toEqual(dump(from, get).map(shape));
  });
});
