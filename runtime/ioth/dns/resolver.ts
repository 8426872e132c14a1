/** The resolver of a stack: which names are asked, of which servers, and what their answers mean. */
import { Errno } from '../../errno.ts';
import { formatIp, parseIp } from '../netlink/address.ts';
import type { InetAddress } from '../socket/address.ts';
import { AF } from '../stack.ts';
import { Timeout, within } from '../time.ts';
import { DnsError } from './error.ts';
import { Exchange, type SocketSource } from './exchange.ts';
import { Hosts, type ResolvConf, parseResolvConf } from './files.ts';
import { type DnsMessage, RCODE, makeQuery, serializeMessage } from './message.ts';
import { sameName } from './name.ts';
import type { Query } from './port.ts';
import type { DnsRecord, RecordType } from './records.ts';
import { MAX_ALIASES, RCODES, follow, isConfused, isPreliminary, isTruncated } from './replies.ts';

/** Whom a {@link Resolver} asks. */
export interface ResolverOptions {
  /** A resolv.conf(5), or only a list of servers; a function is asked again for each query. */
  conf?: string | ResolvConf | (() => string | undefined);
  /** Text of a hosts(5) file. */
  hosts?: string;
}

/** How one query is made. */
export interface QueryOptions {
  signal?: AbortSignal;
  /** Whether the search list is used for names that want it (the default). */
  search?: boolean;
}

/** Asks name servers through the sockets of a stack, as resolv.conf(5) says (iothdns). */
export class Resolver {
  readonly #exchange: Exchange;
  readonly #hosts: Hosts;
  readonly #read: () => ResolvConf;
  #turn = 0;

  /** Asks through the sockets of `source`. Without `conf` there is no server. */
  constructor(source: SocketSource, { conf = '', hosts = '' }: ResolverOptions = {}) {
    this.#exchange = new Exchange(source);
    this.#hosts = new Hosts(hosts);
    this.#read = reader(conf);
  }

  get conf(): ResolvConf {
    return this.#read();
  }

  get hosts(): Hosts {
    return this.#hosts;
  }

  /**
   * The records of a name. Names without enough dots are tried with the domains of the search list (resolv.conf(5)),
   * aliases are followed. Throws DnsError: ENOTFOUND, ENODATA, ETIMEOUT, …
   */
  async resolve(name: string, type: RecordType, options: QueryOptions = {}): Promise<DnsRecord[]> {
    const syscall = `query${type.charAt(0)}${type.slice(1).toLowerCase()}`;
    const problems: DnsError[] = [];
    for (const candidate of this.#candidates(name, options.search ?? true, syscall)) {
      try {
        return await this.#records(candidate, type, syscall, options);
      } catch (error) {
        if (!(error instanceof DnsError)) throw error;
        const problem = new DnsError(error.code, syscall, name, error.cause);
        if (error.code === 'ETIMEOUT' || error.code === 'ECONNREFUSED' || error.code === 'EBADNAME')
          throw problem;
        // What is wrong with the name itself matters more than that its other meanings do not exist either.
        if (candidate === name) problems.unshift(problem);
        else problems.push(problem);
      }
    }
    throw problems.find(({ code }) => code === 'ENODATA') ?? problems[0]!;
  }

  /** The answer of the first server that has one, whatever it says. Throws DnsError when there is none. */
  async query(name: string, type: RecordType, { signal }: QueryOptions = {}): Promise<DnsMessage> {
    const query = makeQuestion(name, type);
    const conf = this.#read();
    const { servers } = conf;
    const start = conf.rotate ? this.#turn++ : 0;
    let last: unknown;
    let answer: DnsMessage | undefined;
    for (let i = 0; i < conf.attempts * servers.length; i++) {
      signal?.throwIfAborted();
      try {
        const server = servers[(start + i) % servers.length]!;
        let reply = conf.tcp
          ? await this.#tcp(server, query, conf, signal)
          : await this.#exchange.udp(server, query, conf.timeout, signal);
        if (isPreliminary(reply)) reply = await this.#askAgain(server, query, reply, conf, signal);
        if (reply.rcode === RCODE.OK || reply.rcode === RCODE.NO_NAME) return reply;
        answer = reply;
      } catch (error) {
        if (signal?.aborted || this.#exchange.ended) throw error;
        last = error;
      }
    }
    if (answer !== undefined) return answer;
    throw new DnsError(last instanceof Timeout ? 'ETIMEOUT' : 'ECONNREFUSED', `query${type}`, name, last);
  }

  /** The IPv4 addresses of a name, numeric ones included (iothdns_lookup_a). */
  async lookupA(name: string, options: QueryOptions = {}): Promise<string[]> {
    return this.#addresses(name, 'A', options);
  }

  /** The IPv6 addresses of a name. */
  async lookupAaaa(name: string, options: QueryOptions = {}): Promise<string[]> {
    return this.#addresses(name, 'AAAA', options);
  }

  /** The IPv6 addresses of a name, then its IPv4 addresses as `::ffff:a.b.c.d` (iothdns_lookup_aaaa_compat). */
  async lookupAaaaCompat(name: string, options: QueryOptions = {}): Promise<string[]> {
    const [six, four] = await Promise.allSettled([
      this.lookupAaaa(name, options),
      this.lookupA(name, options),
    ]);
    if (six.status === 'rejected' && four.status === 'rejected') throw six.reason;
    const mapped = four.status === 'fulfilled' ? four.value.map((address) => `::ffff:${address}`) : [];
    return [...(six.status === 'fulfilled' ? six.value : []), ...mapped];
  }

  /** The names of an address: from the hosts file, otherwise from its PTR records. */
  async reverse(address: string, options: QueryOptions = {}): Promise<string[]> {
    const ip = parseIp(address);
    if (ip === undefined) throw new DnsError('EBADNAME', 'getHostByAddr', address);
    const known = this.#hosts.name(formatIp(ip));
    if (known !== undefined) return [known];
    const records = await this.resolve(reverseName(address), 'PTR', { ...options, search: false });
    return records.flatMap((record) => (record.type === 'PTR' ? [record.target] : []));
  }

  /** Calls off all queries and closes all sockets. Idempotent. */
  close(error?: Error): void {
    this.#exchange.close(error);
  }

  async #addresses(name: string, type: 'A' | 'AAAA', options: QueryOptions): Promise<string[]> {
    const family = type === 'A' ? AF.INET : AF.INET6;
    const literal = parseIp(name);
    if (literal !== undefined) return literal.family === family ? [formatIp(literal)] : [];
    const known = this.#hosts.addresses(name).filter((text) => parseIp(text)?.family === family);
    if (known.length > 0) return known;
    const records = await this.resolve(name, type, options);
    return records.flatMap((record) => ('address' in record ? [record.address] : []));
  }

