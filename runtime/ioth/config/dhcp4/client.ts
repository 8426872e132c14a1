/** The DHCPv4 client (RFC 2131 §4.4): gets an address, keeps it as long as the stack lives, and gives it back. */
import { randomBytes } from 'node:crypto';
import { Errno } from '../../../errno.ts';
import { logger } from '../../../log.ts';
import { type IpAddress, NetlinkClient } from '../../netlink/index.ts';
import { AF } from '../../stack.ts';
import { pause, tries } from '../../time.ts';
import { LeaseKeeper, type LeaseUser } from '../keeper.ts';
import type { Interface, Source } from '../source.ts';
import { AddressGuard, taken } from './arp.ts';
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

class Dhcp4Client implements Source, LeaseUser<Lease> {
  readonly #link: Interface;
  readonly #keeper: LeaseKeeper<Lease>;
  #guard: AddressGuard | undefined;
  #route: Address4 | undefined;

  constructor(link: Interface) {
    this.#link = link;
    this.#keeper = new LeaseKeeper(link.timing, this, () => link.changed());
  }

  get dns(): readonly IpAddress[] {
    return this.#keeper.lease?.dns ?? [];
  }

  get domains(): readonly string[] {
    return this.#keeper.lease?.domains ?? [];
  }

  describe(): string[] {
    const { lease } = this.#keeper;
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
          await this.#decline(channel, lease, signal);
          continue;
        }
        // Nobody would take the address back after the end.
        signal.throwIfAborted();
        await this.install(lease);
        this.#keeper.keep(lease);
        return true;
      }
      return false;
    } finally {
      channel.close();
    }
  }

  async undo(): Promise<void> {
    const lease = this.#keeper.stop();
    if (lease === undefined) return;
    // From the address itself, so before it goes (RFC 2131 §4.4.6).
    await this.#release(lease);
    this.uninstall(lease);
    this.#link.changed();
  }

  /** A released address must not be used any more, and the kernel's own stack lives on. */
  close(): Promise<void> {
    return this.undo();
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

  install(lease: Lease): Promise<boolean> {
    const { stack, index } = this.#link;
    NetlinkClient.with(stack, (client) => {
      const { seconds } = lease;
      client.addAddress(index, ip(lease.address), lease.prefixLength, {
        valid: seconds,
        preferred: seconds,
        replace: true,
      });
      this.#setRoute(client, lease.routers[0]);
    });
    this.#guard ??= new AddressGuard(this.#link, lease.address, () => void this.#conflict(lease));
    return Promise.resolve(true);
  }

  /** Somebody else uses the address and does not stop (RFC 5227 §2.4): it is declined, and another asked for. */
  async #conflict(lease: Lease): Promise<void> {
    log.warn(`somebody uses ${text4(lease.address)} too`);
    try {
      const channel = packetChannel(this.#link);
      try {
        await channel.send(this.#message(TYPE.DECLINE, this.#selection(lease)));
      } finally {
        channel.close();
      }
    } catch (error) {
      log.debug(`${text4(lease.address)} was not declined: ${(error as Error).message}`);
    }
    await this.#keeper.lose();
  }

  async #decline(channel: Channel, lease: Lease, signal: AbortSignal): Promise<void> {
    await channel.send(this.#message(TYPE.DECLINE, this.#selection(lease)));
    await pause(this.#link.timing.declined, signal);
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

  uninstall(lease: Lease): void {
    this.#guard?.close();
    this.#guard = undefined;
    NetlinkClient.with(this.#link.stack, (client) => {
      this.#dropRoute(client);
      quietly(() => client.delAddress(this.#link.index, ip(lease.address), lease.prefixLength));
    });
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

  async prolong(lease: Lease, rebinding: boolean, signal: AbortSignal): Promise<Lease | 'lost' | undefined> {
    const channel = udpChannel(this.#link, lease.address, rebinding ? undefined : lease.server);
    try {
      const request = this.#message(TYPE.REQUEST, [], lease.address);
      const accept = (reply: Dhcp4Message): ReturnType<typeof leaseOf> => leaseOf(reply, lease, rebinding);
      const answer = await tries(1, this.#link.timing.dhcpTry, signal, (limit) =>
        exchange(channel, request, accept, limit),
      );
      return answer === 'refused' ? 'lost' : answer;
    } finally {
      channel.close();
    }
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
