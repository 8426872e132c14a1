/** Applies a configuration to a stack, and remembers what it did so that later ones can add to it or undo it. */
import { Errno } from '../../errno.ts';
import { complain, logger } from '../../log.ts';
import { NetlinkClient, formatIp } from '../netlink/index.ts';
import { AF, type Stack } from '../stack.ts';
import { startDhcp4 } from './dhcp4/client.ts';
import { startDhcp6 } from './dhcp6/client.ts';
import { hashMac } from './hash.ts';
import { type InterfaceConfig, parseConfig } from './parse.ts';
import { startRouter } from './router/client.ts';
import { type Interface, type Source, type SourceName, TIMING, type Timing } from './source.ts';
import { type Records, storeOf } from './store.ts';

const log = logger('ioth');

/** Bits of {@link applyConfig}'s result: what was done (ioth_config(3)). */
export const CONFIGURED = { STATIC: 1, ETH: 2, DHCP: 4, DHCP6: 8, RD: 16 } as const;

const LINK_WORDS = ['eth', 'ip', 'gw', 'dhcp', 'dhcp6', 'rd'] as const;

/** What must be done in the stack itself; the rest is only text for resolv.conf(5). */
function touchesLink({ eth, sources, debug, addresses, gateways, undo }: InterfaceConfig): boolean {
  const more = addresses.length + gateways.length + sources.size > 0;
  return eth || debug || more || LINK_WORDS.some((word) => undo.has(word));
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

function undoStatic(client: NetlinkClient, index: number, config: InterfaceConfig, records: Records): void {
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

const SOURCES: Record<SourceName, { bit: number; start: StartSource }> = {
  rd: { bit: CONFIGURED.RD, start: (link, { slaac }, signal) => startRouter(link, { slaac }, signal) },
  dhcp6: { bit: CONFIGURED.DHCP6, start: (link, _config, signal) => startDhcp6(link, signal) },
  dhcp: { bit: CONFIGURED.DHCP, start: (link, _config, signal) => startDhcp4(link, signal) },
};
/** The order of the original. They wait for different answers, so they run at the same time. */
const ORDER = ['rd', 'dhcp6', 'dhcp'] as const;

type StartSource = (
  link: Interface,
  config: InterfaceConfig,
  signal: AbortSignal,
) => Promise<Source | undefined>;

/** Starts a source; one that fails has just not given anything (IOTH-FACTS §2.6). */
async function startSource(
  name: SourceName,
  link: Interface,
  config: InterfaceConfig,
  records: Records,
  signal: AbortSignal,
): Promise<number> {
  await records.sources.get(name)?.undo();
  records.sources.delete(name);
  try {
    const source = await SOURCES[name].start(link, config, signal);
    if (source === undefined) return 0;
    if (signal.aborted) {
      await source.close();
      return 0;
    }
    records.sources.set(name, source);
    return SOURCES[name].bit;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Errno)) throw error;
    log.warn(`${name}: ${error.message}`);
    return 0;
  }
}

async function startSources(
  stack: Stack,
  index: number,
  config: InterfaceConfig,
  options: ApplyOptions,
): Promise<number> {
  const store = storeOf(stack);
  const link: Interface = {
    stack,
    index,
    mac: NetlinkClient.with(stack, (client) => client.mac(index)),
    ...(config.fqdn === undefined ? {} : { fqdn: config.fqdn }),
    timing: { ...TIMING, ...options.timing },
    changed: () => store.refresh(),
  };
  const signal = options.signal ? AbortSignal.any([options.signal, store.life.signal]) : store.life.signal;
  const records = store.recordsOf(index);
  const wanted = ORDER.filter((name) => config.sources.has(name));
  const bits = await Promise.all(wanted.map((name) => startSource(name, link, config, records, signal)));
  return bits.reduce((mask, bit) => mask | bit, 0);
}

function show(index: number, { addresses, gateways, sources }: Records): void {
  const lines = [
    ...addresses.map(({ text }) => `static: ${text}`),
    ...gateways.map(({ text }) => `static: ${text}`),
    ...ORDER.flatMap((name) => sources.get(name)?.describe() ?? []),
  ];
  for (const line of lines) complain(`interface ${index}: ${line}`);
}

/** Undoes, then does, in the order of the original (IOTH-FACTS §2.3). */
async function applyToLink(stack: Stack, config: InterfaceConfig, options: ApplyOptions): Promise<number> {
  const store = storeOf(stack);
  const index = NetlinkClient.with(stack, (client) => findIndex(client, config, options.fallback ?? 'vde0'));
  const records = store.recordsOf(index);
  NetlinkClient.with(stack, (client) => undoStatic(client, index, config, records));
  for (const name of ORDER) {
    if (!config.undo.has(name)) continue;
    await records.sources.get(name)?.undo();
    records.sources.delete(name);
  }
  NetlinkClient.with(stack, (client) => {
    if (config.undo.has('eth')) client.setUp(index, false);
    if (config.eth) doEth(client, index, config);
  });
  const done = config.sources.size > 0 ? await startSources(stack, index, config, options) : 0;
  NetlinkClient.with(stack, (client) => doStatic(client, index, config, records));
  if (config.debug) show(index, records);
  return done;
}

async function applyInterface(stack: Stack, config: InterfaceConfig, options: ApplyOptions): Promise<number> {
  const store = storeOf(stack);
  let done = 0;
  if (touchesLink(config) || config.iface !== undefined || config.ifindex !== undefined) {
    done = await applyToLink(stack, config, options);
  }
  if (config.undo.has('dns')) store.dns = [];
  if (config.undo.has('domain')) store.domains = [];
  store.dns.push(...config.dns);
  store.domains.push(...config.domains);
  return done | (isStatic(config) ? CONFIGURED.STATIC : 0) | (config.eth ? CONFIGURED.ETH : 0);
}

/** How a configuration is applied. */
export interface ApplyOptions {
  /** The interface that is meant where the configuration names none; vde0 by default. */
  fallback?: string;
  /** Ends the waits of autoconfiguration; what was done until then stays. */
  signal?: AbortSignal;
  timing?: Partial<Timing>;
}

/**
 * Configures `stack` by an IoTh string (ioth_config(3)): first what the words undo, then `eth`, then the sources of
 * autoconfiguration, then the static words; then it renews {@link Stack.resolvConf}. What sources gave is kept valid until
 * it is undone or the stack is closed. Returns a mask of {@link CONFIGURED}; a source that gave nothing is not in it. Throws
 * Errno: EINVAL for a word that is unknown or malformed (nothing has been changed then), ENODEV for an interface that does
 * not exist, otherwise what the stack answered.
 */
export async function applyConfig(stack: Stack, text: string, options: ApplyOptions = {}): Promise<number> {
  return applyInterfaces(stack, parseConfig(text).interfaces, options);
}

/** As {@link applyConfig}, with a configuration that was parsed already. */
export function applyInterfaces(
  stack: Stack,
  interfaces: InterfaceConfig[],
  options: ApplyOptions = {},
): Promise<number> {
  const store = storeOf(stack);
  return store.inTurn(async () => {
    let done = 0;
    for (const config of interfaces) done |= await applyInterface(stack, config, options);
    store.refresh();
    log.debug(`${stack.driver}: configured (mask ${done})`);
    return done;
  });
}

/** As ioth_resolvconf(3): the text of resolv.conf(5) when it has changed since the last call, otherwise undefined. */
export const resolvconfOf = (stack: Stack): string | undefined => storeOf(stack).takeResolvConf();
