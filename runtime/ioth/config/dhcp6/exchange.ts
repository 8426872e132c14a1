/** Messages to DHCPv6 servers and their replies (RFC 8415 §15, §16 and §18.2). */
import { randomBytes } from 'node:crypto';
import { Errno } from '../../../errno.ts';
import { WireError } from '../../netlink/wire.ts';
import { SO, SOL } from '../../socket/constants.ts';
import { Socket } from '../../socket/socket.ts';
import { AF, SOCK } from '../../stack.ts';
import { pause, tries } from '../../time.ts';
import type { Interface } from '../source.ts';
import {
  type Association, CLIENT_PORT, type Dhcp6Message, OPTION, type Option, SERVERS, SERVER_PORT, TYPE, findOption,
  fqdnOption, parseAssociation, parseDhcp6, serializeDhcp6,
} from './wire.ts'; // prettier-ignore

/** A reply of a server, as far as it was understood. */
export interface Reply {
  message: Dhcp6Message;
  server: Uint8Array;
  /** The association of the asking client, if the server says something about it. */
  association: Association | undefined;
}

export interface AskOptions<T> {
  signal?: AbortSignal;
  /** What is made of a reply; undefined waits for another one. By default the first will do. */
  accept?: (reply: Reply) => T | undefined;
  /** How often it is sent; as the timing says by default. */
  count?: number;
}

export const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Until a message is tried again whose source address is tentative, in ms. */
const TENTATIVE = 100;

const REQUESTED = [OPTION.DNS, OPTION.SEARCH, OPTION.REFRESH];

/** One client of the servers of a link. */
export class Exchange6 {
  /** Identifier of the association (RFC 8415 §12). */
  readonly id: number;
  readonly #link: Interface;
  readonly #duid: Uint8Array;
  readonly #socket: Socket;

  /** Opens its socket; `duid` is what servers know the client by, always the same. Throws Errno. */
  constructor(link: Interface, duid: Uint8Array) {
    this.#link = link;
    this.#duid = duid;
    this.id = Buffer.from(link.mac).readUInt32BE(2);
    const fd = link.stack.socket(AF.INET6, SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
    this.#socket = new Socket(fd, AF.INET6, SOCK.DGRAM, 0);
    try {
      this.#socket.setsockopt(SOL.SOCKET, SO.REUSEADDR, 1);
      this.#socket.setsockopt(SOL.SOCKET, SO.BINDTOIFINDEX, link.index);
      this.#socket.bind({ family: AF.INET6, address: '::', port: CLIENT_PORT });
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  /** Opens one for `link`, hands it to `use` and closes it. */
  static async with<T>(
    link: Interface,
    duid: Uint8Array,
    use: (exchange: Exchange6) => Promise<T>,
  ): Promise<T> {
    const exchange = new Exchange6(link, duid);
    try {
      return await use(exchange);
    } finally {
      exchange.close();
    }
  }

  close(): void {
    this.#socket.close();
  }

  /** Sends a message of `type` until there is a reply that is accepted; undefined when there is none in time. */
  ask<T = Reply>(type: number, more: Option[], options: AskOptions<T> = {}): Promise<T | undefined> {
    const { timing } = this.#link;
    const { accept = (reply): T => reply as T, count = timing.dhcpTries, signal } = options;
    const started = performance.now();
    // All tries of an exchange have one transaction id (RFC 8415 §16.1).
    const transaction = randomBytes(4).readUInt32BE() & 0xffffff;
    return tries(count, timing.dhcpTry, signal, async (limit) => {
      await this.#sendSoon(() => this.#message(type, transaction, more, started), limit);
      for (;;) {
        const bytes = await this.#socket.recv(2048, { signal: limit });
        const result = this.#understand(transaction, bytes, accept);
        if (result !== undefined) return result;
      }
    });
  }

  /** Sends a message whose answer nobody waits for. */
  async tell(type: number, more: Option[]): Promise<void> {
    const transaction = randomBytes(4).readUInt32BE() & 0xffffff;
    await this.#send(this.#message(type, transaction, more, performance.now()));
  }

  /** Sends as soon as the link-local address may be used, which duplicate address detection has to find out first. */
  async #sendSoon(message: () => Dhcp6Message, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        return void (await this.#send(message()));
      } catch (error) {
        if (!(error instanceof Errno) || error.code !== 'EADDRNOTAVAIL') throw error;
        await pause(TENTATIVE, signal);
      }
    }
  }

  #send(message: Dhcp6Message): Promise<number> {
    const { index } = this.#link;
    const to = { family: AF.INET6, address: SERVERS, port: SERVER_PORT, scopeId: index } as const;
    return this.#socket.sendto(serializeDhcp6(message), to);
  }

  #message(type: number, transaction: number, more: Option[], started: number): Dhcp6Message {
    const { fqdn } = this.#link;
    const elapsed = Math.min(Math.round((performance.now() - started) / 10), 0xffff);
    const ends = type === TYPE.RELEASE || type === TYPE.DECLINE;
    const names = fqdn !== undefined && !ends && type !== TYPE.INFORMATION;
    const server = more.filter(({ code }) => code === OPTION.SERVER_ID);
    const requested = REQUESTED.filter((code) => code !== OPTION.REFRESH || type === TYPE.INFORMATION);
    return {
      type,
      transaction,
      // The order of iothconf (IOTH-FACTS §2.5).
      options: [
        { code: OPTION.CLIENT_ID, data: this.#duid },
        ...server,
        ...(ends
          ? []
          : [{ code: OPTION.REQUESTED, data: Uint8Array.from(requested.flatMap((code) => [0, code])) }]),
        { code: OPTION.ELAPSED, data: Uint8Array.of(elapsed >> 8, elapsed & 0xff) },
        ...(names ? [fqdnOption(fqdn)] : []),
        ...more.filter((option) => !server.includes(option)),
      ],
    };
  }

  /** What `accept` makes of the reply in `bytes`; undefined when it is none to us. */
  #understand<T>(
    transaction: number,
    bytes: Uint8Array,
    accept: (reply: Reply) => T | undefined,
  ): T | undefined {
    try {
      const message = parseDhcp6(bytes);
      const server = findOption(message.options, OPTION.SERVER_ID);
      const client = findOption(message.options, OPTION.CLIENT_ID);
      if (message.transaction !== transaction || !server || !client || !same(client, this.#duid))
        return undefined;
      const associations = message.options
        .filter(({ code }) => code === OPTION.IA_NA)
        .map(({ data }) => parseAssociation(data));
      return accept({ message, server, association: associations.find(({ id }) => id === this.id) });
    } catch (error) {
      if (error instanceof WireError) return undefined;
      throw error;
    }
  }
}
