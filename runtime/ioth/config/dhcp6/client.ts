/** The DHCPv6 client (RFC 8415 §18.2): one address, kept as long as the stack lives. */
import { randomBytes } from 'node:crypto';
import { Errno } from '../../../errno.ts';
import { logger } from '../../../log.ts';
import { type IpAddress, formatIp } from '../../netlink/index.ts';
import { WireError } from '../../netlink/wire.ts';
import { SO, SOL } from '../../socket/constants.ts';
import { Socket } from '../../socket/socket.ts';
import { AF, SOCK } from '../../stack.ts';
import { Alarm, tries } from '../../time.ts';
import { addGlobal, isGlobalUnicast, isLinkLocal, removeAddress, settled } from '../address6.ts';
import type { Interface, Source } from '../source.ts';
import {
  type Association, CLIENT_PORT, type Dhcp6Message, type Given, OPTION, type Option, SERVERS, SERVER_PORT, TYPE,
  addressList, associationOption, findOption, fqdnOption, makeDuid, nameList, parseAssociation, parseDhcp6,
  serializeDhcp6, statusOf,
} from './wire.ts'; // prettier-ignore

const log = logger('dhcp6');
const ATTEMPTS = 3;
/** Addresses of our interface that others send to have nothing to do with it; the server installs a host route. */
const PREFIX = 128;
const INFINITE = 0xffffffff;
const NO_BINDING = 3;

interface Lease extends Given {
  server: Uint8Array;
  /** Seconds after it was granted. */
  renewAfter: number;
  rebindAfter: number;
  dns: IpAddress[];
  domains: string[];
}

/** A reply of a server, as far as it was understood. */
interface Reply {
  message: Dhcp6Message;
  server: Uint8Array;
  association: Association | undefined;
}

const seconds = (value: number): number => (value === INFINITE ? Infinity : value);
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

class Dhcp6Client implements Source {
  readonly #link: Interface;
  readonly #duid: Uint8Array;
  readonly #id: number;
  readonly #life = new AbortController();
  readonly #alarm = new Alarm();
  #lease: Lease | undefined;
  #granted = 0;

  constructor(link: Interface) {
    this.#link = link;
    this.#duid = makeDuid(link.mac);
    this.#id = Buffer.from(link.mac).readUInt32BE(2);
  }

  get dns(): readonly IpAddress[] {
    return this.#lease?.dns ?? [];
  }

  get domains(): readonly string[] {
    return this.#lease?.domains ?? [];
  }

  describe(): string[] {
    const lease = this.#lease;
    if (lease === undefined) return ['dhcp6: no address'];
    const address = formatIp({ family: AF.INET6, bytes: lease.address });
    return [`dhcp6: ${address}/${PREFIX}, preferred ${lease.preferred} s, valid ${lease.valid} s`];
  }

