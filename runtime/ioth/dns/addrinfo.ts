/** getaddrinfo(3) and getnameinfo(3) on a resolver (IOTH-FACTS §3.4 and §3.5). */
import { readFileSync } from 'node:fs';
import { formatIp, parseIp } from '../netlink/address.ts';
import type { InetAddress } from '../socket/address.ts';
import { AF, SOCK } from '../stack.ts';
import { AddrInfoError, DnsError } from './error.ts';
import { type Service, parseServices } from './files.ts';
import type { QueryOptions, Resolver } from './resolver.ts';

/** Flags of {@link getaddrinfo} (netdb.h). */
export const AI = {
  PASSIVE: 1, CANONNAME: 2, NUMERICHOST: 4, V4MAPPED: 8, ALL: 0x10, NUMERICSERV: 0x400,
} as const; // prettier-ignore
/** Flags of {@link getnameinfo} (netdb.h). */
export const NI = { NUMERICHOST: 1, NUMERICSERV: 2, NAMEREQD: 8, DGRAM: 16 } as const;

export interface AddrInfoHints extends QueryOptions {
  flags?: number;
  family?: number;
  socktype?: number;
  protocol?: number;
}

export interface AddrInfo {
  family: typeof AF.INET | typeof AF.INET6;
  socktype: number;
  protocol: number;
  address: InetAddress;
  /** Of the first entry, with AI.CANONNAME. */
  canonname?: string;
}

/** Kinds of socket, in the order in which they are listed, with their protocol in services(5). */
const KINDS = [
  { socktype: SOCK.STREAM, protocol: 6, name: 'tcp' },
  { socktype: SOCK.DGRAM, protocol: 17, name: 'udp' },
  { socktype: SOCK.RAW, protocol: 0, name: '' },
] as const;

let services: Service[] | undefined;
function knownServices(): Service[] {
  try {
    return (services ??= parseServices(readFileSync('/etc/services', 'latin1')));
  } catch {
    return (services = []);
  }
}

/** The kinds of socket that `service` and `hints` allow, each with its port. */
function kindsOf(
  service: string | undefined,
  hints: AddrInfoHints,
): { socktype: number; protocol: number; port: number }[] {
  const wanted = KINDS.filter(
    ({ socktype, protocol }) =>
      (!hints.socktype || hints.socktype === socktype) &&
      (!hints.protocol || !protocol || hints.protocol === protocol),
  );
  if (wanted.length === 0) throw new AddrInfoError('SOCKTYPE', `socket type ${hints.socktype ?? 0}`);
  const protocolOf = (kind: { protocol: number }): number => kind.protocol || (hints.protocol ?? 0);
  if (service === undefined || /^[0-9]{1,5}$/.test(service)) {
    const port = Number(service ?? 0);
    if (port > 0xffff) throw new AddrInfoError('SERVICE', service!);
    return wanted.map((kind) => ({ socktype: kind.socktype, protocol: protocolOf(kind), port }));
  }
  if (((hints.flags ?? 0) & AI.NUMERICSERV) !== 0) throw new AddrInfoError('NONAME', service);
  const found = wanted.flatMap((kind) => {
    const entry = knownServices().find((each) => each.name === service && each.protocol === kind.name);
    return entry ? [{ socktype: kind.socktype, protocol: kind.protocol, port: entry.port }] : [];
  });
  if (found.length === 0) throw new AddrInfoError('SERVICE', service);
  return found;
}

/** What node means, IPv4 first: literal, wildcard or loopback, or a name. */
async function addressesOf(
  resolver: Resolver,
  node: string | undefined,
  hints: AddrInfoHints,
): Promise<string[]> {
  const flags = hints.flags ?? 0;
  if (node === undefined) return (flags & AI.PASSIVE) !== 0 ? ['0.0.0.0', '::'] : ['::1', '127.0.0.1'];
  const literal = parseIp(node);
  if (literal !== undefined) return [formatIp(literal)];
  if ((flags & AI.NUMERICHOST) !== 0) throw new AddrInfoError('NONAME', node);
  const { family = AF.UNSPEC } = hints;
  const four = family === AF.UNSPEC || family === AF.INET || (flags & AI.V4MAPPED) !== 0;
  const six = family === AF.UNSPEC || family === AF.INET6;
  const results = await Promise.allSettled([
    four ? resolver.lookupA(node, hints) : [],
    six ? resolver.lookupAaaa(node, hints) : [],
  ]);
  const found = results.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
  if (found.length > 0) return found;
  hints.signal?.throwIfAborted();
  throw noAddresses(node, results);
}

