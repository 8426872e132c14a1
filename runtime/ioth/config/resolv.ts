import { type IpAddress, formatIp } from '../netlink/address.ts';
import { AF } from '../stack.ts';

/**
 * The resolv.conf(5) that belongs to `domains` and `servers` (IOTH-FACTS §2.7): the search list, then the servers,
 * IPv6 first, nothing twice. Undefined when there is neither.
 */
export function resolvConf(
  domains: string[],
  servers: IpAddress[],
  others: readonly IpAddress[] = [],
): string | undefined {
  if (domains.length + servers.length + others.length === 0) return undefined;
  const ordered = [AF.INET6, AF.INET].flatMap((family) =>
    servers.filter((server) => server.family === family),
  );
  const search = domains.length > 0 ? [`search ${[...new Set(domains)].join(' ')}`] : [];
  const lines = [
    ...search,
    ...new Set([...ordered, ...others].map((server) => `nameserver ${formatIp(server)}`)),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
