#!/usr/bin/env node
/** hashaddr(1) and otipaddr(1): addresses made from names; which of them it is, the name of the command says. */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { OTIP_PERIOD, hashAddress, otipTime } from '../../ioth/config/index.ts';
import { Resolver } from '../../ioth/dns/index.ts';
import { newStackc } from '../../ioth/library.ts';
import { type IpAddress, formatIp, parseIp } from '../../ioth/netlink/index.ts';
import { Usage, runCommand } from './command.ts';

const otip = basename(process.argv[1] ?? '').startsWith('otip');
const name = otip ? 'otipaddr' : 'hashaddr';
const PERIOD = `  -T, --period SECONDS   How long an address is valid (${OTIP_PERIOD})\n`;
const USAGE = `Usage: ${name} [options] NAME${otip ? ' PASSWORD' : ''}
Print the ${otip ? 'one-time' : 'hash'} IPv6 address of NAME.

Options:
  -b, --base ADDR|NAME   The address, or a name whose address it is, that the hash is
                         combined with; what is behind the first dot of NAME by default
  -D, --dns SERVERS      Name servers, with commas between them
      --dnsstack CONFIG  The stack that they are asked on, an IoTh string
${otip ? PERIOD : ''}  -h, --help             Show this text and exit
`;

interface Options {
  base?: string;
  dns?: string;
  dnsstack?: string;
}

async function baseAddress(text: string, { dns, dnsstack }: Options): Promise<IpAddress> {
  const literal = parseIp(text);
  if (literal !== undefined) return literal;
  const stack = await newStackc(dnsstack ?? '');
  const resolver = dns === undefined ? stack.dns.resolver : new Resolver(stack.stack, { conf: dns });
  const [address] = await resolver.lookupAaaa(text);
  return parseIp(address ?? '')!;
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      base: { type: 'string', short: 'b' },
      baseaddr: { type: 'string' },
      dns: { type: 'string', short: 'D' },
      dnsstack: { type: 'string' },
      ...(otip ? { period: { type: 'string', short: 'T' } as const } : {}),
    },
  });
  const [host, password, ...more] = positionals;
  if (host === undefined || (password !== undefined) !== otip || more.length > 0) {
    throw new Usage(otip ? 'NAME and PASSWORD are wanted' : 'NAME is wanted');
  }
  const period = String((values as { period?: string }).period ?? OTIP_PERIOD);
  if (!/^[0-9]{1,9}$/.test(period)) throw new Usage(`«${period}» is not a number of seconds`);
  const base = await baseAddress(values.base ?? values.baseaddr ?? host.replace(/^[^.]*\.?/, ''), values);
  const slot = otip ? { password: password!, otipTime: otipTime(undefined, Number(period)) } : {};
  process.stdout.write(`${formatIp(hashAddress(base, host, slot))}\n`);
  return 0;
}

runCommand(name, USAGE, main);
