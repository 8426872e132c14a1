/** The configuration grammar (IOTH-FACTS §2), and what it does to a stack. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Errno } from '../../runtime/errno.ts';
import {
  CONFIGURED,
  applyConfig,
  hashMac,
  parseConfig,
  parseWords,
  resolvConf,
} from '../../runtime/ioth/config/index.ts';
import { createIothHost, type IothHost } from '../../runtime/ioth/host.ts';
import { NetlinkClient, formatIp, formatMac, parseIp } from '../../runtime/ioth/netlink/index.ts';
import { newStack, newStackFromConfig, splitDriver } from '../../runtime/ioth/newstack.ts';
import { AF, type Stack } from '../../runtime/ioth/stack.ts';
import { DRIVERS } from '../helpers/stacks.ts';

/** The error that `action` throws. */
async function failure(action: () => unknown): Promise<Errno> {
  try {
    await action();
  } catch (error) {
    if (error instanceof Errno) return error;
    throw error;
  }
  throw new Error('no error');
}

describe('words', () => {
  const words = (text: string) =>
    parseWords(text).map(({ tag, value }) => (value === undefined ? tag : `${tag}=${value}`));

  it('are separated by blanks, commas, semicolons and newlines', () => {
    expect(words('eth ip=1,,gw=2;\tdns=3\n dhcp')).toEqual(['eth', 'ip=1', 'gw=2', 'dns=3', 'dhcp']);
    expect(words(' ,;\n')).toEqual([]);
  });

  it('keep separators that are quoted, escaped or in braces', () => {
    expect(words(`vnl='vde:///a b' vnl="x,y" vnl=p\\,q vnl=vlan://7{vde:///c[d,e]} 'eth'`)).toEqual([
      'vnl=vde:///a b', 'vnl=x,y', 'vnl=p,q', 'vnl=vlan://7{vde:///c[d,e]}', 'eth',
    ]); // prettier-ignore
  });

  it('end at comments', () => {
    expect(words('eth # ip=1,"\nip=2#x')).toEqual(['eth', 'ip=2']);
  });

  it('split at the first equals sign and know their place', () => {
    expect(parseWords('  a=b=c d=')).toEqual([
      { tag: 'a', value: 'b=c', position: 3 },
      { tag: 'd', value: '', position: 9 },
    ]);
  });

  it.each([
    [`eth,ip='1`, `«ip='1» (character 8 of the configuration): ' without its end`],
    ['eth,vnl=a{b{c}', '«vnl=a{b{c}» (character 10 of the configuration): { without its end'],
    ['x\\', '«x\\» (character 2 of the configuration): \\ without its end'],
    ['eth "', '«"» (character 5 of the configuration): " without its end'],
  ])('must be finished: %s', async (text, message) => {
    expect(await failure(() => parseWords(text))).toMatchObject({ code: 'EINVAL', message });
  });
});

