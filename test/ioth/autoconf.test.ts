/** Autoconfiguration, with dnsmasq, radvd and slirp as peers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CONFIGURED, type ApplyOptions } from '../../runtime/ioth/config/index.ts';
import {
  AF,
  type IothHost,
  type IothStack,
  createIothHost,
  formatIp,
  hashMac,
  formatMac,
  newStackOn,
  newStackc,
} from '../../runtime/ioth/index.ts';
import { until } from '../helpers/exec.ts';
import { newPeer, type Peer } from '../helpers/peer.ts';
import { DRIVERS, type Driver } from '../helpers/stacks.ts';
import { sanitized } from '../helpers/tree.ts';

const NET = 'switch://';
/** Short waits, because nobody answers late here. */
const timing: ApplyOptions['timing'] = {
  dhcpTry: 700, dhcpTries: 2, routerTry: 300, routerTries: 2, probeMin: 50, probeMax: 50, announceWait: 50, declined: 50, renewal: 200,
}; // prettier-ignore

let host: IothHost;
let peer: Peer;
let stack: IothStack;
/** What `stack` is. */
let driver: Driver = 'vdestack';

/** Runs the tests of this group on stacks of `kind`. */
function on(kind: Driver): void {
  beforeAll(() => void (driver = kind));
}

beforeAll(async () => {
  host = createIothHost();
  peer = await newPeer(host, NET, '10.0.0.254/24', 'fd00::254/64');
});
afterAll(async () => {
  await peer.close();
  await host.close();
});
beforeEach(async () => {
  stack = await newStackOn(host, driver, NET);
});
const servers: { stop: () => Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
  await stack.close();
});

const addresses = (each = stack): string[] =>
  each.netlink((client) =>
    client
      .addresses()
      .filter(({ index }) => index === 2)
      .map(({ family, local, address, prefixLength }) => {
        const bytes = (local ?? address)!;
        return `${formatIp({ family: family as typeof AF.INET, bytes })}/${prefixLength}`;
      }),
  );

const DNSMASQ = [
  'dnsmasq', '--no-daemon', '--no-resolv', '--no-hosts', '--conf-file=/dev/null', '--pid-file=', '--user=root', '--port=0',
  '--interface=eth0', '--bind-interfaces', '--log-dhcp', '--no-ping',
]; // prettier-ignore

async function dnsmasq(...options: string[]) {
  const leases = join(peer.dir, `leases${Math.random()}`);
  const server = await peer.start(/started, version/, ...DNSMASQ, `--dhcp-leasefile=${leases}`, ...options);
  servers.push(server);
  return server;
}

