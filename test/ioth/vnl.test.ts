import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseVnl, splitInterface, VnlError } from '../../runtime/ioth/vnl.ts';

const dir = mkdtempSync(join(tmpdir(), 'umvu-vnl-'));
afterAll(() => rmSync(dir, { recursive: true }));
const context = { cwd: dir, home: join(dir, 'home') };
const parse = (text: string) => parseVnl(text, context);

describe('splitInterface', () => {
  it.each([
    ['vde:///tmp/x', undefined, 'vde:///tmp/x'],
    ['eth0:vde:///tmp/x', 'eth0', 'vde:///tmp/x'],
    ['wan:null://', 'wan', 'null://'],
    ['eth0:/tmp/x', 'eth0', '/tmp/x'],
    ['eth0:', 'eth0', ''],
    ['/tmp/a:b', undefined, '/tmp/a:b'],
    ['udp://1234->host:5678', undefined, 'udp://1234->host:5678'],
    ['cmd://ssh h vde_plug vde:///x', undefined, 'cmd://ssh h vde_plug vde:///x'],
    ['', undefined, ''],
  ])('%s', (text, name, vnl) => {
    expect(splitInterface(text)).toEqual(name === undefined ? { vnl } : { name, vnl });
  });
  it.each(['sixteen-letters-:vde://', ' :vde://', '..:null://'])('refuses %s', (text) => {
    expect(() => splitInterface(text)).toThrow(VnlError);
  });
});

describe('servers', () => {
  const defaults = { mode: 0o600, dirMode: 0o2700, hashSize: 256, expireSeconds: 120 };
  it.each([
    ['hub://', { scheme: 'hub', ...defaults }],
    ['switch://', { scheme: 'switch', ...defaults }],
    ['hub:///tmp/h', { scheme: 'hub', path: '/tmp/h', ...defaults }],
    ['hub://h', { scheme: 'hub', path: join(dir, 'h'), ...defaults }],
    [
      'hub://[delay=1.5ms/jitter=10us/loss=0.5%/rate=2mbit]',
      { link: { delay: 1500, jitter: 10, loss: 0.005, rate: 2e6, limit: 1000 } },
    ],
    ['switch:///tmp/s[limit=20]', { link: { delay: 0, jitter: 0, loss: 0, rate: 0, limit: 20 } }],
    ['hub:///tmp/h[d=2770]', { dirMode: 0o2770 }],
    ['hub:///tmp/h[mode=0660]', { path: '/tmp/h', mode: 0o660, dirMode: 0o2770 }],
    ['hub:///tmp/h[mode=0700]', { mode: 0o600, dirMode: 0o2700 }],
    ['hub:///tmp/h[m=644/g=users]', { mode: 0o644, dirMode: 0o2755, group: 'users' }],
    ['hub:///tmp/h[mode=600/dirmode=711]', { mode: 0o600, dirMode: 0o711 }],
    ['switch:///tmp/s[hashsize=1024/e=30]', { hashSize: 1024, expireSeconds: 30 }],
    ['switch:///tmp/s[h=8]', { hashSize: 8 }],
    ['hub:///tmp/a%20b', { path: '/tmp/a b' }],
    ["hub:///tmp/'a[b'", { path: '/tmp/a[b' }],
    ['hub:///tmp/h[grp="a/b"]', { group: 'a/b' }],
    ['hub:///tmp/h[]', { path: '/tmp/h' }],
  ])('%s', (text, expected) => {
    expect(parse(text)).toMatchObject(expected);
  });
});

describe('clients', () => {
  it.each([
    ['vde:///tmp/s', ['/tmp/s'], 0],
    ['/tmp/s', ['/tmp/s'], 0],
    ['s', [join(dir, 's')], 0],
    ['vde:///tmp/s[5]', ['/tmp/s'], 5],
    ['/tmp/s[5]', ['/tmp/s'], 5],
    ['vde:///tmp/s[port=5/group=g/mode=660]', ['/tmp/s'], 5],
    ['vde:///tmp/s[p=7]', ['/tmp/s'], 7],
    ['vde:///tmp/s[5/mode=0660]', ['/tmp/s'], 5],
    ['vde://', ['/var/run/vde.ctl', '/tmp/vde.ctl'], 0],
    ['', ['/var/run/vde.ctl', '/tmp/vde.ctl'], 0],
  ])('%s', (text, paths, port) => {
    expect(parse(text)).toMatchObject({ scheme: 'vde', paths, port });
  });
});

describe('other schemes', () => {
  it.each([
    ['vxvde://239.0.0.1', 'vxvde'],
    ['udp://10000->host:10001', 'udp'],
    ['cmd://ssh host vde_plug vde:///tmp/x', 'cmd'],
    ['vlan://3/t=4{vde:///tmp/x}', 'vlan'],
    ['slirp:///tcpfwd=8080:10.0.2.15:80', 'slirp'],
  ])('%s belongs to libvdeplug', (text, module) => {
    expect(parse(text)).toEqual({ scheme: 'plug', text, module });
  });
  it('null://', () => expect(parse('null://')).toEqual({ scheme: 'null', text: 'null://' }));
});

describe('files', () => {
  it('a file holds a locator in its first line', () => {
    writeFileSync(join(dir, 'lan'), 'vxvde://234.0.0.1\nsecond line\n');
    expect(parse('lan')).toMatchObject({ scheme: 'plug', text: 'vxvde://234.0.0.1' });
  });
  it('an empty text is the default file of the user', () => {
    mkdirSync(join(dir, 'with/.vdeplug'), { recursive: true });
    writeFileSync(join(dir, 'with/.vdeplug/default'), 'hub://\n');
    expect(parseVnl('', { cwd: dir, home: join(dir, 'with') })).toMatchObject({ scheme: 'hub' });
  });
  it('files that name each other end', () => {
    writeFileSync(join(dir, 'a'), join(dir, 'b'));
    writeFileSync(join(dir, 'b'), join(dir, 'a'));
    expect(() => parse('a')).toThrow(VnlError);
  });
});

describe('mistakes name the word', () => {
  it.each([
    ['hub:///x[mod=8]', '8'],
    ['hub:///x[colour=red]', 'colour'],
    ['hub:///x[mode]', 'mode'],
    ['hub:///x[mode=0600', '[mode=0600'],
    ['switch:///x[hashsize=0]', '0'],
    ['switch:///x[expiretime=soon]', 'soon'],
    ['vde:///x[99999999]', '99999999'],
    ['vde:///x[port=-1]', '-1'],
    ['null://x', 'x'],
    ['../evil://x', '../evil'],
    ['://x', ''],
    ['hub:///x[=3]', '=3'],
    ['hub:///a%00b', '/a%00b'],
    ['hub:///a\0b', '"\\u0000"'],
    ["hub:///x[grp='a]", "/x[grp='a]"],
  ])('%s', (text, word) => {
    const error = (() => {
      try {
        return parse(text);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(VnlError);
    expect(error).toMatchObject({ word, code: 'EINVAL' });
  });
});
