/** A resolver in the shape of node:dns/promises, and the lookup function that node:net, node:dgram and others take. */
import type { LookupAddress, LookupOptions, MxRecord, SoaRecord, SrvRecord } from 'node:dns';
import { isIP } from 'node:net';
import { parseIp } from '../netlink/address.ts';
import { AF } from '../stack.ts';
import { getnameinfo } from './addrinfo.ts';
import { DnsError } from './error.ts';
import { parseResolvConf } from './files.ts';
import { Resolver, type ResolverOptions } from './resolver.ts';
import type { SocketSource } from './exchange.ts';
import { type DnsRecord, type RecordType, typeCode } from './records.ts';

const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

/** A record as node:dns/promises shows it; undefined for those that it has no shape for. */
function nodeShape(record: DnsRecord): unknown {
  switch (record.type) {
    case 'A':
    case 'AAAA':
      return record.address;
    case 'NS':
    case 'CNAME':
    case 'PTR':
      return record.target;
    case 'MX':
      return { exchange: record.exchange, priority: record.preference };
    case 'SRV':
      return { name: record.target, port: record.port, priority: record.priority, weight: record.weight };
    case 'TXT':
      return record.strings.map(utf8);
    case 'SOA':
      return {
        nsname: record.primary, hostmaster: record.mailbox, serial: record.serial, refresh: record.refresh,
        retry: record.retry, expire: record.expire, minttl: record.minimum,
      }; // prettier-ignore
    default:
      return undefined;
  }
}

/** A record among those of resolveAny. */
function anyShape(record: DnsRecord): Record<string, unknown>[] {
  const shape = nodeShape(record);
  const { type } = record;
  if (shape === undefined) return [];
  if (type === 'A' || type === 'AAAA') return [{ address: shape, ttl: record.ttl, type }];
  if (type === 'TXT') return [{ entries: shape, type }];
  return [typeof shape === 'string' ? { value: shape, type } : { ...(shape as object), type }];
}

/** That of dns.lookup; with `all` it gets a list and no family. */
export type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void;
/** What node:net and node:dgram call; the latter gives only a family. */
export type Lookup = (hostname: string, options: LookupOptions | number, callback: LookupCallback) => void;

/** The names of a stack, with the functions of node:dns/promises. */
export class StackDns {
  readonly #source: SocketSource;
  #resolver: Resolver;
  #servers: string[] | undefined;
  readonly #options: ResolverOptions;

  constructor(source: SocketSource, options: ResolverOptions = {}) {
    this.#source = source;
    this.#options = options;
    this.#resolver = new Resolver(source, options);
  }

  /** The resolver itself, for what node:dns does not know. */
  get resolver(): Resolver {
    return this.#resolver;
  }

  /** The addresses of a name: literal, in the hosts file, or in the DNS. Without `family` IPv4 ones come first. */
  async lookup(hostname: string, options: LookupOptions & { all: true }): Promise<LookupAddress[]>;
  async lookup(hostname: string, options?: LookupOptions | number): Promise<LookupAddress>;
  async lookup(
    hostname: string,
    options: LookupOptions | number = {},
  ): Promise<LookupAddress | LookupAddress[]> {
    const { family = 0, all = false }: LookupOptions =
      typeof options === 'number' ? { family: options } : options;
    const found = await this.#lookupAll(hostname, Number(String(family).replace('IPv', '')) || 0);
    if (found.length === 0) throw new DnsError('ENOTFOUND', 'getaddrinfo', hostname);
    return all ? found : found[0]!;
  }

  /** {@link lookup} for what wants the callback of dns.lookup. */
  readonly lookupCallback: Lookup = (hostname, options, callback) => {
    const all = typeof options === 'object' && options.all === true;
    this.lookup(hostname, {
      ...(typeof options === 'number' ? { family: options } : options),
      all: true,
    }).then(
      (list) => (all ? callback(null, list) : callback(null, list[0]!.address, list[0]!.family)),
      (error: unknown) => callback(error as NodeJS.ErrnoException, all ? [] : ''),
    );
  };

