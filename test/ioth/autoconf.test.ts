/**
 * Autoconfiguration, with dnsmasq, radvd and slirp as peers. Each test has one stack of each kind on the same network, which
 * do the same at the same time.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CONFIGURED, type ApplyOptions } from '../../runtime/ioth/config/index.ts';
import { arpRequest } from '../../runtime/ioth/config/dhcp4/arp.ts';
import {
  AF,
  type IothHost,
  IothStack,
  SOCK,
  createIothHost,
  formatIp,
  hashMac,
  formatMac,
  newStackOn,
  newStackc,
  parseIp,
} from '../../runtime/ioth/index.ts';
import { exec, until } from '../helpers/exec.ts';
import { newPeer, type Peer } from '../helpers/peer.ts';
import { DRIVERS, type Driver } from '../helpers/stacks.ts';
import { sanitized } from '../helpers/tree.ts';

const NET = 'switch://';
/** Short waits, because nobody answers late here. */
const timing = {
  dhcpTry: 700, dhcpTries: 2, routerTry: 300, routerTries: 2, probeMin: 50, probeMax: 50, announceWait: 50, declined: 50,
  announceInterval: 50, renewal: 200,
} satisfies ApplyOptions['timing']; // prettier-ignore

let host: IothHost;
let peer: Peer;
let stacks: Record<Driver, IothStack>;
beforeAll(async () => {
  host = createIothHost();
  peer = await newPeer(host, NET, '10.0.0.254/24', 'fd00::254/64');
});
afterAll(async () => {
  await peer.close();
  await host.close();
});
beforeEach(async () => {
  const [vdestack, lwip] = await Promise.all(DRIVERS.map((driver) => newStackOn(host, driver, NET)));
  stacks = { vdestack: vdestack!, lwip: lwip! };
});
const servers: { stop: () => Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(Object.values(stacks).map((stack) => stack.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

/** Does the same on a stack of each kind at the same time. */
async function onBoth(action: (stack: IothStack, driver: Driver) => Promise<void>): Promise<void> {
  await Promise.all(DRIVERS.map((driver) => action(stacks[driver], driver)));
}

/** Addresses are used without first looking for duplicates, as most of these tests are about something else. */
async function withoutDuplicates({ stack }: IothStack): Promise<void> {
  if (stack.emulated) {
    const file = stack.view.file?.('/proc/sys/net/ipv6/conf/all/accept_dad');
    (file as { write(text: string): void }).write('0');
    return;
  }
  const namespace = `--net=${join(stack.view.procNet!, '../ns/net')}`;
  const result = await exec('nsenter', [namespace, 'sysctl', '-qw', 'net.ipv6.conf.vde0.dad_transmits=0']);
  expect(result).toMatchObject({ code: 0, stderr: '' });
}

const addresses = (stack: IothStack, start = ''): string[] =>
  stack.netlink((client) =>
    client
      .addresses()
      .filter(({ index }) => index === 2)
      .map(({ family, local, address, prefixLength }) => {
        const bytes = (local ?? address)!;
        return `${formatIp({ family: family as typeof AF.INET, bytes })}/${prefixLength}`;
      })
      .filter((text) => text.startsWith(start)),
  );
const mac = (stack: IothStack): string => formatMac(stack.netlink((client) => client.mac(2)));

const DNSMASQ = [
  'dnsmasq', '--no-daemon', '--no-resolv', '--no-hosts', '--conf-file=/dev/null', '--pid-file=', '--user=root', '--port=0',
  '--interface=eth0', '--bind-interfaces', '--log-dhcp', '--no-ping', '--dhcp-authoritative',
]; // prettier-ignore

async function dnsmasq(...options: string[]) {
  const leases = join(peer.dir, `leases${Math.random()}`);
  const server = await peer.start(/started, version/, ...DNSMASQ, `--dhcp-leasefile=${leases}`, ...options);
  servers.push(server);
  /** How often it says `what` about the host with this address. */
  const said = (what: string, to: string): number =>
    server.output().split('\n').filter((line) => line.includes(what) && line.includes(to)).length; // prettier-ignore
  return { ...server, said };
}

describe('DHCPv4', () => {
  const OPTIONS = [
    '--dhcp-range=10.0.0.50,10.0.0.60,255.255.255.0,2m', '--dhcp-option=3,10.0.0.254', '--dhcp-option=6,10.0.0.53',
    '--domain=example.org',
  ]; // prettier-ignore
  const hasRoute = (stack: IothStack): boolean =>
    stack.netlink((client) => client.routes()).some((route) => route.gateway?.[3] === 254);

  it('gets an address, a route and names, and gives them back', async () => {
    const server = await dnsmasq(...OPTIONS);
    await onBoth(async (stack, driver) => {
      const name = `${driver}.example.org`;
      expect(await stack.config(`eth,dhcp,fqdn=${name}`, { timing })).toBe(CONFIGURED.ETH | CONFIGURED.DHCP);
      expect(addresses(stack, '10.')).toEqual([expect.stringMatching(/^10\.0\.0\.(5[0-9]|60)\/24$/)]);
      expect(stack.resolvConf).toBe('search example.org\nnameserver 10.0.0.53\n');
      expect(stack.resolvconf()).toBe(stack.resolvConf);
      expect(stack.resolvconf()).toBeUndefined();
      const own = formatMac(hashMac(name));
      expect(server.output()).toMatch(new RegExp(`DHCPACK\\(eth0\\) 10.0.0.5. ${own} ${driver}`));
      expect(hasRoute(stack)).toBe(true);

      expect(await stack.config('-dhcp')).toBe(0);
      expect(addresses(stack, '10.')).toEqual([]);
      expect(hasRoute(stack)).toBe(false);
      expect(stack.resolvConf).toBeUndefined();
      await until('the release', () => server.said('DHCPRELEASE', own) === 1);
    });
  });

  it('renews its lease by timer, and rebinds when the server is another', async () => {
    // T1 is after 1.2 s, T2 after 2.1 s.
    const quick = { ...timing, second: 20 };
    const first = await dnsmasq(...OPTIONS);
    const got = new Map<Driver, string[]>();
    await onBoth(async (stack, driver) => {
      expect(await stack.config('auto4', { timing: quick })).toBe(CONFIGURED.ETH | CONFIGURED.DHCP);
      got.set(driver, addresses(stack, '10.'));
      await until('a renewal', () => first.said('DHCPACK', mac(stack)) > 1, 4000);
      expect(first.said('DHCPDISCOVER', mac(stack))).toBe(1);
    });
    await first.stop();
    const second = await dnsmasq(...OPTIONS);
    await onBoth(async (stack, driver) => {
      await until('another renewal', () => second.said('DHCPACK', mac(stack)) > 0, 6000);
      expect(second.output()).not.toContain('DHCPDISCOVER');
      expect(addresses(stack, '10.')).toEqual(got.get(driver));
    });
  });

  it('looks for another address when its lease has ended', async () => {
    const first = await dnsmasq('--dhcp-range=10.0.0.90,10.0.0.91,2m');
    await onBoth(async (stack) => void (await stack.config('auto4', { timing: { ...timing, second: 10 } })));
    await first.stop();
    await onBoth((stack) => until('the end of the lease', () => addresses(stack, '10.').length === 0, 4000));
    await dnsmasq('--dhcp-range=10.0.0.92,10.0.0.93,2m');
    await onBoth((stack) =>
      until('another lease', () => /^10\.0\.0\.9[23]/.test(addresses(stack, '10.').join()), 4000),
    );
  });

  it('declines an address that somebody has', async () => {
    const server = await dnsmasq('--dhcp-range=10.0.0.70,10.0.0.71,255.255.255.0,2m');
    const other = await newStackc(`stack=vdestack,vnl=${NET},eth,ip=10.0.0.70/24,ip=10.0.0.71/24`, host);
    await onBoth(async (stack) => {
      expect(await stack.config('eth,dhcp', { timing })).toBe(CONFIGURED.ETH);
      expect(server.said('DHCPDECLINE', mac(stack))).toBeGreaterThan(0);
      expect(addresses(stack, '10.')).toEqual([]);
    });
    await other.close();
  });

  it('gives up an address that it cannot defend, and gets another', async () => {
    const server = await dnsmasq('--dhcp-range=10.0.0.100,10.0.0.109,255.255.255.0,2m');
    const other = await newStackc(`stack=vdestack,vnl=${NET},eth`, host);
    const arp = other.msocket(AF.PACKET, SOCK.DGRAM, 0x0608);
    arp.bind({ family: AF.PACKET, protocol: 0x0806, index: 2 });
    const to = { family: AF.PACKET, protocol: 0x0806, index: 2, address: new Uint8Array(6).fill(0xff) };
    await onBoth(async (stack) => {
      expect(await stack.config('eth,dhcp', { timing })).toBe(CONFIGURED.ETH | CONFIGURED.DHCP);
      const [first = ''] = addresses(stack, '10.');
      const bytes = parseIp(first.split('/')[0]!)!.bytes;
      const claim = () => arp.sendto(arpRequest(Uint8Array.of(2, 0, 0, 0, 0, 0x66), bytes, bytes), to);
      await claim();
      await claim();
      await until('the decline', () => server.said('DHCPDECLINE', mac(stack)) === 1);
      await until('another address', () => addresses(stack, '10.').length === 1);
      expect(addresses(stack, '10.')).not.toEqual([first]);
    });
    await other.close();
  });

  it('asks again when its request is refused', async () => {
    const server = await dnsmasq('--dhcp-range=10.0.0.80,10.0.0.80,255.255.255.0,2m');
    const holder = await newStackOn(host, 'vdestack', NET);
    expect(await holder.config('eth,dhcp', { timing })).toBe(CONFIGURED.ETH | CONFIGURED.DHCP);
    await onBoth(async (stack) => {
      expect(await stack.config('eth,dhcp', { timing: { ...timing, dhcpTry: 300 } })).toBe(CONFIGURED.ETH);
    });
    expect(server.output()).toContain('no address available');
    await holder.close();
  });

  it('gives up when nobody answers, or earlier', async () => {
    await onBoth(async (stack) => {
      const start = Date.now();
      expect(await stack.config('eth,dhcp', { timing: { ...timing, dhcpTry: 100 } })).toBe(CONFIGURED.ETH);
      expect(Date.now() - start).toBeLessThan(1000);
      const signal = AbortSignal.timeout(50);
      await expect(stack.config('dhcp', { signal })).rejects.toMatchObject({ name: 'TimeoutError' });
      const waiting = stack.config('dhcp');
      setTimeout(() => void stack.close(), 30);
      await expect(waiting).rejects.toMatchObject({ code: 'ENETDOWN' });
    });
  });
});

describe('DHCPv6', () => {
  // With duplicate address detection, as it is by default.
  it('gets an address and names, renews it, and gives it back', async () => {
    const server = await dnsmasq(
      '--dhcp-range=fd00::1:50,fd00::1:60,64,2m', '--dhcp-option=option6:dns-server,[fd00::53]',
      '--dhcp-option=option6:domain-search,six.test,other.test',
    ); // prettier-ignore
    await onBoth(async (stack, driver) => {
      const own = `${driver}.six.test`;
      const done = await stack.config(`eth,dhcp6,fqdn=${own}`, { timing: { ...timing, second: 10 } });
      expect(done, server.output()).toBe(CONFIGURED.ETH | CONFIGURED.DHCP6);
      const given = addresses(stack, 'fd00::1:');
      expect(given).toEqual([expect.stringMatching(/^fd00::1:(5[0-9a-f]|60)\/128$/)]);
      expect(stack.resolvConf).toBe('search six.test other.test\nnameserver fd00::53\n');
      expect(server.output()).toMatch(new RegExp(`DHCPREPLY.*${driver}`));
      const address = given[0]!.split('/')[0]!;
      await until('a renewal', () => server.said('DHCPREPLY', `${address} `) > 1, 4000);
      await stack.config('-dhcp6');
      expect(addresses(stack, 'fd00::1:')).toEqual([]);
    });
    expect(server.output()).toContain('DHCPRENEW');
    await until('the releases', () => server.output().split('DHCPRELEASE').length === 3);
  });

  it('tells only names where routers say that there is no more (O flag)', async () => {
    const server = await dnsmasq(
      '--enable-ra', '--dhcp-range=fd00::,ra-stateless,64', '--dhcp-option=option6:information-refresh-time,60',
      '--dhcp-option=option6:dns-server,[fd00::53]', '--dhcp-option=option6:domain-search,info.test',
    ); // prettier-ignore
    await onBoth(async (stack) => {
      await withoutDuplicates(stack);
      const patient = { ...timing, routerTries: 12 };
      expect(await stack.config('eth,rd,slaac', { timing: patient })).toBe(CONFIGURED.ETH | CONFIGURED.RD);
      expect(stack.resolvConf).toMatch(/^search info\.test\nnameserver fd00::53\n$/);
      await stack.config('-rd');
      expect(stack.resolvConf).toBeUndefined();
    });
    expect(server.output()).toContain('DHCPINFORMATION-REQUEST');
  });
});

describe('router discovery', () => {
  /** What lets radvd answer at once, and not once in 3 s, are the intervals of Mobile IPv6 (RFC 6275 §7.5). */
  const conf = (lines: string): string =>
    `interface eth0 { AdvSendAdvert on; AdvIntervalOpt on; MinDelayBetweenRAs 0.05; MinRtrAdvInterval 0.1; ` +
    `MaxRtrAdvInterval 0.5; ${lines} };`;

  async function radvd(lines: string) {
    const file = join(peer.dir, 'radvd.conf');
    writeFileSync(file, conf(lines));
    await peer.run('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1');
    const words = ['-n', '-d', '5', '-m', 'stderr', '-p', join(peer.dir, 'pid'), '-C', file];
    servers.push(await peer.start(/version .* started|sending/, 'radvd', ...words));
  }

  it('makes addresses of prefixes: EUI-64, or hashes of a name', async () => {
    await radvd(
      'AdvDefaultLifetime 1800; AdvLinkMTU 1400; prefix fc00::/64 { AdvOnLink on; AdvAutonomous off; }; ' +
        'prefix 2001:db8:1::/64 { AdvAutonomous on; }; prefix 2001:db8:2::/48 { AdvAutonomous on; }; ' +
        'RDNSS fc00::53 { AdvRDNSSLifetime 60; }; DNSSL rd.test { AdvDNSSLLifetime 60; };',
    );
    await onBoth(async (stack, driver) => {
      await withoutDuplicates(stack);
      const at = DRIVERS.indexOf(driver) + 5;
      const patient = { ...timing, routerTries: 12 };
      expect(await stack.config(`eth,mac=02:00:00:00:00:0${at},rd,slaac`, { timing: patient })).toBe(
        CONFIGURED.ETH | CONFIGURED.RD,
      );
      expect(addresses(stack)).toContain(`2001:db8:1::ff:fe00:${at}/64`);
      expect([...addresses(stack, 'fc00:'), ...addresses(stack, '2001:db8:2')]).toEqual([]);
      expect(stack.resolvConf).toBe('search rd.test\nnameserver fc00::53\n');
      const viaRouter = (): boolean => stack.netlink((c) => c.routes()).some((r) => r.gateway?.[0] === 0xfe);
      expect(viaRouter()).toBe(true);
      // The stack itself understands advertisements as well, so only the names are ours alone.
      await stack.config('-rd');
      expect(stack.resolvConf).toBeUndefined();
    });
    // One after the other: an address of a name is the same on each of them (IOTH-FACTS §2.5).
    for (const stack of Object.values(stacks)) {
      await stack.config('rd,slaac,fqdn=host2.hash.local', { timing: { ...timing, routerTries: 12 } });
      expect(addresses(stack)).toContain('fc00::4ee:5d2b:291e:1f8e/64');
      await stack.config('-rd');
      expect(addresses(stack, 'fc00:')).toEqual([]);
    }
  });

  it('makes no address without slaac, and finds nobody where nobody is', async () => {
    await onBoth(async (stack) => {
      await withoutDuplicates(stack);
      expect(await stack.config('eth,rd,slaac', { timing })).toBe(CONFIGURED.ETH);
      expect(await stack.config('slaac', { timing })).toBe(0);
    });
    await radvd('AdvDefaultLifetime 1800; prefix fc00::/64 { AdvAutonomous off; };');
    await onBoth(async (stack) => {
      expect(await stack.config('rd,fqdn=host2.hash.local', { timing })).toBe(CONFIGURED.RD);
      expect(addresses(stack, 'fc00:')).toEqual([]);
    });
  });
});

describe('auto', () => {
  it('takes an address and names from all who give some, and gives them back', async () => {
    const server = await dnsmasq(
      '--dhcp-range=10.0.0.50,10.0.0.60,255.255.255.0,2m', '--dhcp-option=6,10.0.0.53', '--enable-ra',
      '--dhcp-range=fd00::1:50,fd00::1:60,64,2m', '--dhcp-option=option6:dns-server,[fd00::53]',
    ); // prettier-ignore
    await onBoth(async (stack, driver) => {
      const patient = { ...timing, second: 10, routerTry: 1000 };
      const all = CONFIGURED.ETH | CONFIGURED.DHCP | CONFIGURED.DHCP6 | CONFIGURED.RD;
      expect(await stack.config('auto', { timing: patient }), `${driver}: ${server.output()}`).toBe(all);
      expect(addresses(stack, '10.')).toHaveLength(1);
      expect(addresses(stack, 'fd00::1:')).toHaveLength(1);
      expect(stack.resolvConf?.match(/nameserver .*/g)?.sort()).toEqual([
        'nameserver 10.0.0.53',
        'nameserver fd00::53',
      ]);
      expect(await stack.config('-auto')).toBe(0);
      expect(addresses(stack, '10.')).toEqual([]);
      expect(addresses(stack, 'fd00::1:')).toEqual([]);
      expect(stack.resolvConf).toBeUndefined();
    });
  });
});

// A sanitizer does not let libvdeplug load its modules (RTLD_DEEPBIND).
if (!sanitized) {
  describe('slirp', () => {
    it('gives all that auto4 asks for', async () => {
      const own = await newStackc('stack=vdestack,vnl=slirp://,auto4', host);
      expect(addresses(own, '10.0.2.')).toHaveLength(1);
      expect(own.resolvConf).toContain('nameserver 10.0.2.3');
      await own.close();
    });
  });
}
