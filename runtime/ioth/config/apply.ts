/** Applies a configuration to a stack, and remembers what it did so that later ones can add to it or undo it. */
import { Errno } from '../../errno.ts';
import { logger } from '../../log.ts';
import { NetlinkClient, formatIp } from '../netlink/index.ts';
import { AF, type Stack } from '../stack.ts';
import { hashMac } from './hash.ts';
import { type InterfaceConfig, type WordAddress, parseConfig } from './parse.ts';
import { resolvConf } from './resolv.ts';

const log = logger('ioth');

/** Bits of {@link applyConfig}'s result: what was done (ioth_config(3)). */
export const CONFIGURED = { STATIC: 1, ETH: 2 } as const;

/** The static records of one interface. */
interface Records {
  addresses: InterfaceConfig['addresses'];
  gateways: WordAddress[];
}

/** What was configured in one stack. Name servers are for all of it: it has one resolv.conf(5). */
interface Store {
  /** By index of the interface. */
  interfaces: Map<number, Records>;
  dns: WordAddress[];
  domains: string[];
}

const stores = new WeakMap<Stack, Store>();

function storeOf(stack: Stack): Store {
  let store = stores.get(stack);
  if (store === undefined) stores.set(stack, (store = { interfaces: new Map(), dns: [], domains: [] }));
  return store;
}

function recordsOf(store: Store, index: number): Records {
  let records = store.interfaces.get(index);
  if (records === undefined) store.interfaces.set(index, (records = { addresses: [], gateways: [] }));
  return records;
}

/** What must be done in the stack itself; the rest is only text for resolv.conf(5). */
function touchesLink({ eth, addresses, gateways, undo }: InterfaceConfig): boolean {
  return (
    eth || addresses.length + gateways.length > 0 || (['eth', 'ip', 'gw'] as const).some((u) => undo.has(u))
  );
}

const isStatic = ({ addresses, gateways, dns, domains }: InterfaceConfig): boolean =>
  addresses.length + gateways.length + dns.length + domains.length > 0;

function findIndex(client: NetlinkClient, config: InterfaceConfig, fallback: string): number {
  if (config.ifindex !== undefined) {
    if (client.links().some((link) => link.index === config.ifindex)) return config.ifindex;
    throw new Errno('ENODEV', `ifindex=${config.ifindex}: the stack has no such interface`);
  }
  const name = config.iface ?? fallback;
  try {
    return client.indexOf(name);
  } catch (error) {
    throw named(error, `interface ${name}`);
  }
}

/** `error` with the word or thing that it is about in its text. */
function named(error: unknown, what: string): unknown {
  return error instanceof Errno ? new Errno(error.errno, `${what}: ${error.message}`) : error;
}

/** Runs `action`, for which errors named in `fine` mean that things are as wanted already. */
function act(what: string, fine: string[], action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof Errno) || !fine.includes(error.code)) throw named(error, what);
  }
}

function undo(client: NetlinkClient, index: number, config: InterfaceConfig, records: Records): void {
  if (config.undo.has('gw')) {
    for (const gateway of records.gateways.splice(0)) {
      const route = { family: gateway.family, gateway, index };
      act(`-gw (${gateway.text})`, ['ESRCH', 'ENETUNREACH'], () => client.delRoute(route));
    }
  }
  if (config.undo.has('ip')) {
    for (const address of records.addresses.splice(0)) {
      act(`-ip (${address.text})`, ['EADDRNOTAVAIL'], () =>
        client.delAddress(index, address, address.prefixLength),
      );
    }
  }
  if (config.undo.has('eth')) client.setUp(index, false);
}

/** `eth`: the address if one is known, then up. Unlike iothconf nothing waits: the link is there at once. */
function doEth(client: NetlinkClient, index: number, { mac, fqdn }: InterfaceConfig): void {
  const address = mac ?? (fqdn === undefined ? undefined : hashMac(fqdn));
  if (address !== undefined) act('mac', [], () => client.setMac(index, address));
  act('eth', [], () => client.setUp(index, true));
}

function doStatic(client: NetlinkClient, index: number, config: InterfaceConfig, records: Records): void {
  for (const address of config.addresses) {
    act(address.text, ['EEXIST'], () => client.addAddress(index, address, address.prefixLength));
    records.addresses.push(address);
  }
  for (const gateway of config.gateways) {
    const same = records.gateways.some((known) => formatIp(known) === formatIp(gateway));
    // IPv4 finds the interface by the gateway's address (IOTH-FACTS §2.5).
    const route = { family: gateway.family, gateway, ...(gateway.family === AF.INET6 ? { index } : {}) };
    act(gateway.text, same ? ['EEXIST'] : [], () => client.addRoute(route));
    if (!same) records.gateways.push(gateway);
  }
}

function applyInterface(stack: Stack, config: InterfaceConfig, fallback: string): number {
  const store = storeOf(stack);
  if (touchesLink(config) || config.iface !== undefined || config.ifindex !== undefined) {
    NetlinkClient.with(stack, (client) => {
      const index = findIndex(client, config, fallback);
      const records = recordsOf(store, index);
      undo(client, index, config, records);
      if (config.eth) doEth(client, index, config);
      doStatic(client, index, config, records);
    });
  }
  if (config.undo.has('dns')) store.dns = [];
  if (config.undo.has('domain')) store.domains = [];
  store.dns.push(...config.dns);
  store.domains.push(...config.domains);
  return (isStatic(config) ? CONFIGURED.STATIC : 0) | (config.eth ? CONFIGURED.ETH : 0);
}

/**
 * Configures `stack` by an IoTh string (ioth_config(3)): first what the words undo, then `eth`, then the static
 * words; then it renews {@link Stack.resolvConf}. `fallback` is the interface that is meant where the string names
 * none. Returns a mask of {@link CONFIGURED}. Throws Errno: EINVAL for a word that is unknown or malformed (nothing
 * has been changed then), EOPNOTSUPP for autoconfiguration, ENODEV for an interface that does not exist, otherwise
 * what the stack answered.
 */
export async function applyConfig(stack: Stack, text: string, options: ApplyOptions = {}): Promise<number> {
  return applyInterfaces(stack, parseConfig(text).interfaces, options);
}

export interface ApplyOptions {
  /** The interface that is meant where the configuration names none; vde0 by default. */
  fallback?: string;
  signal?: AbortSignal;
}

export const resolvconfOf = (stack: Stack): string | undefined => stack.resolvConf;

/** As {@link applyConfig}, with a configuration that was parsed already. */
export async function applyInterfaces(
  stack: Stack,
  interfaces: InterfaceConfig[],
  { fallback = 'vde0' }: ApplyOptions,
): Promise<number> {
  let done = 0;
  for (const config of interfaces) done |= applyInterface(stack, config, fallback);
  const { domains, dns } = storeOf(stack);
  stack.resolvConf = resolvConf(domains, dns);
  log.debug(`${stack.driver}: configured (mask ${done})`);
  return done;
}
