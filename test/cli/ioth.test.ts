/** The commands of the IoTh library: hashaddr, otipaddr, and ipconf in a namespace and in umvu. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatMac, hashMac } from '../../runtime/ioth/index.ts';
import { exec } from '../helpers/exec.ts';
import { newNetns, type Netns } from '../helpers/netns.ts';
import { sanitized, tree } from '../helpers/tree.ts';
import { umvu } from '../helpers/umvu.ts';
import { USERS } from '../helpers/users.ts';

const DIR = join(tree(), 'dist/runtime/cli/ioth');
const clean = sanitized ? ['--require', join(tree(), 'clean.cjs')] : [];
const node = (file: string): string[] => [process.execPath, ...clean, file];

let scratch: string;
let netns: Netns;
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'ioth-cli-'));
  for (const name of ['hashaddr', 'otipaddr']) symlinkSync(join(DIR, 'otipaddr.js'), join(scratch, name));
  netns = await newNetns();
  await netns.device('veth', 'vde0', false);
});
afterAll(async () => {
  await netns.close();
  rmSync(scratch, { recursive: true });
});

const addr = (name: string, ...args: string[]) => {
  const [command, ...rest] = node(join(scratch, name));
  return exec(command!, [...rest, ...args], { timeout: 10_000 });
};

describe('hashaddr and otipaddr', () => {
  it('print addresses', async () => {
    expect((await addr('hashaddr', '-b', 'fc00::', 'renzo.hash.local')).stdout).toBe(
      'fc00::4cc:8049:6765:d03a\n',
    );
    expect((await addr('otipaddr', '-b', 'fc00::', '-T', '0', 'renzo.otip.local', 'mypassword')).stdout).toBe(
      'fc00::6c23:a13:5b99:1d66\n',
    );
  });

  it('say what is wrong', async () => {
    expect(await addr('hashaddr')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('NAME is wanted') as string,
    });
    expect(await addr('otipaddr', 'x')).toMatchObject({ code: 2 });
    expect(await addr('hashaddr', '--nonsense')).toMatchObject({ code: 2 });
    expect(await addr('hashaddr', '-b', '10.0.0.1', 'x')).toMatchObject({ code: 1 });
    expect(await addr('otipaddr', '--help')).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('ipconf', () => {
  it('configures the namespace that it runs in', async () => {
    const config = 'eth,mac=02:00:00:00:00:07,ip=10.0.0.1/24,dns=10.0.0.53,domain=a.test';
    expect(await netns.run(...node(join(DIR, 'ipconf.js')), '-r', config)).toBe(
      'search a.test\nnameserver 10.0.0.53\n',
    );
    const shown = await netns.run('ip', 'addr', 'show', 'dev', 'vde0');
    expect(shown).toMatch(/UP[^]*02:00:00:00:00:07[^]*inet 10\.0\.0\.1\/24/);
  });

  it('says what is wrong', async () => {
    const failed = (...args: string[]) =>
      netns.run(...node(join(DIR, 'ipconf.js')), ...args).catch((e: unknown) => e);
    expect(await failed('eth,nonsense')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(
        '«nonsense» (character 5 of the configuration): unknown word',
      ) as string,
    });
    expect(await failed('iface=vde9,eth')).toMatchObject({
      stderr: expect.stringContaining('vde9: ENODEV') as string,
    });
    expect(await failed()).toMatchObject({ code: 2 });
  });
});

describe.each(USERS)('autoconfiguration in umvu of %s', (who) => {
  it('configures the stack of a guest by ipconf', async () => {
    const script = `${node(join(DIR, 'ipconf.js')).join(' ')} eth,ip=10.0.0.9/24 && ip addr show vde0`;
    const result = await umvu(['--net', 'stack=vdestack,vnl=hub://', 'sh', '-c', script], { as: who });
    expect(result.stderr).toBe('');
    expect(result.stdout).toMatch(/UP[^]*inet 10\.0\.0\.9\/24/);
  });

  it('configures a mounted stack by ipconf, and no other', async () => {
    const ipconf = node(join(DIR, 'ipconf.js')).join(' ');
    const script = `set -e
vumount -t vunetioth -o hub:// vdestack /dev/net/one
vumount -t vunetioth -o hub:// lwip /dev/net/two
for each in one two; do
  vustack /dev/net/$each ${ipconf} -r eth,fqdn=$each.hash.local,ip=10.0.0.9/24,dns=10.0.0.53
  vustack /dev/net/$each ip -o -4 addr show vde0
  vustack /dev/net/$each ip -o link show vde0
done
! vustack /dev/net/one ${ipconf} eth,nonsense
ip -o addr`;
    const result = await umvu(['-m', 'vunetioth', '--', 'sh', '-c', script], { as: who });
    expect(result.code, result.stderr).toBe(0);
    expect(result.stderr).toContain('«nonsense» (character 5 of the configuration): unknown word');
    const one = 'nameserver 10\\.0\\.0\\.53\n.*inet 10\\.0\\.0\\.9/24.*\n.*link/ether ';
    const macs = ['one', 'two'].map((name) => formatMac(hashMac(`${name}.hash.local`)));
    expect(result.stdout).toMatch(new RegExp(macs.map((mac) => `${one}${mac}`).join('[^]*')));
    expect(result.stdout.split('10.0.0.9')).toHaveLength(3);
  });

  it('configures the stack of --net', async () => {
    const script = 'ip -4 addr show vde0; ip route; cat /etc/resolv.conf';
    const result = await umvu(['--net', 'stack=vdestack,vnl=slirp://,auto4', 'sh', '-c', script], {
      as: who,
    });
    expect(result.stdout).toMatch(
      /inet 10\.0\.2\.[0-9]+\/24[^]*default via 10\.0\.2\.2[^]*nameserver 10\.0\.2\.3\n/,
    );
  });
});
