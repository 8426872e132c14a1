/** IPv4 address conflicts (RFC 5227): probing, announcing and defending an address that DHCP gave. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { AddressGuard, arpRequest, claims, conflicts, taken } from '../../runtime/ioth/config/dhcp4/arp.ts';
import { type Interface, TIMING } from '../../runtime/ioth/config/source.ts';
import { AF, RFC5227, SOCK, type Socket, formatIp, parseIp } from '../../runtime/ioth/index.ts';
import { until } from '../helpers/exec.ts';
import { Random } from '../helpers/random.ts';
import { twoStacks } from '../helpers/stacks.ts';

const two = twoStacks();
const ADDRESS = parseIp('10.0.0.77')!.bytes;
const OTHER_MAC = Uint8Array.of(2, 0, 0, 0, 0, 0x66);
/** The times of the RFC, in which a second is 20 ms. */
const scaled = Object.fromEntries(Object.entries(RFC5227).map(([name, ms]) => [name, ms / 50]));

const linkOf = (timing = {}): Interface => ({
  stack: two.a.stack,
  index: 2,
  mac: two.a.netlink((client) => client.mac(2)),
  timing: { ...TIMING, ...scaled, ...timing },
  changed: () => {},
});

/** A socket of b that hears ARP. */
function ear(): Socket {
  const socket = two.use(two.b.msocket(AF.PACKET, SOCK.DGRAM, 0x0608));
  socket.bind({ family: AF.PACKET, protocol: 0x0806, index: 2 });
  return socket;
}

/** What a says about ADDRESS, with its time. */
function hearing(socket: Socket): { sender: string; at: number }[] {
  const heard: { sender: string; at: number }[] = [];
  const listen = async (): Promise<void> => {
    for (;;) {
      const data = await socket.recv(64);
      if (!data.subarray(24, 28).equals(Buffer.from(ADDRESS))) continue;
      heard.push({
        sender: formatIp({ family: AF.INET, bytes: data.subarray(14, 18) }),
        at: performance.now(),
      });
    }
  };
  listen().catch(() => undefined);
  return heard;
}

const say = (socket: Socket, sender: Uint8Array): Promise<number> =>
  socket.sendto(arpRequest(OTHER_MAC, sender, ADDRESS), {
    family: AF.PACKET, protocol: 0x0806, index: 2, address: new Uint8Array(6).fill(0xff),
  }); // prettier-ignore

describe('an offered address', () => {
  it('is probed as often and as slowly as RFC 5227 wants, where that is asked for', async () => {
    expect(RFC5227).toEqual({
      probeWait: 1000, probeMin: 1000, probeMax: 2000, announceWait: 2000, announceInterval: 2000, defend: 10_000,
    }); // prettier-ignore
    const heard = hearing(ear());
    const start = performance.now();
    expect(await taken(linkOf(), ADDRESS)).toBe(false);
    const end = performance.now();
    await until('three probes', () => heard.length === 3);
    expect(heard.map(({ sender }) => sender)).toEqual(['0.0.0.0', '0.0.0.0', '0.0.0.0']);
    expect(heard[1]!.at - heard[0]!.at).toBeGreaterThan(15);
    expect(heard[2]!.at - heard[1]!.at).toBeGreaterThan(15);
    expect(end - start).toBeGreaterThan(75);
  });

  it.each([
    ['has it', ADDRESS],
    ['probes it too', new Uint8Array(4)],
  ])('is taken when somebody %s', async (_what, sender) => {
    const socket = ear();
    const asking = taken(linkOf({ probeWait: 0, probeMin: 1000, probeMax: 1000 }), ADDRESS);
    await socket.recv(64);
    await say(socket, sender);
    expect(await asking).toBe(true);
  });
});

describe('an address in use', () => {
  it('is announced twice', async () => {
    const heard = hearing(ear());
    const guard = new AddressGuard(linkOf(), ADDRESS, () => {});
    await until('two announcements', () => heard.length === 2);
    await sleep(60);
    expect(heard.map(({ sender }) => sender)).toEqual(['10.0.0.77', '10.0.0.77']);
    guard.close();
    guard.close();
  });

  it('is defended once, and given up when that does not help', async () => {
    const socket = ear();
    const heard = hearing(socket);
    let conflict = 0;
    const guard = new AddressGuard(linkOf({ defend: 500 }), ADDRESS, () => conflict++);
    await until('two announcements', () => heard.length === 2);
    await say(socket, new Uint8Array(4)); // a probe is no claim
    await say(socket, ADDRESS);
    await until('the defence', () => heard.length === 3);
    expect(conflict).toBe(0);
    await say(socket, ADDRESS);
    await until('the end', () => conflict === 1);
    await say(socket, ADDRESS);
    await sleep(20);
    expect([conflict, heard.length]).toEqual([1, 3]);
    guard.close();
  });

  it('is defended each time when conflicts are rare', async () => {
    const socket = ear();
    const heard = hearing(socket);
    let conflict = 0;
    const guard = new AddressGuard(linkOf({ defend: 10 }), ADDRESS, () => conflict++);
    await until('two announcements', () => heard.length === 2);
    for (let each = 3; each <= 5; each++) {
      await say(socket, ADDRESS);
      await until('the defence', () => heard.length === each);
      await sleep(20);
    }
    expect(conflict).toBe(0);
    guard.close();
  });
});

it('random packets are no conflict, and do no harm', () => {
  const random = new Random(3);
  for (let i = 0; i < 3000; i++) {
    const bytes = random.bytes(random.below(64));
    expect(claims(bytes, OTHER_MAC, ADDRESS) || conflicts(bytes, OTHER_MAC, ADDRESS)).toBe(false);
  }
});
