/** What the words of a configuration ask for (IOTH-FACTS §2.2). Nothing is applied here. */
import { nameLabels } from '../dns/name.ts';
import { type IpAddress, parseIp, parseMac } from '../netlink/address.ts';
import { WireError } from '../netlink/wire.ts';
import { AF } from '../stack.ts';
import { VnlError, parseVnl, splitInterface } from '../vnl.ts';
import type { SourceName } from './source.ts';
import { type Word, badWord, parseWords } from './words.ts';

/** An address with the word that asked for it, for messages. */
export interface WordAddress extends IpAddress {
  text: string;
}

/** What is asked of one interface. */
export interface InterfaceConfig {
  /** Name or index; without both the stack's first interface is meant. */
  iface?: string;
  ifindex?: number;
  eth: boolean;
  /** Where addresses are to come from. */
  sources: Set<SourceName>;
  /** Whether `rd` makes addresses of prefixes. */
  slaac: boolean;
  /** Whether what is known is to be shown. */
  debug: boolean;
  mac?: Uint8Array;
  fqdn?: string;
  addresses: (WordAddress & { prefixLength: number })[];
  gateways: WordAddress[];
  dns: WordAddress[];
  domains: string[];
  /** What earlier calls did and this one takes back, before it does anything. */
  undo: Set<Undo>;
}
export type Undo = 'eth' | 'ip' | 'gw' | 'dns' | 'domain' | SourceName;

/** A whole configuration string. */
export interface Config {
  stack?: string;
  /** The word that said `stack`. */
  stackWord?: Word;
  /** Whether the stack is to be in a process of its own. */
  isolate?: boolean;
  vnls: string[];
  interfaces: InterfaceConfig[];
}

/** What each word of a source starts (IOTH-FACTS §2.2); `auto` does not make addresses of prefixes. */
const START: Record<string, ('eth' | SourceName)[]> = {
  eth: ['eth'],
  dhcp: ['dhcp'], dhcp4: ['dhcp'], dhcpv4: ['dhcp'],
  dhcp6: ['dhcp6'], dhcpv6: ['dhcp6'],
  rd: ['rd'], rd6: ['rd'],
  auto: ['eth', 'dhcp', 'dhcp6', 'rd'],
  auto4: ['eth', 'dhcp'], autov4: ['eth', 'dhcp'],
  auto6: ['eth', 'dhcp6', 'rd'], autov6: ['eth', 'dhcp6', 'rd'],
}; // prettier-ignore
const UNDO: Record<string, Undo[]> = {
  '-ip': ['ip'],
  '-gw': ['gw'],
  '-dns': ['dns'],
  '-domain': ['domain'],
  '-static': ['ip', 'gw', 'dns', 'domain'],
};
for (const [word, sources] of Object.entries({ ...START, all: START['auto']! })) UNDO[`-${word}`] = sources;

const empty = (): InterfaceConfig => ({
  eth: false, sources: new Set(), slaac: false, debug: false, addresses: [], gateways: [], dns: [], domains: [], undo: new Set(),
}); // prettier-ignore

function addressOf(word: Word, text: string): WordAddress {
  const address = parseIp(text);
  if (address === undefined) throw badWord(word, `${text || 'nothing'} is not an IP address`);
  return { ...address, text: `${word.tag}=${word.value}` };
}

/** `A/LEN`; without a length /24, or /64 for IPv6. */
function prefixOf(word: Word, value: string): WordAddress & { prefixLength: number } {
  const slash = value.indexOf('/');
  const address = addressOf(word, slash < 0 ? value : value.slice(0, slash));
  const bits = address.bytes.length * 8;
  if (slash < 0) return { ...address, prefixLength: address.family === AF.INET ? 24 : 64 };
  const length = value.slice(slash + 1);
  if (!/^[0-9]{1,3}$/.test(length) || Number(length) > bits) {
    throw badWord(word, `the prefix length must be a number from 0 to ${bits}`);
  }
  return { ...address, prefixLength: Number(length) };
}

function nameOf(word: Word, value: string): string {
  // A blank or a newline would become another line of resolv.conf(5).
  if (!/^[^\s\0]{1,255}$/.test(value)) throw badWord(word, 'not a domain name');
  try {
    nameLabels(value);
  } catch (error) {
    if (error instanceof WireError) throw badWord(word, 'not a domain name');
    throw error;
  }
  return value;
}

function indexOf(word: Word, value: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(value)) throw badWord(word, 'not the index of an interface');
  return Number(value);
}

