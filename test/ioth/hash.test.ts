/** Addresses made from names, with the vectors of IOTH-FACTS §5 and §6. */
import { describe, expect, it } from 'vitest';
import { eui64, hashAddress, hashEui64, hashMac, otipTime } from '../../runtime/ioth/config/hash.ts';
import { formatIp, formatMac, parseIp, parseMac } from '../../runtime/ioth/netlink/address.ts';

const A63 = 'a'.repeat(63);
const B63 = 'b'.repeat(63);

describe('hashaddr', () => {
  it.each([
    ['fc00::', 'renzo.hash.local', 'fc00::4cc:8049:6765:d03a'],
    ['fc00::', 'hicsuntleones.hash.local', 'fc00::9ce7:b35f:d928:ed8a'],
    ['fc00::', 'hic_sunt_leones.hash.local', 'fc00::9c8f:74b4:705f:6512'],
    ['fc00::', 'hash.test.local', 'fc00::f4b7:a5a9:259b:fb70'],
    ['fc00::', 'host.hash.local', 'fc00::3c33:4b38:1351:d163'],
    ['fc00::', 'www.hash.local', 'fc00::a00e:188a:2971:90c9'],
    ['fc00::', 'xx.hash.local', 'fc00::20d3:d9f9:6406:e096'],
    ['fc00::', 'host2.hash.local', 'fc00::4ee:5d2b:291e:1f8e'],
    ['fc00::', 'x.h.local', 'fc00::d820:7ff6:b841:d65a'],
    ['fc00::', 'base.hash.local', 'fc00::586d:4556:6e0f:d864'],
    ['fc00::', 'RENZO.hash.local', 'fc00::3c6b:12ae:d181:7424'],
    ['fc00::', 'renzo.hash.local.', 'fc00::4cc:8049:6765:d03a'],
    ['fc00::', 'renzo.hash.local..', 'fc00::a868:3139:d144:5c9a'],
    ['fc00::', '.', 'fc00::d41d:8cd9:8f00:b204'],
    ['fc00::', 'a', 'fc00::cc1:75b9:c0f1:b6a8'],
    ['fc00::', 'localhost', 'fc00::401a:a90e:79f:a326'],
    ['fc00::', 'xn--caf-dma.hash.local', 'fc00::583f:46a1:5525:877'],
    ['fc00::', 'hèllo.hash.local', 'fc00::9850:7568:4ecf:a135'],
    ['fc00::', `${A63}.${B63}.hash.local`, 'fc00::60db:4a13:1e52:2673'],
    ['fc00::', 'foo.hash.mydomain.org', 'fc00::f069:c314:e02d:9be1'],
    ['fc00::1', 'renzo.hash.local', 'fc00::4cc:8049:6765:d03b'],
    ['2001:db8:1:2::', 'renzo.hash.local', '2001:db8:1:2:4cc:8049:6765:d03a'],
    ['2001:db8:1:2:ffff:ffff:ffff:ffff', 'renzo.hash.local', '2001:db8:1:2:f833:7fb6:989a:2fc5'],
    ['fd00:0:0:1:0300::', 'renzo.hash.local', 'fd00::1:4cc:8049:6765:d03a'],
    ['::', 'renzo.hash.local', '::4cc:8049:6765:d03a'],
    ['2000:760::', 'test.v2.cs.unibo.it', '2000:760::68d6:2fac:95a:5a2e'],
    ['2001:760:2e00:ff00::', 'renzo.hash.v2.cs.unibo.it', '2001:760:2e00:ff00:6066:4f84:db3e:c9cb'],
    ['2001:760:2e00:ff00::', 'lucia.hash.v2.cs.unibo.it', '2001:760:2e00:ff00:cf1:1fe9:aad4:e838'],
    [
      '2001:760:2e00:ff00::',
      'whatever-you-want.hash.v2.cs.unibo.it',
      '2001:760:2e00:ff00:542d:ffcb:17e:8fa7',
    ],
    ['2001:1000:2000:3000::', 'bar.hash.mydomain.org', '2001:1000:2000:3000:e05e:5e90:853b:9e59'],
  ])('on %s of %s', (base, name, address) => {
    expect(formatIp(hashAddress(parseIp(base)!, name))).toBe(address);
  });

  it('needs a name and an IPv6 base', () => {
    expect(() => hashAddress(parseIp('fc00::')!, '')).toThrow(/empty name/);
    expect(() => hashAddress(parseIp('10.0.0.1')!, 'a')).toThrow(/IPv6/);
  });
});