describe('configurations', () => {
  it('collect addresses, with the usual prefix lengths', () => {
    const [config] = parseConfig(
      'eth,ip=10.0.0.1,ip=10.0.0.2/8,ip=fc00::1,ip=fc00::2/128,gw=fc00::ff,domain=a,domain=b',
    ).interfaces;
    expect(config?.addresses.map((a) => `${formatIp(a)}/${a.prefixLength}`)).toEqual([
      '10.0.0.1/24', '10.0.0.2/8', 'fc00::1/64', 'fc00::2/128',
    ]); // prettier-ignore
    expect(config).toMatchObject({ eth: true, domains: ['a', 'b'], gateways: [{ family: AF.INET6 }] });
  });

  it.each([
    ['ip=notanip', 'not an IP address'],
    ['ip=10.0.0.1/33', 'from 0 to 32'],
    ['ip=fc00::1/129', 'from 0 to 128'],
    ['ip=10.0.0.1/', 'from 0 to 32'],
    ['ip=10.0.0.1/-1', 'from 0 to 32'],
    ['ip', 'value is missing'],
    ['gw=10.0.0.1/8', 'not an IP address'],
    ['dns=one.one', 'not an IP address'],
    ['mac=1:2:3', 'not an Ethernet address'],
    ['mac=01:00:5e:00:00:01', 'multicast'],
    ["domain='a\nnameserver 1.2.3.4'", 'not a domain name'],
    ['domain=a..b', 'not a domain name'],
    [`fqdn=${'x'.repeat(64)}.test`, 'not a domain name'],
    ['ifindex=x', 'index'],
    ['iface=', 'value is missing'],
    ['eth=1', 'takes no value'],
    ['ETH', 'unknown word'],
    ['dhcpcv4', 'unknown word'],
    ['toString', 'unknown word'],
    ['vnl=hub://', 'unknown word'],
    ['stack=null', 'unknown word'],
  ])('refuse %s', async (text, why) => {
    const error = await failure(() => parseConfig(`eth,${text}`));
    expect(error.code).toBe('EINVAL');
    expect(error.message).toContain(why);
    expect(error.message).toContain('character 5');
  });

  it.each([
    ['dhcp', 'dhcp'], ['dhcp4', 'dhcp'], ['dhcpv4', 'dhcp'], ['dhcp6', 'dhcp6'], ['dhcpv6', 'dhcp6'], ['rd', 'rd'],
    ['rd6', 'rd'], ['auto', 'eth dhcp dhcp6 rd'], ['auto4', 'eth dhcp'], ['autov4', 'eth dhcp'],
    ['auto6', 'eth dhcp6 rd'], ['autov6', 'eth dhcp6 rd'], ['slaac', ''], ['eth', 'eth'],
  ])('start with %s what it stands for, and undo it with a dash', (word, sources) => {
    const [config] = parseConfig(word).interfaces;
    expect([...(config!.eth ? ['eth'] : []), ...config!.sources].join(' ')).toBe(sources);
    expect(config!.slaac).toBe(word === 'slaac');
    if (word !== 'slaac') expect([...parseConfig(`-${word}`).interfaces[0]!.undo].join(' ')).toBe(sources);
  }); // prettier-ignore

  it('are about one interface, or have a section for each', () => {
    const names = (text: string) =>
      parseConfig(text).interfaces.map((i) => [i.iface ?? i.ifindex, i.eth, i.addresses.length]);
    expect(names('eth,ip=10.0.0.1')).toEqual([[undefined, true, 1]]);
    expect(names('eth,iface=vde1,ip=10.0.0.1')).toEqual([['vde1', true, 1]]);
    expect(names('eth,iface=vde0,ip=10.0.0.1,iface=vde1,ip=10.1.0.1,ifindex=4,eth')).toEqual([
      ['vde0', true, 1], ['vde1', false, 1], [4, true, 0],
    ]); // prettier-ignore
  });

  it('hash names into Ethernet addresses (IOTH-FACTS §5.3)', () => {
    const mac = (name: string) => formatMac(hashMac(name));
    expect(mac('renzo.hash.local')).toBe('06:cc:80:65:d0:3a');
    expect(mac('renzo.hash.local.')).toBe('06:cc:80:65:d0:3a');
    expect(mac('hicsuntleones.hash.local')).toBe('9e:e7:b3:28:ed:8a');
    expect(mac('myhost.local')).toBe('1e:d2:1c:bf:2a:69');
  });

  it('become a resolv.conf', () => {
    const servers = ['8.8.8.8', 'fc00::53', '8.8.8.8'].map((text) => parseIp(text)!);
    expect(resolvConf(['hash.local', 'example.org', 'hash.local'], servers)).toBe(
      'search hash.local example.org\nnameserver fc00::53\nnameserver 8.8.8.8\n',
    );
    expect(resolvConf([], [])).toBeUndefined();
  });

  it('name drivers with options', () => {
    expect(splitDriver('vdestack,mtu=9000,x')).toEqual({
      driver: 'vdestack',
      options: { mtu: '9000', x: '1' },
    });
    expect(splitDriver('')).toEqual({ driver: 'kernel', options: {} });
  });
});

