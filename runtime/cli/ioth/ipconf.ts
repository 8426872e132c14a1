#!/usr/bin/env node
/** ipconf(1): configures the network of the namespace, or of the stack of umvu, that it runs in. */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { CONFIGURED, parseConfig } from '../../ioth/config/index.ts';
import { newStack } from '../../ioth/library.ts';
import { complain } from '../../log.ts';
import { Usage, runCommand } from './command.ts';

const USAGE = `Usage: ipconf [-k] [-r] CONFIG
Configure the network that this command runs in by an IoTh string, for example
«eth,ip=10.0.0.1/24,gw=10.0.0.254» or «auto,fqdn=host.example.org». The interface
is vde0 unless iface=NAME or ifindex=N is in CONFIG.

Options:
  -k, --keep        Stay, to keep leases, until a signal comes; then give them back
  -r, --resolvconf  Print the resolv.conf(5) that comes of it
  -h, --help        Show this text and exit

The exit status is 1 where a part of CONFIG gave nothing, as DHCP without a server.
`;

/** The bits that `text` asks for, and what they are called. */
function asked(text: string): [string, number][] {
  const words: [string, number, boolean][] = parseConfig(text).interfaces.flatMap(({ sources }) => [
    ['dhcp', CONFIGURED.DHCP, sources.has('dhcp')],
    ['dhcp6', CONFIGURED.DHCP6, sources.has('dhcp6')],
    ['rd', CONFIGURED.RD, sources.has('rd')],
  ]);
  return words.filter(([, , wanted]) => wanted).map(([name, bit]) => [name, bit]);
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { keep: { type: 'boolean', short: 'k' }, resolvconf: { type: 'boolean', short: 'r' } },
  });
  const [text, ...more] = positionals;
  if (text === undefined || more.length > 0) throw new Usage('exactly one CONFIG is wanted');
  const stack = await newStack('');
  const done = await stack.config(text);
  if (values.resolvconf) process.stdout.write(stack.resolvConf ?? '');
  const missing = asked(text).filter(([, bit]) => (done & bit) === 0);
  for (const [name] of missing) complain(`ipconf: ${name} gave nothing`);
  if (values.keep) {
    // Leases do not keep the process alive by themselves.
    const idle = setInterval(() => {}, 1 << 30);
    await Promise.race(['SIGTERM', 'SIGINT', 'SIGHUP'].map((signal) => once(process, signal)));
    clearInterval(idle);
    await stack.close();
  }
  return missing.length === 0 ? 0 : 1;
}

runCommand('ipconf', USAGE, main);