describe('otipaddr', () => {
  it.each([
    ['fc00::', 'renzo.otip.local', 'mypassword', 1770000000, 32, 55312500, 'fc00::f4e4:877e:dee1:17b3'],
    ['fc00::', 'renzo.otip.local', 'mypassword', 1770000031, 32, 55312500, 'fc00::f4e4:877e:dee1:17b3'],
    ['fc00::', 'renzo.otip.local', 'mypassword', 1770000032, 32, 55312501, 'fc00::a4bd:a1da:6aec:4dec'],
    ['fc00::', 'renzo.otip.local', 'mypassword', 1700000000, 32, 53125000, 'fc00::9446:d39a:8ce3:8bf9'],
    ['fc00::', 'renzo.otip.local', 'mypassword', 1000000000, 32, 31250000, 'fc00::7431:e20:67c9:632c'],
    ['fc00::', 'renzo.otip.local', 'mypassword', 2147483647, 32, 67108863, 'fc00::60f4:6c2e:c1f6:1ff3'],
    ['fc00::', 'renzo.otip.local', 'mypassword', 1770000000, 64, 27656250, 'fc00::8:a770:bb14:cf6d'],
    ['fc00::', 'renzo.otip.local', 'mypassword', 1700000000, 64, 26562500, 'fc00::2465:3071:cbe9:f9df'],
    ['fc00::', 'renzo.otip.local', 'mypassword', 1770000000, 1, 1770000000, 'fc00::90dd:9623:4504:c72f'],
    ['fc00::', 'renzo.otip.local', 'mypassword', 1234567890, 0, 0, 'fc00::6c23:a13:5b99:1d66'],
    ['fc00::', 'renzo.otip.local', '', 1770000000, 32, 55312500, 'fc00::3cf1:fa5b:b795:dc73'],
    [
      '2001:db8:0:1::',
      'otip.test.local',
      'secret',
      1770000000,
      32,
      55312500,
      '2001:db8:0:1:4c0f:1150:71b:c389',
    ],
    [
      '2001:db8:0:1::',
      'otip.test.local',
      'secret',
      1700000000,
      32,
      53125000,
      '2001:db8:0:1:1819:9c6e:c3c3:8106',
    ],
    [
      '2001:760:2e00:ff00::',
      'renzo.otip',
      'mypassword',
      1768905120,
      32,
      55278285,
      '2001:760:2e00:ff00:1ca6:9bca:b9df:9256',
    ],
    [
      '2001:760:2e00:ff00::',
      'renzo.otip',
      'mypassword',
      1768905151,
      32,
      55278285,
      '2001:760:2e00:ff00:1ca6:9bca:b9df:9256',
    ],
    [
      '2001:760:2e00:ff00::',
      'renzo.otip',
      'mypassword',
      1768905888,
      32,
      55278309,
      '2001:760:2e00:ff00:c8f2:6482:d4fb:b275',
    ],
    [
      '2001:760:2e00:ff00::',
      'renzo.otip',
      'mypassword',
      1768905919,
      32,
      55278309,
      '2001:760:2e00:ff00:c8f2:6482:d4fb:b275',
    ],
  ] as const)(
    'on %s of %s, password «%s», at %d, period %d',
    (base, name, password, time, period, slot, address) => {
      expect(otipTime(time, period)).toBe(slot);
      expect(formatIp(hashAddress(parseIp(base)!, name, { password, otipTime: slot }))).toBe(address);
    },
  );

  it('adds the offset before it divides', () => {
    expect(otipTime(1770000031, 32, 1)).toBe(55312501);
    expect(otipTime(2 ** 37, 32)).toBe(0);
  });

  it('takes the password as a part of the name', () => {
    const base = parseIp('fc00::')!;
    expect(hashAddress(base, 'renzo.otip.local', { password: 'mypassword' })).toEqual(
      hashAddress(base, 'renzo.otip.loca', { password: 'lmypassword' }),
    );
  });
});

describe('Ethernet addresses and EUI-64', () => {
  it.each([
    ['renzo.hash.local', '06:cc:80:65:d0:3a', 'fc00::4cc:80ff:fe65:d03a', '4e:7f:e1:82:63:a2'],
    ['hicsuntleones.hash.local', '9e:e7:b3:28:ed:8a', 'fc00::9ce7:b3ff:fe28:ed8a', 'b2:ec:f0:86:4a:2e'],
    ['test.v2.cs.unibo.it', '6a:d6:2f:5a:5a:2e', 'fc00::68d6:2fff:fe5a:5a2e', '62:93:89:6b:a5:60'],
    ['host.hash.local', '3e:33:4b:51:d1:63', 'fc00::3c33:4bff:fe51:d163', 'c2:6d:54:06:3b:3a'],
    ['myhost.local', '1e:d2:1c:bf:2a:69', 'fc00::1cd2:1cff:febf:2a69', '0e:b9:74:0b:e0:b5'],
  ])('of %s', (name, mac, address, withPassword) => {
    expect(formatMac(hashMac(name))).toBe(mac);
    expect(formatMac(hashMac(`${name}.`))).toBe(mac);
    expect(formatIp(hashEui64(parseIp('fc00::')!, name))).toBe(address);
    expect(formatMac(hashMac(name, 'mypass'))).toBe(withPassword);
  });

  it.each([
    ['fe80::', '80:00:11:22:33:44', 'fe80::8200:11ff:fe22:3344'],
    ['2001:db8::1', '80:00:11:22:33:44', '2001:db8::8200:11ff:fe22:3345'],
    ['fe80::', '02:00:00:00:00:01', 'fe80::ff:fe00:1'],
    ['fe80::', '52:54:00:12:34:56', 'fe80::5054:ff:fe12:3456'],
  ])('on %s with %s', (base, mac, address) => {
    expect(formatIp(eui64(parseIp(base)!, parseMac(mac)!))).toBe(address);
  });
});
