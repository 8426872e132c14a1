/**
 * Configures a stack through a route netlink socket of its own: the operations of nlinline (IOTH-FACTS §10.1).
 * Every call is one synchronous request; it throws Errno with the error that the stack answered.
 */
import { Errno, check } from '../../errno.ts';
import { AF, type Stack } from '../stack.ts';
import type { IpAddress } from './address.ts';
import { type Channel, channelOf } from './channel.ts';
import {
  type Address,
  type Link,
  type Neighbor,
  type Route,
  NUD,
  IFA,
  IFA_F_NODAD,
  IFF,
  ROUTE,
  RTM,
  parseAddress,
  parseLink,
  parseNeighbor,
  parseRoute,
  serializeAddress,
  serializeLink,
  serializeNeighbor,
  serializeRoute,
} from './route.ts';
import {
  type Attribute,
  type NetlinkMessage,
  NLMSG,
  NLM_F,
  parseError,
  parseMessages,
  serializeMessage,
  viewOf,
} from './wire.ts';

/** The default route, or a destination with its prefix length. */
export interface RouteTo {
  destination?: IpAddress;
  prefixLength?: number;
  gateway?: IpAddress;
  /** Index of the interface; 0 or absent: the stack finds it by the gateway. */
  index?: number;
  family: number;
}

/** How an address is added. */
export interface AddressOptions {
  /** How long it may be used and be preferred, in seconds; Infinity and absent mean for ever. */
  valid?: number;
  preferred?: number;
  /** Changes the address if it is there. */
  replace?: boolean;
  /** Whether the stack first finds out if somebody else has the address (IPv6). */
  detect?: boolean;
}

/** struct ifa_cacheinfo. */
function lifetimes({ valid = Infinity, preferred = valid }: AddressOptions): Uint8Array {
  const bytes = new Uint8Array(16);
  const seconds = (value: number): number => (value === Infinity ? 0xffffffff : Math.floor(value));
  viewOf(bytes).setUint32(0, seconds(preferred), true);
  viewOf(bytes).setUint32(4, seconds(valid), true);
  return bytes;
}

const emptyLink = (index: number): Link => ({ index, hardware: 0, flags: 0, change: 0, more: [] });

export class NetlinkClient {
  readonly #channel: Channel;
  #seq = 0;

  /** Owns `channel`. */
  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** Opens a client for `stack`, hands it to `use` and closes it. */
  static with<T>(stack: Stack, use: (client: NetlinkClient) => T): T {
    const client = new NetlinkClient(channelOf(stack));
    try {
      return use(client);
    } finally {
      client.close();
    }
  }

  close(): void {
    this.#channel.close();
  }

  /** Index of the interface `name`; ENODEV when there is none. */
  indexOf(name: string): number {
    return this.#link({ ...emptyLink(0), name }).index;
  }

  /** Sets the interface up or down. */
  setUp(index: number, up: boolean): void {
    const link = { ...emptyLink(index), flags: up ? IFF.UP : 0, change: IFF.UP };
    this.#act(RTM.SETLINK, 0, serializeLink(link));
  }

  setMac(index: number, mac: Uint8Array): void {
    this.#act(RTM.NEWLINK, 0, serializeLink({ ...emptyLink(index), address: mac }));
  }

  /** The hardware address of an interface. */
  mac(index: number): Uint8Array {
    return this.#link(emptyLink(index)).address ?? new Uint8Array(6);
  }

  /** Sets the MTU, in bytes. */
  setMtu(index: number, mtu: number): void {
    this.#act(RTM.NEWLINK, 0, serializeLink({ ...emptyLink(index), mtu }));
  }