  async acquire(signal: AbortSignal): Promise<boolean> {
    if ((await settled(this.#link, isLinkLocal, signal)) !== 'ours') return false;
    const socket = this.#open();
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const lease = await this.#negotiate(socket, signal);
        if (lease === undefined) return false;
        if (await addGlobal(this.#link, lease.address, PREFIX, lease, signal)) {
          this.#installed(lease);
          return true;
        }
        log.warn(`somebody has the address that was offered`);
        await this.#ask(socket, TYPE.DECLINE, [this.#serverOption(lease), this.#association(lease)], signal);
      }
      return false;
    } finally {
      socket.close();
    }
  }

  async undo(): Promise<void> {
    const lease = this.#lease;
    this.#stop();
    if (lease === undefined) return;
    removeAddress(this.#link, lease.address, PREFIX);
    this.#lease = undefined;
    await this.#release(lease);
    this.#link.changed();
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
    this.#life.abort(new Errno('ECANCELED', 'DHCPv6 was ended'));
  }

  #open(): Socket {
    const { stack, index } = this.#link;
    const fd = stack.socket(AF.INET6, SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
    const socket = new Socket(fd, AF.INET6, SOCK.DGRAM, 0);
    try {
      socket.setsockopt(SOL.SOCKET, SO.REUSEADDR, 1);
      socket.setsockopt(SOL.SOCKET, SO.BINDTOIFINDEX, index);
      socket.bind({ family: AF.INET6, address: '::', port: CLIENT_PORT });
      return socket;
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** SOLICIT and REQUEST. */
  async #negotiate(socket: Socket, signal: AbortSignal): Promise<Lease | undefined> {
    const offer = await this.#ask(
      socket,
      TYPE.SOLICIT,
      [associationOption(this.#id, [])],
      signal,
      (reply) => {
        const [given] = reply.message.type === TYPE.ADVERTISE ? usable(reply) : [];
        return given && { server: reply.server, address: given.address };
      },
    );
    if (offer === undefined) return undefined;
    const more = [this.#serverOption(offer), associationOption(this.#id, [offer.address])];
    return this.#ask(socket, TYPE.REQUEST, more, signal, (reply) => this.#leaseOf(reply, offer));
  }

  #serverOption = ({ server }: { server: Uint8Array }): Option => ({ code: OPTION.SERVER_ID, data: server });
  #association = ({ address }: Given): Option => associationOption(this.#id, [address]);

  /** The lease that a REPLY grants: of the address that was asked for, and no other. */
  #leaseOf(
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
    const dns = findOption(message.options, OPTION.DNS);
    const search = findOption(message.options, OPTION.SEARCH);
    return {
      address: given.address,
      valid,
      preferred,
      server,
      renewAfter: sane ? t1 : preferred * 0.5,
      rebindAfter: sane ? t2 : preferred * 0.8,
      dns: dns ? addressList(dns).map((bytes) => ({ family: AF.INET6, bytes })) : [],
      domains: search ? nameList(search).filter((name) => /^[!-~]+$/.test(name)) : [],
    };
  }

  #message(type: number, more: Option[], started: number): Dhcp6Message {
    const { fqdn } = this.#link;
    const elapsed = Math.min(Math.round((performance.now() - started) / 10), 0xffff);
    const ends = type === TYPE.RELEASE || type === TYPE.DECLINE;
    const server = more.filter(({ code }) => code === OPTION.SERVER_ID);
    return {
      type,
      transaction: randomBytes(4).readUInt32BE() & 0xffffff,
      // The order of iothconf (IOTH-FACTS §2.5).
      options: [
        { code: OPTION.CLIENT_ID, data: this.#duid },
        ...server,
        ...(ends ? [] : [{ code: OPTION.REQUESTED, data: Uint8Array.of(0, OPTION.DNS, 0, OPTION.SEARCH) }]),
        { code: OPTION.ELAPSED, data: Uint8Array.of(elapsed >> 8, elapsed & 0xff) },
        ...(fqdn !== undefined && !ends ? [fqdnOption(fqdn)] : []),
        ...more.filter((option) => !server.includes(option)),
      ],
    };
  }

  /** Sends a message of `type` until there is a reply that `accept` takes; undefined when there is none in time. */
  async #ask<T>(
    socket: Socket,
    type: number,
    more: Option[],
    signal: AbortSignal,
    accept: (reply: Reply) => T | undefined = (reply) => reply as T,
    count = this.#link.timing.dhcpTries,
  ): Promise<T | undefined> {
    const started = performance.now();
    const { index, timing } = this.#link;
    // All tries of an exchange have one transaction id (RFC 8415 §16.1).
    const message = this.#message(type, more, started);
    const to = { family: AF.INET6, address: SERVERS, port: SERVER_PORT, scopeId: index } as const;
    return tries(count, timing.dhcpTry, signal, async (limit) => {
      await socket.sendto(serializeDhcp6(message), to);
      for (;;) {
        const bytes = await socket.recv(2048, { signal: limit });
        const result = this.#understand(message, bytes, accept);
        if (result !== undefined) return result;
      }
    });
  }

  /** What `accept` makes of the reply in `bytes`; undefined when it is none to `message`. */
  #understand<T>(
    message: Dhcp6Message,
    bytes: Uint8Array,
    accept: (reply: Reply) => T | undefined,
  ): T | undefined {
    try {
      const reply = parseDhcp6(bytes);
      const server = findOption(reply.options, OPTION.SERVER_ID);
      const client = findOption(reply.options, OPTION.CLIENT_ID);
      if (reply.transaction !== message.transaction || !server || !client || !same(client, this.#duid))
        return undefined;
      const associations = reply.options
        .filter(({ code }) => code === OPTION.IA_NA)
        .map(({ data }) => parseAssociation(data));
      return accept({ message: reply, server, association: associations.find(({ id }) => id === this.#id) });
    } catch (error) {
      if (error instanceof WireError) return undefined;
      throw error;
    }
  }

  #installed(lease: Lease): void {
    this.#lease = lease;
    this.#granted = performance.now();
    this.#link.changed();
    // A lease of no time is renewed too late rather than all the time.
    this.#alarm.set(Math.max(lease.renewAfter, 1) * this.#link.timing.second, () => void this.#renew());
  }

  async #release(lease: Lease): Promise<void> {
    try {
      const socket = this.#open();
      try {
        const message = this.#message(
          TYPE.RELEASE,
          [this.#serverOption(lease), this.#association(lease)],
          performance.now(),
        );
        const to = {
          family: AF.INET6,
          address: SERVERS,
          port: SERVER_PORT,
          scopeId: this.#link.index,
        } as const;
        await socket.sendto(serializeDhcp6(message), to);
      } finally {
        socket.close();
      }
    } catch (error) {
      log.debug(`no release: ${(error as Error).message}`);
    }
  }

  /** RENEW with the server that gave the address, REBIND with any, and the end of the address. */
  async #renew(): Promise<void> {
    const lease = this.#lease;
    if (lease === undefined) return;
    const passed = this.#passed();
    if (passed >= lease.valid) return this.#lost(lease);
    const rebinding = passed >= lease.rebindAfter;
    try {
      const answer = await this.#prolong(lease, rebinding);
      if (answer === 'lost') return await this.#lost(lease);
      if (answer !== undefined) {
        if (await addGlobal(this.#link, answer.address, PREFIX, answer, this.#life.signal))
          this.#installed(answer);
        return;
      }
    } catch (error) {
      if (this.#life.signal.aborted) return;
      log.debug(`renewal: ${(error as Error).message}`);
    }
    const next = rebinding ? lease.valid : lease.rebindAfter;
    const left = (next - this.#passed()) * this.#link.timing.second;
    this.#alarm.set(
      Math.min(Math.max(left / 2, this.#link.timing.renewal), Math.max(left, 0)),
      () => void this.#renew(),
    );
  }

  async #prolong(lease: Lease, rebinding: boolean): Promise<Lease | 'lost' | undefined> {
    const socket = this.#open();
    const type = rebinding ? TYPE.REBIND : TYPE.RENEW;
    const more = [...(rebinding ? [] : [this.#serverOption(lease)]), this.#association(lease)];
    try {
      return await this.#ask(
        socket,
        type,
        more,
        this.#life.signal,
        (reply): Lease | 'lost' | undefined => {
          const known = rebinding || same(reply.server, lease.server);
          const gone = reply.message.type === TYPE.REPLY && reply.association?.status === NO_BINDING;
          return known && gone ? 'lost' : this.#leaseOf(reply, lease, rebinding);
        },
        1,
      );
    } finally {
      socket.close();
    }
  }

  async #lost(lease: Lease): Promise<void> {
    log.warn('the lease has ended');
    this.#lease = undefined;
    removeAddress(this.#link, lease.address, PREFIX);
    this.#link.changed();
    try {
      if (await this.acquire(this.#life.signal)) return;
    } catch (error) {
      if (this.#life.signal.aborted) return;
      log.debug(`no new lease: ${(error as Error).message}`);
    }
    this.#alarm.set(this.#link.timing.renewal, () => void this.#lost(lease));
  }
}

/** The addresses in a reply that a host may be given. */
function usable({ message, association }: Reply): Given[] {
  if (statusOf(message.options) !== 0 || association === undefined || association.status !== 0) return [];
  return association.addresses.filter(({ address, valid }) => valid > 0 && isGlobalUnicast(address));
}

/** Gets an address by DHCPv6; undefined when nobody gives one. */
export async function startDhcp6(link: Interface, signal: AbortSignal): Promise<Source | undefined> {
  const client = new Dhcp6Client(link);
  return (await client.acquire(signal)) ? client : undefined;
}