function macOf(word: Word, value: string): Uint8Array {
  const mac = parseMac(value);
  if (mac === undefined) throw badWord(word, 'not an Ethernet address (xx:xx:xx:xx:xx:xx)');
  if ((mac[0] ?? 0) & 1) throw badWord(word, 'a multicast address cannot be that of an interface');
  return mac;
}

/** Words with a value that describe an interface. */
const VALUES: Record<string, (config: InterfaceConfig, word: Word, value: string) => void> = {
  ip: (config, word, value) => config.addresses.push(prefixOf(word, value)),
  gw: (config, word, value) => config.gateways.push(addressOf(word, value)),
  dns: (config, word, value) => config.dns.push(addressOf(word, value)),
  domain: (config, word, value) => config.domains.push(nameOf(word, value)),
  fqdn: (config, word, value) => (config.fqdn = nameOf(word, value)),
  mac: (config, word, value) => (config.mac = macOf(word, value)),
  macaddr: (config, word, value) => (config.mac = macOf(word, value)),
};

function readWord(config: InterfaceConfig, word: Word): void {
  const { tag, value } = word;
  const reader = Object.hasOwn(VALUES, tag) ? VALUES[tag] : undefined;
  if (reader !== undefined) {
    if (value === undefined || value === '') throw badWord(word, 'a value is missing');
    return reader(config, word, value);
  }
  const start = Object.hasOwn(START, tag) ? START[tag] : undefined;
  const undo = Object.hasOwn(UNDO, tag) ? UNDO[tag] : undefined;
  const known = start !== undefined || undo !== undefined || tag === 'slaac' || tag === 'debug';
  if (!known) throw badWord(word, 'unknown word');
  if (value !== undefined) throw badWord(word, 'this word takes no value');
  if (tag === 'slaac') config.slaac = true;
  if (tag === 'debug') config.debug = true;
  for (const item of start ?? []) {
    if (item === 'eth') config.eth = true;
    else config.sources.add(item);
  }
  for (const item of undo ?? []) config.undo.add(item);
}

const isInterfaceWord = ({ tag }: Word): boolean => tag === 'iface' || tag === 'ifindex';

/** The section that `word` (iface= or ifindex=) opens, or renames where it is the first of the string. */
function readInterfaceWord(config: InterfaceConfig, word: Word): void {
  if (!word.value) throw badWord(word, 'a value is missing');
  delete config.iface;
  delete config.ifindex;
  if (word.tag === 'iface') config.iface = word.value;
  else config.ifindex = indexOf(word, word.value);
}

/** `stack=`, `vnl=` and `isolate` are for making a stack only. */
function readStackWord(config: Config, word: Word): boolean {
  if (word.tag === 'isolate') {
    if (word.value !== undefined) throw badWord(word, 'this word takes no value');
    config.isolate = true;
    return true;
  }
  if (word.tag !== 'stack' && word.tag !== 'vnl') return false;
  if (word.value === undefined) throw badWord(word, 'a value is missing');
  if (word.tag === 'stack') {
    config.stack = word.value;
    config.stackWord = word;
  } else {
    checkVnl(word, word.value);
    config.vnls.push(word.value);
  }
  return true;
}

/** Complains about a network locator that cannot be understood, as long as it is known where in the string it stands. */
function checkVnl(word: Word, value: string): void {
  try {
    parseVnl(splitInterface(value).vnl);
  } catch (error) {
    if (error instanceof VnlError) throw badWord(word, error.message);
    throw error;
  }
}

/**
 * Reads a configuration. One `iface=` or `ifindex=` says which interface the whole string is about, as in
 * iothconf; with several of them each opens a section that goes up to the next, and words before the first
 * belong to its section. `stack=`, `vnl=` and `isolate` are unknown words unless `forNewStack`.
 */
export function parseConfig(text: string | readonly Word[], forNewStack = false): Config {
  const words = typeof text === 'string' ? parseWords(text) : text;
  const several = words.filter(isInterfaceWord).length > 1;
  let current = empty();
  const config: Config = { vnls: [], interfaces: [current] };
  for (const word of words) {
    if (isInterfaceWord(word)) {
      const named = current.iface !== undefined || current.ifindex !== undefined;
      if (several && named) config.interfaces.push((current = empty()));
      readInterfaceWord(current, word);
    } else if (!forNewStack || !readStackWord(config, word)) {
      readWord(current, word);
    }
  }
  return config;
}