  /** Adds an address. IPv6 ones are usable at once unless `detect` is set. EEXIST: it is there. */
  addAddress(index: number, address: IpAddress, prefixLength: number, options: AddressOptions = {}): void {
    const flags = options.detect ? 0 : IFA_F_NODAD;
    const more = options.valid === undefined ? [] : [{ type: IFA.CACHEINFO, data: lifetimes(options) }];
    this.#act(
      RTM.NEWADDR,
      NLM_F.CREATE | (options.replace ? NLM_F.REPLACE : NLM_F.EXCL),
      this.#address(index, address, prefixLength, flags, more),
    );
  }

  /** Removes an address; EADDRNOTAVAIL when it is not there. */
  delAddress(index: number, address: IpAddress, prefixLength: number): void {
    this.#act(RTM.DELADDR, 0, this.#address(index, address, prefixLength, 0, []));
  }

  addRoute(route: RouteTo): void {
    this.#act(RTM.NEWROUTE, NLM_F.CREATE | NLM_F.EXCL, this.#route(route));
  }

  /** Removes a route; ESRCH when it is not there. */
  delRoute(route: RouteTo): void {
    this.#act(RTM.DELROUTE, 0, this.#route(route));
  }

  /** Name of the interface `index`; ENODEV when there is none. */
  nameOf(index: number): string {
    return this.#link(emptyLink(index)).name ?? '';
  }

  /** Makes a virtual link of `kind` (`bridge`, `vde`, …), with index `index` unless that is 0, and the data of its kind. */
  addLink(name: string, kind: string, index = 0, kindData?: Attribute[]): void {
    const link = { ...emptyLink(index), name, kind, ...(kindData ? { kindData } : {}) };
    this.#act(RTM.NEWLINK, NLM_F.CREATE | NLM_F.EXCL, serializeLink(link));
  }

  delLink(name: string): void {
    this.#act(RTM.DELLINK, 0, serializeLink({ ...emptyLink(0), name }));
  }

  /** All interfaces. */
  links(): Link[] {
    return this.#ask(RTM.GETLINK, NLM_F.DUMP, serializeLink(emptyLink(0))).map((m) => parseLink(m.payload));
  }

  /** All addresses of all interfaces. */
  addresses(): Address[] {
    const all = { family: AF.UNSPEC, prefixLength: 0, flags: 0, scope: 0, index: 0, more: [] };
    return this.#ask(RTM.GETADDR, NLM_F.DUMP, serializeAddress(all)).map((m) => parseAddress(m.payload));
  }

  /** All routes of all families. */
  routes(): Route[] {
    const all = {
      family: AF.UNSPEC, prefixLength: 0, table: 0, protocol: 0, scope: 0, type: 0, flags: 0, more: [],
    }; // prettier-ignore
    return this.#ask(RTM.GETROUTE, NLM_F.DUMP, serializeRoute(all)).map((m) => parseRoute(m.payload));
  }

  /** What is known about the hardware addresses of others. */
  neighbors(): Neighbor[] {
    const all = { family: AF.UNSPEC, index: 0, state: 0, flags: 0, type: 0, more: [] };
    return this.#ask(RTM.GETNEIGH, NLM_F.DUMP, serializeNeighbor(all)).map((m) => parseNeighbor(m.payload));
  }

  /** Says who has an address on a link, for ever. */
  addNeighbor(index: number, { family, bytes }: IpAddress, address: Uint8Array): void {
    const neighbor = {
      family,
      index,
      state: NUD.PERMANENT,
      flags: 0,
      type: 0,
      destination: bytes,
      address,
      more: [],
    };
    this.#act(RTM.NEWNEIGH, NLM_F.CREATE | NLM_F.REPLACE, serializeNeighbor(neighbor));
  }

  delNeighbor(index: number, { family, bytes }: IpAddress): void {
    const neighbor = { family, index, state: 0, flags: 0, type: 0, destination: bytes, more: [] };
    this.#act(RTM.DELNEIGH, 0, serializeNeighbor(neighbor));
  }

  #link(which: Link): Link {
    const [answer] = this.#ask(RTM.GETLINK, 0, serializeLink(which));
    if (answer === undefined) throw new Errno('ENODEV');
    return parseLink(answer.payload);
  }

  #address(
    index: number,
    { family, bytes }: IpAddress,
    prefixLength: number,
    flags: number,
    more: Attribute[],
  ): Uint8Array {
    return serializeAddress({
      family,
      prefixLength,
      flags,
      scope: 0,
      index,
      local: bytes,
      address: bytes,
      more,
    });
  }

  #route({ family, destination, prefixLength = 0, gateway, index }: RouteTo): Uint8Array {
    return serializeRoute({
      family,
      prefixLength,
      table: ROUTE.TABLE_MAIN,
      protocol: ROUTE.PROTO_BOOT,
      scope: 0,
      type: ROUTE.UNICAST,
      flags: 0,
      ...(prefixLength > 0 && destination ? { destination: destination.bytes } : {}),
      ...(gateway ? { gateway: gateway.bytes } : {}),
      ...(index ? { outIndex: index } : {}),
      more: [],
    });
  }

  #act(type: number, flags: number, payload: Uint8Array): void {
    this.#ask(type, flags | NLM_F.ACK, payload);
  }

  /** Sends a request; the messages of its answer without DONE and acknowledgement. */
  #ask(type: number, flags: number, payload: Uint8Array): NetlinkMessage[] {
    const seq = ++this.#seq;
    const request = serializeMessage({ type, flags: flags | NLM_F.REQUEST, seq, pid: 0, payload });
    this.#channel.send(request);
    const answer: NetlinkMessage[] = [];
    for (;;) {
      for (const message of parseMessages(this.#channel.receive())) {
        if (message.seq !== seq) continue;
        if (message.type === NLMSG.DONE) return answer;
        if (message.type === NLMSG.ERROR) {
          check(parseError(message.payload));
          return answer;
        }
        answer.push(message);
        if ((message.flags & NLM_F.MULTI) === 0) return answer;
      }
    }
  }
}
