/** The DHCPv6 client (RFC 8415 §18.2): one address, kept as long as the stack lives. */
import { logger } from '../../../log.ts';
import { type IpAddress, formatIp } from '../../netlink/index.ts';
import { AF } from '../../stack.ts';
import { addGlobal, isLinkLocal, removeAddress, settled } from '../address6.ts';
import { LeaseKeeper, type LeaseUser } from '../keeper.ts';
import type { Interface, Source } from '../source.ts';
import { Exchange6, same } from './exchange.ts';
import { type Lease, leaseOf, usable } from './lease.ts';
import { OPTION, type Option, TYPE, associationOption, makeDuid } from './wire.ts';

const log = logger('dhcp6');
const ATTEMPTS = 3;
/** Addresses of our interface that others send to have nothing to do with it; the server installs a host route. */
const PREFIX = 128;
const NO_BINDING = 3;

const serverOption = ({ server }: { server: Uint8Array }): Option => ({
  code: OPTION.SERVER_ID,
  data: server,
});

class Dhcp6Client implements Source, LeaseUser<Lease> {
  readonly #link: Interface;
  readonly #duid: Uint8Array;
  readonly #keeper: LeaseKeeper<Lease>;

  constructor(link: Interface) {
    this.#link = link;
    this.#duid = makeDuid(link.mac);
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
    if (lease === undefined) return ['dhcp6: no address'];
    const address = formatIp({ family: AF.INET6, bytes: lease.address });
    return [`dhcp6: ${address}/${PREFIX}, preferred ${lease.preferred} s, valid ${lease.valid} s`];
  }

  async acquire(signal: AbortSignal): Promise<boolean> {
    if ((await settled(this.#link, isLinkLocal, signal)) !== 'ours') return false;
    return Exchange6.with(this.#link, this.#duid, async (exchange) => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const lease = await this.#negotiate(exchange, signal);
        if (lease === undefined) return false;
        if (await this.install(lease, signal)) {
          this.#keeper.keep(lease);
          return true;
        }
        await exchange.ask(TYPE.DECLINE, this.#about(exchange, lease), { signal });
      }
      return false;
    });
  }

  async undo(): Promise<void> {
    const lease = this.#keeper.stop();
    if (lease === undefined) return;
    this.uninstall(lease);
    await this.#release(lease);
    this.#link.changed();
  }

  /** A released address must not be used any more, and the kernel's own stack lives on. */
  close(): Promise<void> {
    return this.undo();
  }

  async install(lease: Lease, signal: AbortSignal): Promise<boolean> {
    const ours = await addGlobal(this.#link, lease.address, PREFIX, lease, signal);
    if (!ours) log.warn('somebody has the address that was given');
    return ours;
  }

  uninstall(lease: Lease): void {
    removeAddress(this.#link, lease.address, PREFIX);
  }

  /** RENEW with the server that gave the address, REBIND with any. */
  prolong(lease: Lease, rebinding: boolean, signal: AbortSignal): Promise<Lease | 'lost' | undefined> {
    return Exchange6.with(this.#link, this.#duid, (exchange) => {
      const about = this.#about(exchange, lease).slice(rebinding ? 1 : 0);
      return exchange.ask<Lease | 'lost'>(rebinding ? TYPE.REBIND : TYPE.RENEW, about, {
        signal,
        count: 1,
        accept: (reply) => {
          const known = rebinding || same(reply.server, lease.server);
          const gone = reply.message.type === TYPE.REPLY && reply.association?.status === NO_BINDING;
          return known && gone ? 'lost' : leaseOf(reply, lease, rebinding);
        },
      });
    });
  }

  /** SOLICIT and REQUEST. */
  async #negotiate(exchange: Exchange6, signal: AbortSignal): Promise<Lease | undefined> {
    const offer = await exchange.ask(TYPE.SOLICIT, [associationOption(exchange.id, [])], {
      signal,
      accept: (reply) => {
        const [given] = reply.message.type === TYPE.ADVERTISE ? usable(reply) : [];
        return given && { server: reply.server, address: given.address };
      },
    });
    if (offer === undefined) return undefined;
    const accept = (reply: Parameters<typeof leaseOf>[0]): Lease | undefined => leaseOf(reply, offer);
    return exchange.ask(TYPE.REQUEST, this.#about(exchange, offer), { signal, accept });
  }

  /** The options that name a server and the address that it gave. */
  #about({ id }: Exchange6, given: { server: Uint8Array; address: Uint8Array }): Option[] {
    return [serverOption(given), associationOption(id, [given.address])];
  }

  async #release(lease: Lease): Promise<void> {
    try {
      await Exchange6.with(this.#link, this.#duid, (exchange) =>
        exchange.tell(TYPE.RELEASE, this.#about(exchange, lease)),
      );
    } catch (error) {
      log.debug(`no release: ${(error as Error).message}`);
    }
  }
}

/** Gets an address by DHCPv6; undefined when nobody gives one. */
export async function startDhcp6(link: Interface, signal: AbortSignal): Promise<Source | undefined> {
  const client = new Dhcp6Client(link);
  return (await client.acquire(signal)) ? client : undefined;
}
