/**
 * Router discovery and stateless autoconfiguration (RFC 4861 §6.3, RFC 4862 §5.5): asks for routers, and then listens to
 * what they advertise as long as the stack lives.
 */
import { Errno } from '../../../errno.ts';
import { logger } from '../../../log.ts';
import { type IpAddress, NetlinkClient, formatIp, parseIp } from '../../netlink/index.ts';
import { WireError } from '../../netlink/wire.ts';
import type { Socket } from '../../socket/socket.ts';
import { AF } from '../../stack.ts';
import { Alarm, tries } from '../../time.ts';
import { addGlobal, isGlobalUnicast, isLinkLocal, removeAddress, settled } from '../address6.ts';
import { eui64, hashAddress } from '../hash.ts';
import { StatelessDhcp6 } from '../dhcp6/stateless.ts';
import type { Interface, Source } from '../source.ts';
import { advertiser, openRouterSocket } from './socket.ts';
import { type Timed, merge, now, valid } from './timed.ts';
import { type Advertisement, type Prefix, parseAdvertisement, serializeSolicitation } from './wire.ts';

const log = logger('router');
const ROUTERS = 'ff02::2';
const INFINITE = 0xffffffff;
const TWO_HOURS = 7200;
/** More than any sane link has; a malicious one may advertise more. */
const MAX_ROUTERS = 8;
const MAX_ADDRESSES = 16;

export interface RouterOptions {
  /** Whether addresses are made from prefixes (`slaac`). */
  slaac: boolean;
}

interface Own {
  address: Uint8Array;
  length: number;
  /** performance.now() / 1000 at which it ends. */
  until: number;
}

const seconds = (value: number): number => (value === INFINITE ? Infinity : value);

class RouterClient implements Source {
  readonly #link: Interface;
  readonly #options: RouterOptions;
  readonly #socket: Socket;
  readonly #life = new AbortController();
  /** Default routers by their address, with the alarm of their end. */
  readonly #routers = new Map<string, Alarm>();
  readonly #own: Own[] = [];
  readonly #stateless: StatelessDhcp6;
  #servers: Timed<IpAddress>[] = [];
  #search: Timed<string>[] = [];
  #mtu: number | undefined;

  constructor(link: Interface, options: RouterOptions) {
    this.#link = link;
    this.#options = options;
    this.#socket = openRouterSocket(link);
    this.#stateless = new StatelessDhcp6(link);
  }

