/** What a DHCPv6 server offers, grants and tells, checked. */
import type { IpAddress } from '../../netlink/index.ts';
import { AF } from '../../stack.ts';
import { isGlobalUnicast } from '../address6.ts';
import type { LeaseTimes } from '../keeper.ts';
import { type Reply, same } from './exchange.ts';
import { type Given, OPTION, TYPE, addressList, findOption, nameList, statusOf } from './wire.ts';

const INFINITE = 0xffffffff;
const seconds = (value: number): number => (value === INFINITE ? Infinity : value);

/** Names that a server tells. */
export interface Names {
  dns: IpAddress[];
  domains: string[];
}

export interface Lease extends Given, LeaseTimes, Names {
  server: Uint8Array;
}

/** The name servers and domains in a message; nothing that would not be one in resolv.conf(5). */
export function namesOf({ message }: Reply): Names {
  const dns = findOption(message.options, OPTION.DNS);
  const search = findOption(message.options, OPTION.SEARCH);
  return {
    dns: dns ? addressList(dns).map((bytes) => ({ family: AF.INET6, bytes })) : [],
    domains: search ? nameList(search).filter((name) => /^[!-~]+$/.test(name)) : [],
  };
}

/** The addresses in a reply that a host may be given. */
export function usable({ message, association }: Reply): Given[] {
  if (statusOf(message.options) !== 0 || association === undefined || association.status !== 0) return [];
  return association.addresses.filter(({ address, valid }) => valid > 0 && isGlobalUnicast(address));
}

/** The lease that a REPLY grants: of the address that was asked for, and no other. */
export function leaseOf(
  reply: Reply,
  wanted: { server: Uint8Array; address: Uint8Array },
  anyServer = false,
): Lease | undefined {
  const { message, server, association } = reply;
  if (message.type !== TYPE.REPLY || (!anyServer && !same(server, wanted.server))) return undefined;
  const given = usable(reply).find(({ address }) => same(address, wanted.address));
  if (given === undefined || association === undefined) return undefined;
  const valid = seconds(given.valid);
  const preferred = Math.min(seconds(given.preferred), valid);
  const t1 = seconds(association.t1) || preferred * 0.5;
  const t2 = seconds(association.t2) || preferred * 0.8;
  const sane = t1 <= t2 && t2 <= valid;
  return {
    address: given.address,
    valid,
    preferred,
    server,
    seconds: valid,
    renewAfter: sane ? t1 : preferred * 0.5,
    rebindAfter: sane ? t2 : preferred * 0.8,
    ...namesOf(reply),
  };
}