describe.each(DRIVERS)('DHCPv4 on %s', (kind) => {
  on(kind);
  const OPTIONS = [
    '--dhcp-range=10.0.0.50,10.0.0.60,255.255.255.0,2m', '--dhcp-option=3,10.0.0.254', '--dhcp-option=6,10.0.0.53',
    '--domain=example.org', '--dhcp-authoritative',
  ]; // prettier-ignore

  it('gets an address, a route and names, and gives them back', async () => {
    const server = await dnsmasq(...OPTIONS);
    expect(await stack.config('eth,dhcp,fqdn=renzo.example.org', { timing })).toBe(
      CONFIGURED.ETH | CONFIGURED.DHCP,
    );
    const [address] = addresses().filter((each) => each.startsWith('10.'));
    expect(address).toMatch(/^10\.0\.0\.(5[0-9]|60)\/24$/);
    expect(stack.resolvConf).toBe('search example.org\nnameserver 10.0.0.53\n');
    expect(stack.resolvconf()).toBe(stack.resolvConf);
    expect(stack.resolvconf()).toBeUndefined();
    const mac = formatMac(hashMac('renzo.example.org'));
    expect(server.output()).toMatch(new RegExp(`DHCPACK\\(eth0\\) 10.0.0.5. ${mac} renzo`));
    expect(stack.netlink((client) => client.routes()).some((route) => route.gateway?.[3] === 254)).toBe(true);

    expect(await stack.config('-dhcp')).toBe(0);
    expect(addresses().filter((each) => each.startsWith('10.'))).toEqual([]);
    expect(stack.netlink((client) => client.routes()).some((route) => route.gateway?.[3] === 254)).toBe(
      false,
    );
    expect(stack.resolvConf).toBeUndefined();
    await until('the release', () => server.output().includes('DHCPRELEASE'));
  });

  it('renews its lease by timer, and rebinds when the server is another', async () => {
    // T1 is after 1.2 s, T2 after 2.1 s.
    const quick = { ...timing, second: 20 };
    const first = await dnsmasq(...OPTIONS);
    expect(await stack.config('auto4', { timing: quick })).toBe(CONFIGURED.ETH | CONFIGURED.DHCP);
    const got = addresses();
    await until('a renewal', () => first.output().split('DHCPACK').length > 2, 4000);
    expect(first.output().split('DHCPDISCOVER')).toHaveLength(2);
    await first.stop();
    const second = await dnsmasq(...OPTIONS);
    await until('another renewal', () => second.output().includes('DHCPACK'), 6000);
    expect(second.output()).not.toContain('DHCPDISCOVER');
    expect(addresses()).toEqual(got);
    await second.stop();
  });

  it('looks for another address when its lease has ended', async () => {
    const first = await dnsmasq('--dhcp-range=10.0.0.90,10.0.0.90,2m', '--dhcp-authoritative');
    await stack.config('auto4', { timing: { ...timing, second: 10 } });
    await first.stop();
    await until('the end of the lease', () => !addresses().includes('10.0.0.90/24'), 4000);
    await dnsmasq('--dhcp-range=10.0.0.91,10.0.0.91,2m', '--dhcp-authoritative');
    await until('another lease', () => addresses().includes('10.0.0.91/24'), 4000);
  });

  it('declines an address that somebody has', async () => {
    const server = await dnsmasq('--dhcp-range=10.0.0.70,10.0.0.71,255.255.255.0,2m', '--dhcp-authoritative');
    const other = await newStackc(`stack=vdestack,vnl=${NET},eth,ip=10.0.0.70/24,ip=10.0.0.71/24`, host);
    expect(await stack.config('eth,dhcp', { timing })).toBe(CONFIGURED.ETH);
    expect(server.output()).toMatch(/DHCPDECLINE.*10\.0\.0\.7[01]/);
    expect(addresses().filter((each) => each.startsWith('10.'))).toEqual([]);
    await other.close();
  });

  it('asks again when its request is refused', async () => {
    const server = await dnsmasq('--dhcp-range=10.0.0.80,10.0.0.80,255.255.255.0,2m', '--dhcp-authoritative');
    await stack.config('eth,dhcp', { timing });
    const second = await newStackOn(host, 'vdestack', NET);
    expect(await second.config('eth,dhcp', { timing })).toBe(CONFIGURED.ETH);
    expect(server.output()).toContain('no address available');
    await second.close();
  });

  it('gives up when nobody answers, or earlier', async () => {
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

describe.each(DRIVERS)('DHCPv6 on %s', (kind) => {
  on(kind);
  it('gets an address and names, renews it, and gives it back', async () => {
    const server = await dnsmasq(
      '--dhcp-range=fd00::1:50,fd00::1:60,64,2m', '--dhcp-option=option6:dns-server,[fd00::53]',
      '--dhcp-option=option6:domain-search,six.test,other.test', '--dhcp-authoritative',
    ); // prettier-ignore
    const done = await stack.config('eth,dhcp6,fqdn=renzo.six.test', { timing: { ...timing, second: 20 } });
    expect(done, server.output()).toBe(CONFIGURED.ETH | CONFIGURED.DHCP6);
    expect(addresses().filter((each) => each.startsWith('fd00::1:'))).toEqual([
      expect.stringMatching(/^fd00::1:(5[0-9a-f]|60)\/128$/),
    ]);
    expect(stack.resolvConf).toBe('search six.test other.test\nnameserver fd00::53\n');
    expect(server.output()).toMatch(/DHCPREPLY.*renzo/);
    await until('a renewal', () => server.output().includes('DHCPRENEW'), 4000);
    await stack.config('-dhcp6');
    expect(addresses().filter((each) => each.startsWith('fd00::1:'))).toEqual([]);
    await until('the release', () => server.output().includes('DHCPRELEASE'));
  });

  it('tells only names where routers say that there is no more (O flag)', async () => {
    const server = await dnsmasq(
      '--enable-ra', '--dhcp-range=fd00::,ra-stateless,64', '--dhcp-option=option6:information-refresh-time,60',
      '--dhcp-option=option6:dns-server,[fd00::53]', '--dhcp-option=option6:domain-search,info.test',
    ); // prettier-ignore
    const patient = { ...timing, routerTries: 12 };
    expect(await stack.config('eth,rd,slaac', { timing: patient })).toBe(CONFIGURED.ETH | CONFIGURED.RD);
    expect(server.output()).toContain('DHCPINFORMATION-REQUEST');
    expect(stack.resolvConf).toMatch(/^search info\.test\nnameserver fd00::53\n$/);
    await stack.config('-rd');
    expect(stack.resolvConf).toBeUndefined();
  });
});

describe.each(DRIVERS)('router discovery on %s', (kind) => {
  on(kind);
  const conf = (lines: string): string =>
    `interface eth0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; ${lines} };`;

  async function radvd(lines: string) {
    const file = join(peer.dir, 'radvd.conf');
    writeFileSync(file, conf(lines));
    await peer.run('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1');
    servers.push(
      await peer.start(
        /version .* started|sending/,
        'radvd',
        '-n',
        '-d',
        '5',
        '-m',
        'stderr',
        '-p',
        join(peer.dir, 'pid'),
        '-C',
        file,
      ),
    );
  }

  it('makes addresses of prefixes: EUI-64, or hashes of a name', async () => {
    await radvd(
      'AdvDefaultLifetime 1800; AdvLinkMTU 1400; prefix fc00::/64 { AdvOnLink on; AdvAutonomous off; }; ' +
        'prefix 2001:db8:1::/64 { AdvAutonomous on; }; prefix 2001:db8:2::/48 { AdvAutonomous on; }; ' +
        'RDNSS fc00::53 { }; DNSSL rd.test { };',
    );
    // radvd answers once in 3 s.
    const patient = { ...timing, routerTries: 12 };
    expect(await stack.config('eth,mac=02:00:00:00:00:05,rd,slaac', { timing: patient })).toBe(
      CONFIGURED.ETH | CONFIGURED.RD,
    );
    expect(addresses()).toContain('2001:db8:1::ff:fe00:5/64');
    expect(addresses().some((each) => each.startsWith('fc00:') || each.startsWith('2001:db8:2'))).toBe(false);
    expect(stack.resolvConf).toBe('search rd.test\nnameserver fc00::53\n');
    const viaRouter = (): boolean => stack.netlink((c) => c.routes()).some((r) => r.gateway?.[0] === 0xfe);
    expect(viaRouter()).toBe(true);
    await stack.config('-rd,rd,slaac,fqdn=host2.hash.local', { timing: patient });
    // IOTH-FACTS §2.5.
    expect(addresses()).toContain('fc00::4ee:5d2b:291e:1f8e/64');
    await stack.config('-rd');
    expect(addresses()).not.toContain('fc00::4ee:5d2b:291e:1f8e/64');
    expect(stack.resolvConf).toBeUndefined();
  });

  it('makes no address without slaac, and finds nobody where nobody is', async () => {
    expect(await stack.config('eth,rd,slaac', { timing })).toBe(CONFIGURED.ETH);
    expect(await stack.config('slaac', { timing })).toBe(0);
    await radvd('AdvDefaultLifetime 1800; prefix fc00::/64 { AdvAutonomous off; };');
    expect(await stack.config('rd,fqdn=host2.hash.local', { timing })).toBe(CONFIGURED.RD);
    expect(addresses().some((each) => each.startsWith('fc00:'))).toBe(false);
  });
});

// A sanitizer does not let libvdeplug load its modules (RTLD_DEEPBIND).
if (!sanitized) {
  describe('slirp', () => {
    it('gives all that auto4 asks for', async () => {
      const own = await newStackc('stack=vdestack,vnl=slirp://,auto4', host);
      expect(addresses(own).filter((each) => each.startsWith('10.0.2.'))).toHaveLength(1);
      expect(own.resolvConf).toContain('nameserver 10.0.2.3');
      await own.close();
    });
  });
}