  get dns(): readonly IpAddress[] {
    return [...valid(this.#servers), ...this.#stateless.dns];
  }

  get domains(): readonly string[] {
    return [...valid(this.#search), ...this.#stateless.domains];
  }

  describe(): string[] {
    const routers = [...this.#routers.keys()].map((router) => `rd: router ${router}`);
    const own = this.#own.map(
      ({ address, length }) => `rd: ${formatIp({ family: AF.INET6, bytes: address })}/${length}`,
    );
    return [...routers, ...own, ...(this.#mtu === undefined ? [] : [`rd: mtu ${this.#mtu}`])];
  }

  /** Asks for routers; false when there is none. Afterwards listens on. */
  async discover(signal: AbortSignal): Promise<boolean> {
    const { timing, index, mac } = this.#link;
    try {
      const ready = (await settled(this.#link, isLinkLocal, signal)) === 'ours';
      const to = { family: AF.INET6, address: ROUTERS, port: 0, scopeId: index } as const;
      const found = await tries(ready ? timing.routerTries : 0, timing.routerTry, signal, async (limit) => {
        await this.#socket.sendto(serializeSolicitation(mac), to);
        await this.#next(limit);
        return true;
      });
      if (!found) this.#socket.close();
      else void this.#listen();
      return found ?? false;
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  async undo(): Promise<void> {
    await this.close();
    for (const router of [...this.#routers.keys()]) this.#dropRouter(router);
    for (const { address, length } of this.#own.splice(0)) removeAddress(this.#link, address, length);
    this.#servers = [];
    this.#search = [];
    this.#link.changed();
  }

  async close(): Promise<void> {
    this.#life.abort(new Errno('ECANCELED', 'router discovery was ended'));
    this.#socket.close();
    this.#stateless.stop();
    for (const alarm of this.#routers.values()) alarm.clear();
  }

  async #listen(): Promise<void> {
    this.#socket.unref();
    try {
      for (;;) await this.#next(this.#life.signal);
    } catch (error) {
      if (!this.#life.signal.aborted) log.warn(`no more advertisements: ${(error as Error).message}`);
    }
  }

  /** Waits for the next advertisement and does what it says. */
  async #next(signal: AbortSignal): Promise<void> {
    for (;;) {
      const message = await this.#socket.recvmsg(65535, { signal });
      // It may have come in the very moment in which all was taken back.
      this.#life.signal.throwIfAborted();
      const from = advertiser(message);
      if (from === undefined) continue;
      try {
        const advertisement = parseAdvertisement(message.data);
        await this.#obey(from, advertisement);
        return;
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        log.debug(`an advertisement of ${from}: ${error.message}`);
      }
    }
  }

  async #obey(router: string, advertisement: Advertisement): Promise<void> {
    this.#setRouter(router, advertisement.lifetime);
    this.#mtu = advertisement.mtu ?? this.#mtu;
    const signal = this.#life.signal;
    if (this.#options.slaac)
      await Promise.all(advertisement.prefixes.map((prefix) => this.#usePrefix(prefix, signal)));
    signal.throwIfAborted();
    const { dns, domains } = advertisement;
    const servers = dns.map(({ address, lifetime }) => ({
      value: { family: AF.INET6, bytes: address },
      until: now() + seconds(lifetime),
    }));
    const search = domains
      .filter(({ name }) => /^[!-~]+$/.test(name))
      .map(({ name, lifetime }) => ({ value: name, until: now() + seconds(lifetime) }));
    this.#servers = merge(this.#servers, servers, (server) => formatIp(server));
    this.#search = merge(this.#search, search, (name) => name);
    if (dns.length + domains.length > 0) this.#link.changed();
    // With M the client of addresses asks for names too (RFC 4861 §4.2).
    if (advertisement.other && !advertisement.managed) await this.#stateless.start(signal);
  }

  #setRouter(router: string, lifetime: number): void {
    if (lifetime === 0) return this.#dropRouter(router);
    const known = this.#routers.get(router);
    if (known === undefined) {
      if (this.#routers.size >= MAX_ROUTERS) return;
      try {
        NetlinkClient.with(this.#link.stack, (client) => client.addRoute(this.#route(router)));
      } catch (error) {
        // The stack itself may have understood the advertisement.
        if (!(error instanceof Errno) || error.code !== 'EEXIST') throw error;
      }
    }
    const alarm = known ?? new Alarm();
    this.#routers.set(router, alarm);
    alarm.set(lifetime * 1000, () => this.#dropRouter(router));
  }

  #dropRouter(router: string): void {
    this.#routers.get(router)?.clear();
    if (!this.#routers.delete(router)) return;
    try {
      NetlinkClient.with(this.#link.stack, (client) => client.delRoute(this.#route(router)));
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
    }
  }

  #route = (router: string) => ({ family: AF.INET6, gateway: parseIp(router)!, index: this.#link.index });

  /** RFC 4862 §5.5.3. With a name a prefix that is only on the link will do (IOTH-FACTS §2.5). */
  async #usePrefix(prefix: Prefix, signal: AbortSignal): Promise<void> {
    const { fqdn, mac } = this.#link;
    const [valid, preferred] = [seconds(prefix.valid), seconds(prefix.preferred)];
    const wanted = prefix.autonomous || fqdn !== undefined;
    if (!wanted || prefix.length !== 64 || preferred > valid || !isGlobalUnicast(prefix.prefix)) return;
    const bytes = Uint8Array.from(prefix.prefix).fill(0, 8);
    const base = { family: AF.INET6, bytes };
    const { bytes: address } = fqdn === undefined ? eui64(base, mac) : hashAddress(base, fqdn);
    const known = this.#own.find((own) => Buffer.compare(own.address, address) === 0);
    if (known === undefined && (valid === 0 || this.#own.length >= MAX_ADDRESSES)) return;
    const granted = known === undefined ? valid : prolonged(known.until - now(), valid);
    const times = { valid: granted, preferred: Math.min(preferred, granted) };
    // Noted before the stack has it: what ends the wait finds all that is to be taken back.
    const own = known ?? { address, length: prefix.length, until: 0 };
    own.until = now() + granted;
    if (known === undefined) this.#own.push(own);
    if (granted === 0 || (await addGlobal(this.#link, address, prefix.length, times, signal))) return;
    this.#own.splice(this.#own.indexOf(own), 1);
    log.warn(`somebody has ${formatIp({ family: AF.INET6, bytes: address })}`);
  }
}

/** The valid lifetime of an address that has `left` seconds, when `valid` is advertised (RFC 4862 §5.5.3 e). */
export function prolonged(left: number, valid: number): number {
  if (valid > TWO_HOURS || valid > left) return valid;
  return left <= TWO_HOURS ? left : TWO_HOURS;
}

/** Finds the routers of the link; undefined when there is none. */
export async function startRouter(
  link: Interface,
  options: RouterOptions,
  signal: AbortSignal,
): Promise<Source | undefined> {
  const client = new RouterClient(link, options);
  return (await client.discover(signal)) ? client : undefined;
}
