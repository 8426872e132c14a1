/**
 * Configures a stack through a route netlink socket of its own: the operations of nlinline (IOTH-FACTS §10.1).
 * Every call is one synchronous request; it throws Errno with the error that the stack answered.
 */
import { Errno } from '../../errno.ts';
import { AF, type Stack } from '../stack.ts';
import type { IpAddress } from './address.ts';
import { type Channel, channelOf } from './channel.ts';
import { NetlinkDialog } from './dialog.ts';
import {
  type AddressOptions,
  type RouteTo,
  addressPayload,
  emptyLink,
  lifetimes,
  routePayload,
} from './payloads.ts';
import {
  type Address,
  type Link,
  type Neighbor,
  type Route,
  NUD,
  IFA,
  IFA_F_NODAD,
  IFF,
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
import { type Attribute, NLM_F } from './wire.ts';

export type { AddressOptions, RouteTo } from './payloads.ts';

/** A client of the configuration of a stack (nlinline, IOTH-FACTS §10.1). */
export class NetlinkClient {
  readonly #dialog: NetlinkDialog;

  /** Owns `channel`. */
  constructor(channel: Channel) {
    this.#dialog = new NetlinkDialog(channel);
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
    this.#dialog.close();
  }

  /** Index of the interface `name`; ENODEV when there is none. */
  indexOf(name: string): number {
    return this.#link({ ...emptyLink(0), name }).index;
  }

  /** Sets the interface up or down. */
  setUp(index: number, up: boolean): void {
    const link = { ...emptyLink(index), flags: up ? IFF.UP : 0, change: IFF.UP };
    this.#dialog.act(RTM.SETLINK, 0, serializeLink(link));
  }

  setMac(index: number, mac: Uint8Array): void {
    this.#dialog.act(RTM.NEWLINK, 0, serializeLink({ ...emptyLink(index), address: mac }));
  }

  /** The hardware address of an interface. */
  mac(index: number): Uint8Array {
    return this.#link(emptyLink(index)).address ?? new Uint8Array(6);
  }

  /** Sets the MTU, in bytes. */
  setMtu(index: number, mtu: number): void {
    this.#dialog.act(RTM.NEWLINK, 0, serializeLink({ ...emptyLink(index), mtu }));
  }

  /** Adds an address. IPv6 ones are usable at once unless `detect` is set. EEXIST: it is there. */
  addAddress(index: number, address: IpAddress, prefixLength: number, options: AddressOptions = {}): void {
    const flags = options.detect ? 0 : IFA_F_NODAD;
    const more = options.valid === undefined ? [] : [{ type: IFA.CACHEINFO, data: lifetimes(options) }];
    this.#dialog.act(
      RTM.NEWADDR,
      NLM_F.CREATE | (options.replace ? NLM_F.REPLACE : NLM_F.EXCL),
      addressPayload(index, address, prefixLength, flags, more),
    );
  }

  /** Removes an address; EADDRNOTAVAIL when it is not there. */
  delAddress(index: number, address: IpAddress, prefixLength: number): void {
    this.#dialog.act(RTM.DELADDR, 0, addressPayload(index, address, prefixLength, 0, []));
  }

  addRoute(route: RouteTo): void {
    this.#dialog.act(RTM.NEWROUTE, NLM_F.CREATE | NLM_F.EXCL, routePayload(route));
  }

  /** Removes a route; ESRCH when it is not there. */
  delRoute(route: RouteTo): void {
    this.#dialog.act(RTM.DELROUTE, 0, routePayload(route));
  }

  /** Name of the interface `index`; ENODEV when there is none. */
  nameOf(index: number): string {
    return this.#link(emptyLink(index)).name ?? '';
  }

  /** Makes a virtual link of `kind` (`bridge`, `vde`, …), with index `index` unless that is 0, and the data of its kind. */
  addLink(name: string, kind: string, index = 0, kindData?: Attribute[]): void {
    const link = { ...emptyLink(index), name, kind, ...(kindData ? { kindData } : {}) };
    this.#dialog.act(RTM.NEWLINK, NLM_F.CREATE | NLM_F.EXCL, serializeLink(link));
  }

  delLink(name: string): void {
    this.#dialog.act(RTM.DELLINK, 0, serializeLink({ ...emptyLink(0), name }));
  }

  /** All interfaces. */
  links(): Link[] {
    return this.#dialog
      .ask(RTM.GETLINK, NLM_F.DUMP, serializeLink(emptyLink(0)))
      .map((m) => parseLink(m.payload));
  }

  /** All addresses of all interfaces. */
  addresses(): Address[] {
    const all = { family: AF.UNSPEC, prefixLength: 0, flags: 0, scope: 0, index: 0, more: [] };
    return this.#dialog
      .ask(RTM.GETADDR, NLM_F.DUMP, serializeAddress(all))
      .map((m) => parseAddress(m.payload));
  }

  /** All routes of all families. */
  routes(): Route[] {
    const all = {
      family: AF.UNSPEC, prefixLength: 0, table: 0, protocol: 0, scope: 0, type: 0, flags: 0, more: [],
    }; // prettier-ignore
    return this.#dialog.ask(RTM.GETROUTE, NLM_F.DUMP, serializeRoute(all)).map((m) => parseRoute(m.payload));
  }

  /** What is known about the hardware addresses of others. */
  neighbors(): Neighbor[] {
    const all = { family: AF.UNSPEC, index: 0, state: 0, flags: 0, type: 0, more: [] };
    return this.#dialog
      .ask(RTM.GETNEIGH, NLM_F.DUMP, serializeNeighbor(all))
      .map((m) => parseNeighbor(m.payload));
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
    this.#dialog.act(RTM.NEWNEIGH, NLM_F.CREATE | NLM_F.REPLACE, serializeNeighbor(neighbor));
  }

  delNeighbor(index: number, { family, bytes }: IpAddress): void {
    const neighbor = { family, index, state: 0, flags: 0, type: 0, destination: bytes, more: [] };
    this.#dialog.act(RTM.DELNEIGH, 0, serializeNeighbor(neighbor));
  }

  #link(which: Link): Link {
    const [answer] = this.#dialog.ask(RTM.GETLINK, 0, serializeLink(which));
    if (answer === undefined) throw new Errno('ENODEV');
    return parseLink(answer.payload);
  }
}
