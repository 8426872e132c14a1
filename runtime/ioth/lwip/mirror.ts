/** Brings a stack in user space in line with a plan: the state of a small host, which has the rules of Linux. */
import { Errno } from '../../errno.ts';
import { logger } from '../../log.ts';
import type { NativeLwipStack } from '../../native.ts';
import { sameBytes } from '../netlink/server/attributes.ts';
import { FAMILY, IFA_F, IFF_, NTF_PROXY, RTN, RT_TABLE } from '../netlink/server/constants.ts';
import type { HostState } from '../netlink/server/memory/state.ts';
import type { AddrRecord, LinkRecord, NeighRecord, RouteRecord } from '../netlink/server/records.ts';

const log = logger('ioth');

/** struct PackedRoute of native/src/lwip/configuration.cc. */
const ROUTE = {
  SIZE: 60, FAMILY: 0, PREFIX: 1, TYPE: 2, HAS: 3, INTERFACE: 4, METRIC: 8, DESTINATION: 12, GATEWAY: 28, SOURCE: 44,
} as const; // prettier-ignore

/** Names an address on an interface. */
export const keyOf = (index: number, address: Uint8Array): string =>
  `${index} ${Buffer.from(address).toString('hex')}`;

function pack(route: RouteRecord): Uint8Array {
  const bytes = Buffer.alloc(ROUTE.SIZE);
  bytes[ROUTE.FAMILY] = route.family;
  bytes[ROUTE.PREFIX] = route.prefixLength;
  bytes[ROUTE.TYPE] = route.type;
  bytes[ROUTE.HAS] = (route.gateway ? 1 : 0) | (route.preferredSource ? 2 : 0);
  bytes.writeInt32LE(route.outIndex, ROUTE.INTERFACE);
  bytes.writeUInt32LE(route.priority, ROUTE.METRIC);
  bytes.set(route.destination, ROUTE.DESTINATION);
  bytes.set(route.gateway ?? [], ROUTE.GATEWAY);
  bytes.set(route.preferredSource ?? [], ROUTE.SOURCE);
  return bytes;
}

/** Routes that packets follow. The stack knows its own and its broadcast addresses by itself. */
const isFollowed = ({ table, type, tos }: RouteRecord): boolean =>
  (table === RT_TABLE.MAIN || table === RT_TABLE.DEFAULT) &&
  tos === 0 &&
  (type === RTN.UNICAST || (type >= RTN.BLACKHOLE && type <= RTN.PROHIBIT));

/** Adds to `have` what is missing of `want`, and takes away what is too much. */
function align<T>(
  have: Map<unknown, T>,
  want: Map<unknown, T>,
  remove: (item: T) => void,
  add: (item: T) => void,
): void {
  for (const [key, item] of have) {
    if (want.has(key)) continue;
    have.delete(key);
    remove(item);
  }
  for (const [key, item] of want) {
    if (have.has(key)) continue;
    have.set(key, item);
    add(item);
  }
}

export class Mirror {
  readonly #state: HostState;
  readonly #native: NativeLwipStack;
  /** What the stack has been told. */
  readonly #links = new Map<number, LinkRecord>();
  readonly #addrs = new Map<unknown, AddrRecord>();
  readonly #routes = new Map<unknown, RouteRecord>();
  readonly #neighs = new Map<unknown, NeighRecord>();
  #dirty = false;

  constructor(state: HostState, native: NativeLwipStack) {
    this.#state = state;
    this.#native = native;
    state.listeners.add(() => {
      this.#dirty = true;
    });
  }

  /** The stack is as the plan is now. */
  assume(): void {
    for (const link of this.#state.links.values()) this.#links.set(link.index, link);
    for (const addr of this.#state.addrs) this.assumeAddr(addr);
  }

  /** The stack has this address already. */
  assumeAddr(addr: AddrRecord): void {
    this.#addrs.set(this.#addrKey(addr), addr);
  }

  settle(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    const { addrs, routes, neighs } = this.#state;
    this.#settleLinks();
    align(
      this.#addrs,
      new Map(addrs.filter((a) => this.#isHeld(a)).map((a) => [this.#addrKey(a), a])),
      ({ index, local }) => this.#native.setAddress(index, local, -1, false),
      (addr) => this.#addAddr(addr),
    );
    align(
      this.#routes,
      new Map(routes.filter(isFollowed).map((r) => [r, r])),
      (route) => this.#native.setRoute(false, pack(route)),
      (route) => this.#native.setRoute(true, pack(route)),
    );
    align(
      this.#neighs,
      new Map(neighs.filter((n) => n.address && (n.flags & NTF_PROXY) === 0).map((n) => [n, n])),
      ({ index, destination }) => this.#native.setNeighbour(index, destination, null),
      ({ index, destination, address }) =>
        this.#check(this.#native.setNeighbour(index, destination, address!), 'neighbour'),
    );
  }

  #settleLinks(): void {
    for (const link of this.#state.links.values()) {
      const old = this.#links.get(link.index);
      this.#links.set(link.index, link);
      const { index, name, flags, mtu, address } = link;
      const changed = !old || ((old.flags ^ flags) & IFF_.UP) !== 0 || old.name !== name || old.mtu !== mtu;
      if (changed || !sameBytes(old.address, address))
        this.#check(this.#native.setLink(index, name, (flags & IFF_.UP) !== 0, mtu, address), `link ${name}`);
    }
  }

  /** An interface that is down has no IPv6 in the stack. */
  #isHeld({ family, index }: AddrRecord): boolean {
    return family === FAMILY.INET || this.#state.isUp(index);
  }

  /** An interface that goes down loses its IPv6 addresses, so those that come back are others. */
  #addrKey({ family, index, local, prefixLength, created }: AddrRecord): string {
    return `${keyOf(index, local)} ${prefixLength} ${family === FAMILY.INET ? '' : created}`;
  }

  #addAddr({ family, index, local, peer, prefixLength, flags }: AddrRecord): void {
    const alone = peer !== undefined && !sameBytes(peer, local);
    const prefix = alone ? 8 * local.length : prefixLength;
    const tentative = family === FAMILY.INET6 && (flags & IFA_F.TENTATIVE) !== 0;
    this.#check(this.#native.setAddress(index, local, prefix, tentative), 'address');
  }

  /** The limits of the stack are the table's business, so this should not happen. */
  #check(result: number, what: string): void {
    if (result < 0) log.warn(`lwip: ${what}: ${new Errno(result).message}`);
  }
}