  async lookupService(address: string, port: number): Promise<{ hostname: string; service: string }> {
    const family = parseIp(address)?.family ?? AF.INET;
    const { host, service } = await getnameinfo(this.#resolver, { family, address, port });
    return { hostname: host, service };
  }

  async resolve(hostname: string, rrtype: RecordType = 'A'): Promise<unknown[]> {
    if (typeCode(rrtype) === undefined) throw new TypeError(`unknown record type ${rrtype}`);
    if (rrtype === 'ANY') return this.resolveAny(hostname);
    return (await this.#resolver.resolve(hostname, rrtype))
      .map(nodeShape)
      .filter((shape) => shape !== undefined);
  }

  resolve4(hostname: string): Promise<string[]>;
  resolve4(hostname: string, options: { ttl: true }): Promise<{ address: string; ttl: number }[]>;
  resolve4(hostname: string, options?: { ttl?: boolean }): Promise<unknown[]> {
    return this.#withTtl(hostname, 'A', options?.ttl);
  }

  resolve6(hostname: string): Promise<string[]>;
  resolve6(hostname: string, options: { ttl: true }): Promise<{ address: string; ttl: number }[]>;
  resolve6(hostname: string, options?: { ttl?: boolean }): Promise<unknown[]> {
    return this.#withTtl(hostname, 'AAAA', options?.ttl);
  }

  resolveCname = (hostname: string): Promise<string[]> => this.#shapes<string>(hostname, 'CNAME');
  resolveMx = (hostname: string): Promise<MxRecord[]> => this.#shapes<MxRecord>(hostname, 'MX');
  resolveNs = (hostname: string): Promise<string[]> => this.#shapes<string>(hostname, 'NS');
  resolvePtr = (hostname: string): Promise<string[]> => this.#shapes<string>(hostname, 'PTR');
  resolveSrv = (hostname: string): Promise<SrvRecord[]> => this.#shapes<SrvRecord>(hostname, 'SRV');
  resolveTxt = (hostname: string): Promise<string[][]> => this.#shapes<string[]>(hostname, 'TXT');

  async resolveSoa(hostname: string): Promise<SoaRecord> {
    const [soa] = await this.#shapes<SoaRecord>(hostname, 'SOA');
    return soa!;
  }

  async resolveAny(hostname: string): Promise<Record<string, unknown>[]> {
    return (await this.#resolver.resolve(hostname, 'ANY')).flatMap(anyShape);
  }

  reverse(ip: string): Promise<string[]> {
    return this.#resolver.reverse(ip);
  }

  getServers(): string[] {
    return this.#resolver.conf.servers.map(({ address, port }) => {
      if (port === 53) return address;
      return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
    });
  }

  /** From now on asks these servers; the other words of the configuration stay as they are now. */
  setServers(servers: readonly string[]): void {
    this.#servers = [...servers];
    const conf = { ...this.#resolver.conf, servers: parseResolvConf(this.#servers.join(',')).servers };
    this.#resolver.close();
    this.#resolver = new Resolver(this.#source, { ...this.#options, conf });
  }

  close(error?: Error): void {
    this.#resolver.close(error);
  }

  async #lookupAll(hostname: string, family: number): Promise<LookupAddress[]> {
    const literal = isIP(hostname);
    if (literal !== 0) return [{ address: hostname, family: literal }];
    // Every resolver knows this name without asking (RFC 6761 §6.3).
    const local = /^localhost\.?$/i.test(hostname) && this.#resolver.hosts.addresses(hostname).length === 0;
    const four = () => (local ? ['127.0.0.1'] : this.#resolver.lookupA(hostname));
    const six = () => (local ? ['::1'] : this.#resolver.lookupAaaa(hostname));
    const results = await Promise.allSettled([family === 6 ? [] : four(), family === 4 ? [] : six()]);
    const [ipv4, ipv6] = results.map((each) => (each.status === 'fulfilled' ? each.value : []));
    const found = [
      ...ipv4!.map((address) => ({ address, family: 4 })),
      ...ipv6!.map((address) => ({ address, family: 6 })),
    ];
    const [failed] = results.filter((each) => each.status === 'rejected');
    if (found.length === 0 && failed) throw failed.reason;
    return found;
  }

  async #withTtl(hostname: string, type: 'A' | 'AAAA', ttl = false): Promise<unknown[]> {
    const records = await this.#resolver.resolve(hostname, type);
    const found = [];
    for (const record of records) {
      if ('address' in record)
        found.push(ttl ? { address: record.address, ttl: record.ttl } : record.address);
    }
    return found;
  }

  async #shapes<T>(hostname: string, type: RecordType): Promise<T[]> {
    return (await this.#resolver.resolve(hostname, type)).map((record) => nodeShape(record) as T);
  }
}
