/** The DHCPv4 client (RFC 2131 §4.4): gets an address, keeps it as long as the stack lives, and gives it back. */
import { randomBytes } from 'node:crypto';
import { Errno } from '../../../errno.ts';
import { logger } from '../../../log.ts';
import { type IpAddress, NetlinkClient } from '../../netlink/index.ts';
import { AF } from '../../stack.ts';
import { Alarm, pause, tries } from '../../time.ts';
import type { Interface, Source } from '../source.ts';
import { announce, taken } from './arp.ts';
import { type Channel, exchange, packetChannel, text4, udpChannel } from './channel.ts';
import { type Lease, type Offer, leaseOf, offerOf } from './lease.ts';
import {
  type Address4, type Dhcp4Message, NO_ADDRESS, OPTION, TYPE, fqdnOption,
} from './wire.ts'; // prettier-ignore

const log = logger('dhcp');
/** How often an address is asked for that then is refused or taken. */
const ATTEMPTS = 3;
const MAX_SIZE = 576;
const PARAMETERS = [OPTION.SUBNET_MASK, OPTION.ROUTER, OPTION.DNS, OPTION.DOMAIN];

const ip = (bytes: Address4): IpAddress => ({ family: AF.INET, bytes });
const option16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff);

class Dhcp4Client implements Source {
  readonly #link: Interface;
  readonly #life = new AbortController();
  readonly #alarm = new Alarm();
  #lease: Lease | undefined;
  /** When the lease was granted (performance.now()). */
  #granted = 0;
  #route: Address4 | undefined;

  constructor(link: Interface) {
    this.#link = link;
  }

  get dns(): readonly IpAddress[] {
    return this.#lease?.dns ?? [];
  }

  get domains(): readonly string[] {
    return this.#lease?.domains ?? [];
  }

  describe(): string[] {
    const lease = this.#lease;
    if (lease === undefined) return ['dhcp: no address'];
    const routers = lease.routers.map((router) => `, router ${text4(router)}`).join('');
    return [
      `dhcp: ${text4(lease.address)}/${lease.prefixLength} from ${text4(lease.server)}, ${lease.seconds} s${routers}`,
    ];
  }

  /** Gets an address; false when there is none to get. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    const channel = packetChannel(this.#link);
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const lease = await this.#negotiate(channel, signal);
        if (lease === undefined) return false;
        if (lease === 'refused') continue;
        if (await taken(this.#link, lease.address, signal)) {
          log.warn(`somebody has ${text4(lease.address)}, which ${text4(lease.server)} offered`);
          await channel.send(this.#message(TYPE.DECLINE, this.#selection(lease)));
          await pause(this.#link.timing.declined, signal);
          continue;
        }
        await this.#install(lease);
        return true;
      }
      return false;
    } finally {
      channel.close();
    }
  }

  async undo(): Promise<void> {
    const lease = this.#lease;
    this.#stop();
    if (lease === undefined) return;
    // From the address itself, so before it goes (RFC 2131 §4.4.6).
    await this.#release(lease);
    this.#uninstall();
  }

  async close(): Promise<void> {
    const lease = this.#lease;
    this.#stop();
    if (lease !== undefined) await this.#release(lease);
  }

  /** Seconds since the lease was granted. */
  #passed(): number {
    return (performance.now() - this.#granted) / this.#link.timing.second;
  }