function noAddresses(node: string, results: PromiseSettledResult<unknown>[]): AddrInfoError {
  const reasons = results.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
  const codes = reasons.map((reason) => (reason instanceof DnsError ? reason.code : 'EFAIL'));
  if (codes.every((code) => code === 'ENOTFOUND' || code === 'ENODATA' || code === 'EBADNAME')) {
    return new AddrInfoError('NONAME', node, reasons[0]);
  }
  const later = codes.some((code) => code === 'ETIMEOUT' || code === 'ECONNREFUSED' || code === 'ESERVFAIL');
  return new AddrInfoError(later ? 'AGAIN' : 'FAIL', node, reasons[0]);
}

/** The address as `family` wants it: IPv4 as a mapped one where that was asked for; undefined when it has no place. */
function fit(text: string, hints: AddrInfoHints): InetAddress | undefined {
  const own = parseIp(text)!.family;
  const { family = AF.UNSPEC, flags = 0 } = hints;
  if (family === AF.UNSPEC || family === own) return { family: own, address: text, port: 0 };
  const mapped = family === AF.INET6 && (flags & AI.V4MAPPED) !== 0;
  return mapped ? { family: AF.INET6, address: `::ffff:${text}`, port: 0 } : undefined;
}

async function canonicalName(resolver: Resolver, node: string, hints: AddrInfoHints): Promise<string> {
  try {
    const [record] = await resolver.resolve(node, 'CNAME', hints);
    return record?.type === 'CNAME' ? record.target : node;
  } catch {
    hints.signal?.throwIfAborted();
    return node;
  }
}

/**
 * Addresses for sockets, as getaddrinfo(3): for each address of `node` one entry for each kind of socket that `service`
 * (a name of services(5) or a number) and `hints` allow. Throws AddrInfoError where nothing was found.
 */
export async function getaddrinfo(
  resolver: Resolver,
  node: string | undefined,
  service?: string | number,
  hints: AddrInfoHints = {},
): Promise<AddrInfo[]> {
  const { family = AF.UNSPEC, flags = 0 } = hints;
  if (node === undefined && service === undefined)
    throw new AddrInfoError('NONAME', 'neither node nor service');
  if (family !== AF.UNSPEC && family !== AF.INET && family !== AF.INET6) {
    throw new AddrInfoError('FAMILY', `family ${family}`);
  }
  const kinds = kindsOf(service === undefined ? undefined : String(service), hints);
  const addresses = (await addressesOf(resolver, node, hints)).flatMap((text) => fit(text, hints) ?? []);
  if (addresses.length === 0) throw new AddrInfoError('NONAME', node ?? '');
  const list = addresses.flatMap((address) =>
    kinds.map(({ port, ...kind }): AddrInfo => ({
      family: address.family,
      ...kind,
      address: { ...address, port },
    })),
  );
  if (node !== undefined && (flags & AI.CANONNAME) !== 0) {
    list[0]!.canonname = parseIp(node) ? node : await canonicalName(resolver, node, hints);
  }
  return list;
}

/**
 * Names of an address, as getnameinfo(3): from the hosts file or PTR records, otherwise as numbers. Unlike iothdns the
 * flags do not keep names from being looked up, and NI.NAMEREQD makes a missing one an error.
 */
export async function getnameinfo(
  resolver: Resolver,
  address: InetAddress,
  flags = 0,
  options: QueryOptions = {},
): Promise<{ host: string; service: string }> {
  if (parseIp(address.address)?.family !== address.family) throw new AddrInfoError('FAMILY', address.address);
  const protocol = (flags & NI.DGRAM) !== 0 ? 'udp' : 'tcp';
  const known = knownServices().find(({ port, protocol: of }) => port === address.port && of === protocol);
  const service = (flags & NI.NUMERICSERV) === 0 && known ? known.name : String(address.port);
  let host: string | undefined;
  if ((flags & NI.NUMERICHOST) === 0) {
    try {
      [host] = await resolver.reverse(address.address, options);
    } catch (error) {
      if (!(error instanceof DnsError)) throw error;
    }
  }
  if (host === undefined && (flags & NI.NAMEREQD) !== 0) throw new AddrInfoError('NONAME', address.address);
  return { host: host ?? address.address, service };
}