describe('a stack', () => {
  let host: IothHost;
  beforeAll(() => {
    host = createIothHost();
  });
  afterAll(() => host.close());

  const addresses = (stack: Stack, index: number) =>
    NetlinkClient.with(stack, (client) =>
      client
        .addresses()
        .filter((a) => a.index === index)
        .map(
          (a) =>
            `${formatIp({ family: a.family as 2 | 10, bytes: a.local ?? a.address! })}/${a.prefixLength}`,
        )
        .filter((text) => !text.startsWith('fe80')),
    );
  const link = (stack: Stack, index: number) =>
    NetlinkClient.with(stack, (client) => client.links().find((l) => l.index === index)!);

  describe.each(DRIVERS)('of kind %s', (driver) => {
    it('is opened and configured by one string', async () => {
      const stack = await newStackFromConfig(
        `stack=${driver},vnl=hub://,eth,mac=02:00:00:00:00:07,ip=10.0.0.1/24,ip=fc00::1,gw=10.0.0.254,gw=fc00::ff,dns=10.0.0.53,domain=d.local`,
        host,
      );
      expect(addresses(stack, 2)).toEqual(['10.0.0.1/24', 'fc00::1/64']);
      expect(link(stack, 2)).toMatchObject({ name: 'vde0', mtu: 1500, queueLength: 1000 });
      expect(formatMac(link(stack, 2).address!)).toBe('02:00:00:00:00:07');
      expect(link(stack, 2).flags & 1).toBe(1);
      expect(stack.resolvConf).toBe('search d.local\nnameserver 10.0.0.53\n');
      await stack.close();
    });

    it('answers the vectors of ioth_config (IOTH-FACTS §2.8)', async () => {
      const stack = await newStack(driver, [{ vnl: 'null://' }], {}, host);
      const isUp = () => (link(stack, 2).flags & 1) === 1;
      expect(await applyConfig(stack, '')).toBe(0);
      expect(await applyConfig(stack, 'mac=02:00:00:00:00:09')).toBe(0);
      expect(isUp()).toBe(false);
      expect(await applyConfig(stack, 'eth,fqdn=renzo.hash.local')).toBe(CONFIGURED.ETH);
      expect(formatMac(link(stack, 2).address!)).toBe('06:cc:80:65:d0:3a');
      expect(isUp()).toBe(true);
      expect(await applyConfig(stack, 'ip=10.0.0.1/24')).toBe(CONFIGURED.STATIC);
      expect(await applyConfig(stack, 'eth ip=10.0.0.3')).toBe(3);
      expect(await applyConfig(stack, "eth;ip='10.0.0.4/16'")).toBe(3);
      expect(await applyConfig(stack, '-eth')).toBe(0);
      expect(isUp()).toBe(false);
      await stack.close();
    });

    it('accumulates, takes back and can be configured twice', async () => {
      const stack = await newStack(driver, [{ vnl: 'null://' }], {}, host);
      const config = 'eth,ip=10.0.0.1,gw=10.0.0.254,dns=10.0.0.53';
      await applyConfig(stack, config);
      await applyConfig(stack, config);
      await applyConfig(stack, 'ip=10.0.0.2,dns=fc00::53');
      expect(addresses(stack, 2)).toEqual(['10.0.0.1/24', '10.0.0.2/24']);
      expect(stack.resolvConf).toBe('nameserver fc00::53\nnameserver 10.0.0.53\n');
      await applyConfig(stack, '-gw,-ip,-dns,-dhcp,ip=10.0.0.9');
      expect(addresses(stack, 2)).toEqual(['10.0.0.9/24']);
      expect(stack.resolvConf).toBeUndefined();
      await applyConfig(stack, 'gw=10.0.0.1');
      expect(await failure(() => applyConfig(stack, 'gw=10.0.0.2'))).toMatchObject({ code: 'EEXIST' });
      await stack.close();
    });

    it('has several interfaces, named or numbered by their place', async () => {
      const stack = await newStackFromConfig(
        `stack=${driver},vnl=wan:hub://,vnl=hub://,ip=10.0.0.1,iface=wan,iface=vde1,ip=10.1.0.1,eth`,
        host,
      );
      const names = NetlinkClient.with(stack, (client) => client.links().map((l) => l.name));
      expect(names).toEqual(['lo', 'wan', 'vde1']);
      expect(addresses(stack, 2)).toEqual(['10.0.0.1/24']);
      expect(addresses(stack, 3)).toEqual(['10.1.0.1/24']);
      await stack.close();
    });

    it.each([
      [`stack=${driver},vnl=null://,iface=vde7,eth`, 'ENODEV', 'vde7'],
      [`stack=${driver},vnl=null://,ifindex=77,eth`, 'ENODEV', '77'],
      [`stack=${driver},vnl=null://,gw=10.0.0.1`, 'ENETUNREACH', 'gw=10.0.0.1'],
      [`stack=${driver},vnl=null://,bogus`, 'EINVAL', 'bogus'],
      [`stack=${driver},vnl=a/b:null://`, 'EINVAL', 'a/b:null'],
      [`eth,stack=${driver},vnl=hub:///x[mod=8]`, 'EINVAL', `character ${12 + driver.length}`],
      [`eth,vnl=':null://'`, 'EINVAL', 'character 5'],
      [`eth,stack='${driver},mtu=x'`, 'EINVAL', 'character 5'],
      [`stack='${driver},mtu=x'`, 'EINVAL', 'mtu=x'],
      [`stack='${driver},mtu=99999',vnl=null://`, 'EINVAL', 'mtu'],
    ])('refuses %s', async (text, code, word) => {
      const error = await failure(() => newStackFromConfig(text, host));
      expect(error.message.toLowerCase()).toContain(word.toLowerCase());
      expect(error.code).toBe(code);
    });
  });

  it.each([
    ['stack=nosuch', 'EOPNOTSUPP', 'nosuch'],
    ['eth stack=nosuch', 'EOPNOTSUPP', '«stack=nosuch» (character 5'],
    ["stack='kernel,x=1'", 'EINVAL', 'x'],
    ['stack=null,eth', 'EAFNOSUPPORT', ''],
  ])('refuses %s', async (text, code, word) => {
    const error = await failure(() => newStackFromConfig(text, host));
    expect(error.message).toContain(word);
    expect(error.code).toBe(code);
  });

  it('is the null or the kernel stack where that is asked for', async () => {
    const nothing = await newStackFromConfig('stack=null', host);
    expect((await failure(() => nothing.socket(AF.INET, 1, 0))).code).toBe('EAFNOSUPPORT');
    const kernel = await newStackFromConfig('', host);
    expect(kernel).toMatchObject({ driver: 'kernel', isHost: true });
    await kernel.close();
    expect((await failure(() => kernel.socket(AF.INET, 1, 0))).code).toBe('ENETDOWN');
  });
});
