/** The files that a resolver reads: resolv.conf(5), hosts(5) and services(5). Nothing here opens them. */
import { isIP } from 'node:net';
import { formatIp, parseIp } from '../netlink/address.ts';
import { type InetAddress, inetAddress } from '../socket/address.ts';

/** How a resolver asks. */
export interface ResolvConf {
  /** At most three; none: every query fails. */
  servers: InetAddress[];
  search: string[];
  /** A name with as many dots is first tried as it is. */
  ndots: number;
  /** How long a server may take, in ms. */
  timeout: number;
  /** How often all servers are asked. */
  attempts: number;
  /** Whether each query starts with another server. */
  rotate: boolean;
  /** Whether queries go over TCP at once. */
  tcp: boolean;
}

const MAX_SERVERS = 3;
const PORT = 53;
/** The timeout is that of iothdns (IOTH-FACTS §3.1), the rest that of resolv.conf(5). */
const DEFAULTS = { ndots: 1, timeout: 1000, attempts: 2, rotate: false, tcp: false } as const;

/** `ADDRESS`, `ADDRESS%INDEX`, `IPV4:PORT` or `[ADDRESS]:PORT`; undefined when it is none of them. */
export function parseServer(text: string): InetAddress | undefined {
  const [, inner = text, port = String(PORT)] =
    /^\[(.*)\](?::([0-9]{1,5}))?$/.exec(text) ?? /^([0-9.]+):([0-9]{1,5})$/.exec(text) ?? [];
  const bare = inner.replace(/%[0-9]{1,9}$/, '');
  if (isIP(bare) === 0 || bare.includes('%') || Number(port) > 0xffff) return undefined;
  return inetAddress(inner, Number(port));
}

function readOptions(conf: ResolvConf, words: string[]): void {
  for (const word of words) {
    const [, name = word, digits] = /^([a-z-]+):([0-9]{1,3})$/.exec(word) ?? [];
    const value = Number(digits);
    if (name === 'rotate') conf.rotate = true;
    else if (name === 'use-vc') conf.tcp = true;
    else if (digits === undefined)
      continue; // an option of another resolver
    else if (name === 'ndots') conf.ndots = Math.min(value, 15);
    else if (name === 'timeout') conf.timeout = Math.min(Math.max(value, 1), 30) * 1000;
    else if (name === 'attempts') conf.attempts = Math.min(Math.max(value, 1), 5);
  }
}

/**
 * Reads a resolv.conf(5). A text of only digits, dots, colons and commas is a list of servers (iothdns). What is
 * unknown or malformed is ignored, as every resolver does.
 */
export function parseResolvConf(text: string): ResolvConf {
  const conf: ResolvConf = { servers: [], search: [], ...DEFAULTS };
  const add = (word: string): void => {
    const server = parseServer(word);
    if (server !== undefined && conf.servers.length < MAX_SERVERS) conf.servers.push(server);
  };
  if (/^[0-9a-fA-F.:,[\]%]*$/.test(text.trim())) {
    text.trim().split(',').forEach(add);
    return conf;
  }
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver') add(words[0] ?? '');
    else if (keyword === 'search') conf.search = words.map((word) => word.replace(/\.$/, '')).filter(Boolean);
    else if (keyword === 'domain') conf.search = words.slice(0, 1);
    else if (keyword === 'options') readOptions(conf, words);
  }
  return conf;
}

/** Names and addresses of a hosts(5) file. */
export class Hosts {
  readonly #addresses = new Map<string, string[]>();
  readonly #names = new Map<string, string>();

  constructor(text = '') {
    for (const line of text.split('\n')) {
      const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
      const ip = parseIp(address);
      if (ip === undefined || names[0] === undefined) continue;
      const canonical = formatIp(ip);
      if (!this.#names.has(canonical)) this.#names.set(canonical, names[0]);
      for (const name of names) {
        const key = name.toLowerCase();
        this.#addresses.set(key, [...(this.#addresses.get(key) ?? []), canonical]);
      }
    }
  }

  /** The addresses of a name, in the order of the file. */
  addresses(name: string): readonly string[] {
    return this.#addresses.get(name.replace(/\.$/, '').toLowerCase()) ?? [];
  }

  /** The first name of an address. */
  name(address: string): string | undefined {
    return this.#names.get(address);
  }
}

export interface Service {
  name: string;
  port: number;
  /** `tcp`, `udp`, … */
  protocol: string;
}

/** The lines of a services(5) file, one for each name and alias. */
export function parseServices(text: string): Service[] {
  return text.split('\n').flatMap((line) => {
    const [name, where = '', ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    const [, port, protocol] = /^([0-9]{1,5})\/(\S+)$/.exec(where) ?? [];
    if (!name || port === undefined || protocol === undefined) return [];
    return [name, ...aliases].map((each) => ({ name: each, port: Number(port), protocol }));
  });
}