  /** The names that `name` may mean, in the order in which they are tried. */
  #candidates(name: string, search: boolean, syscall: string): string[] {
    if (name === '') throw new DnsError('EBADNAME', syscall, name);
    const conf = this.#read();
    if (name.endsWith('.') || !search) return [name];
    const dots = name.split('.').length - 1;
    const others = conf.search.map((domain) => `${name}.${domain}`);
    return dots >= conf.ndots ? [name, ...others] : [...others, name];
  }

  async #records(
    name: string,
    type: RecordType,
    syscall: string,
    options: QueryOptions,
  ): Promise<DnsRecord[]> {
    let current = name;
    for (let hops = 0; hops <= MAX_ALIASES; hops++) {
      const reply = await this.query(current, type, options);
      if (reply.rcode !== RCODE.OK) throw new DnsError(RCODES[reply.rcode] ?? 'ESERVFAIL', syscall, name);
      const { records, alias } = follow(reply, current, type);
      if (records.length > 0) return records;
      if (alias === undefined || sameName(alias, current)) break;
      current = alias; // a server that does not follow aliases
    }
    throw new DnsError('ENODATA', syscall, name);
  }

  #tcp(server: InetAddress, query: Query, conf: ResolvConf, signal?: AbortSignal): Promise<DnsMessage> {
    return within(conf.timeout, signal, (limit) => this.#exchange.tcp(server, query, limit));
  }

  /** Asks in another way after `reply`: without EDNS where that was not understood, over TCP where it did not fit. */
  async #askAgain(
    server: InetAddress,
    query: Query,
    reply: DnsMessage,
    conf: ResolvConf,
    signal?: AbortSignal,
  ): Promise<DnsMessage> {
    let better = reply;
    if (isConfused(reply)) {
      // A server from before EDNS (RFC 6891 §7).
      const { name, type } = query.question;
      const plain = makeQuestion(name, type, false);
      better = conf.tcp
        ? await this.#tcp(server, plain, conf, signal)
        : await this.#exchange.udp(server, plain, conf.timeout, signal);
    }
    if (!isTruncated(better) || conf.tcp) return better;
    return this.#tcp(server, query, conf, signal);
  }
}

/** A query, ready to be sent. Throws DnsError for what is no name. */
function makeQuestion(name: string, type: RecordType, edns = true): Query {
  try {
    return { question: { name, type }, bytes: serializeMessage(makeQuery(0, name, type, edns)) };
  } catch (error) {
    throw new DnsError('EBADNAME', `query${type}`, name, error);
  }
}

function reader(conf: NonNullable<ResolverOptions['conf']>): () => ResolvConf {
  if (typeof conf === 'object') return () => conf;
  if (typeof conf === 'string') {
    const parsed = parseResolvConf(conf);
    return () => parsed;
  }
  let last: { text: string; conf: ResolvConf } | undefined;
  return () => {
    const text = conf() ?? '';
    if (last?.text !== text) last = { text, conf: parseResolvConf(text) };
    return last.conf;
  };
}

/** The name whose PTR records name an address: `1.0.0.10.in-addr.arpa` (RFC 1035 §3.5, 3596 §2.5). */
export function reverseName(address: string): string {
  const ip = parseIp(address);
  if (ip === undefined) throw new Errno('EINVAL', `«${address}» is not an IP address`);
  if (ip.family === AF.INET) return `${[...ip.bytes].reverse().join('.')}.in-addr.arpa`;
  const digits = Buffer.from(ip.bytes).toString('hex');
  return `${[...digits].reverse().join('.')}.ip6.arpa`;
}