  #stop(): void {
    this.#alarm.clear();
    this.#life.abort(new Errno('ECANCELED', 'DHCP was ended'));
  }

  /** One round of DISCOVER and REQUEST. */
  async #negotiate(channel: Channel, signal: AbortSignal): Promise<Lease | 'refused' | undefined> {
    const { dhcpTries, dhcpTry } = this.#link.timing;
    const discover = this.#message(TYPE.DISCOVER, []);
    const offer = await tries(dhcpTries, dhcpTry, signal, (limit) =>
      exchange(channel, discover, offerOf, limit),
    );
    if (offer === undefined) return undefined;
    const request = { ...this.#message(TYPE.REQUEST, this.#selection(offer)), xid: discover.xid };
    return tries(dhcpTries, dhcpTry, signal, (limit) =>
      exchange(channel, request, (reply) => leaseOf(reply, offer), limit),
    );
  }

  #selection({ address, server }: Offer): [number, Uint8Array][] {
    return [
      [OPTION.REQUESTED, address],
      [OPTION.SERVER, server],
    ];
  }

  #message(type: number, more: [number, Uint8Array][], client: Address4 = NO_ADDRESS): Dhcp4Message {
    const { mac, fqdn } = this.#link;
    const asks = type === TYPE.DISCOVER || type === TYPE.REQUEST;
    const options: [number, Uint8Array][] = [
      [OPTION.TYPE, Uint8Array.of(type)],
      ...(asks ? [[OPTION.MAX_SIZE, option16(MAX_SIZE)] as [number, Uint8Array]] : []),
      [OPTION.CLIENT_ID, Uint8Array.of(1, ...mac)],
      ...more,
      ...(asks ? [[OPTION.PARAMETERS, Uint8Array.from(PARAMETERS)] as [number, Uint8Array]] : []),
      ...(asks && fqdn !== undefined ? [[OPTION.FQDN, fqdnOption(fqdn)] as [number, Uint8Array]] : []),
    ];
    return {
      op: 1, xid: randomBytes(4).readUInt32BE(), seconds: 0, broadcast: false, client, yours: NO_ADDRESS,
      server: NO_ADDRESS, relay: NO_ADDRESS, mac, options: new Map(options),
    }; // prettier-ignore
  }

  /** Gives the interface the address, or prolongs it. */
  async #install(lease: Lease): Promise<void> {
    const { stack, index } = this.#link;
    const renewed = this.#lease !== undefined;
    this.#lease = lease;
    this.#granted = performance.now();
    NetlinkClient.with(stack, (client) => {
      const { seconds } = lease;
      client.addAddress(index, ip(lease.address), lease.prefixLength, {
        valid: seconds,
        preferred: seconds,
        replace: true,
      });
      this.#setRoute(client, lease.routers[0]);
    });
    if (!renewed) await announce(this.#link, lease.address);
    this.#link.changed();
    // A lease of no time is renewed too late rather than all the time.
    this.#alarm.set(Math.max(lease.renewAfter, 1) * this.#link.timing.second, () => void this.#renew());
  }

  #setRoute(client: NetlinkClient, router: Address4 | undefined): void {
    if (this.#route && router && Buffer.compare(this.#route, router) === 0) return;
    this.#dropRoute(client);
    if (router === undefined) return;
    try {
      client.addRoute({ family: AF.INET, gateway: ip(router), index: this.#link.index });
      this.#route = router;
    } catch (error) {
      log.warn(`no default route through ${text4(router)}: ${(error as Error).message}`);
    }
  }

  #dropRoute(client: NetlinkClient): void {
    if (this.#route === undefined) return;
    const gateway = ip(this.#route);
    this.#route = undefined;
    quietly(() => client.delRoute({ family: AF.INET, gateway, index: this.#link.index }));
  }

  #uninstall(): void {
    const lease = this.#lease;
    if (lease === undefined) return;
    this.#lease = undefined;
    NetlinkClient.with(this.#link.stack, (client) => {
      this.#dropRoute(client);
      quietly(() => client.delAddress(this.#link.index, ip(lease.address), lease.prefixLength));
    });
    this.#link.changed();
  }

  async #release(lease: Lease): Promise<void> {
    try {
      const channel = udpChannel(this.#link, lease.address, lease.server);
      try {
        await channel.send(this.#message(TYPE.RELEASE, [[OPTION.SERVER, lease.server]], lease.address));
      } finally {
        channel.close();
      }
    } catch (error) {
      log.debug(`${text4(lease.address)} was not released: ${(error as Error).message}`);
    }
  }

  /** Asks for more time: first its server, later any, and gives the address up at the end (RFC 2131 §4.4.5). */
  async #renew(): Promise<void> {
    const lease = this.#lease;
    if (lease === undefined) return;
    const passed = this.#passed();
    if (passed >= lease.seconds) return this.#lost();
    const rebinding = passed >= lease.rebindAfter;
    try {
      const answer = await this.#prolong(lease, rebinding);
      if (answer === 'refused') return await this.#lost();
      if (answer !== undefined) return await this.#install(answer);
    } catch (error) {
      if (this.#life.signal.aborted) return;
      log.debug(`renewal of ${text4(lease.address)}: ${(error as Error).message}`);
    }
    const next = rebinding ? lease.seconds : lease.rebindAfter;
    const left = (next - this.#passed()) * this.#link.timing.second;
    this.#alarm.set(
      Math.min(Math.max(left / 2, this.#link.timing.renewal), Math.max(left, 0)),
      () => void this.#renew(),
    );
  }

  async #prolong(lease: Lease, rebinding: boolean): Promise<Lease | 'refused' | undefined> {
    const channel = udpChannel(this.#link, lease.address, rebinding ? undefined : lease.server);
    try {
      const request = this.#message(TYPE.REQUEST, [], lease.address);
      const accept = (reply: Dhcp4Message): ReturnType<typeof leaseOf> => leaseOf(reply, lease, rebinding);
      return await tries(1, this.#link.timing.dhcpTry, this.#life.signal, (limit) =>
        exchange(channel, request, accept, limit),
      );
    } finally {
      channel.close();
    }
  }

  /** The address is not ours any more; asks for another until there is one. */
  async #lost(): Promise<void> {
    log.warn('the lease has ended');
    try {
      this.#uninstall();
      if (await this.acquire(this.#life.signal)) return;
    } catch (error) {
      if (this.#life.signal.aborted) return;
      log.debug(`no new lease: ${(error as Error).message}`);
    }
    this.#alarm.set(this.#link.timing.renewal, () => void this.#lost());
  }
}

/** Does what may be done already. */
function quietly(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
}

/** Gets an address by DHCPv4; undefined when nobody gives one. */
export async function startDhcp4(link: Interface, signal: AbortSignal): Promise<Source | undefined> {
  const client = new Dhcp4Client(link);
  return (await client.acquire(signal)) ? client : undefined;
}
