/**
 * The configuration of a stack in user space. What a host of Linux would be after the same requests is a
 * {@link HostState}, which the stack follows ({@link Mirror}); what the stack finds out by itself (the end of duplicate
 * address detection, announced prefixes and routers, carriers, neighbours) comes into that state.
 */
import { Errno } from '../../errno.ts';
import type { LwipAddress, NativeLwipStack } from '../../native.ts';
import { sameBytes } from '../netlink/server/attributes.ts';
import { masked } from '../netlink/server/codec-route.ts';
import {
  FAMILY, IFAPROT, IFA_F, IFF_, METRIC, NUD, RTN, RTPROT, RT_SCOPE, RT_TABLE,
} from '../netlink/server/constants.ts'; // prettier-ignore
import { failDetection, finishDetection } from '../netlink/server/memory/inet6.ts';
import { LOOPBACK, tableOf } from '../netlink/server/memory/index.ts';
import { addLink, setCarrier } from '../netlink/server/memory/links.ts';
import { HostState } from '../netlink/server/memory/state.ts';
import { linkRequest } from '../netlink/server/operations.ts';
import type {
  AddrHandlers, AddrRecord, LinkHandlers, LinkRecord, NeighHandlers, NeighRecord, NetlinkTable, RouteRecord,
} from '../netlink/server/records.ts'; // prettier-ignore
import { Lifetimes } from './lifetimes.ts';
import { Mirror, keyOf } from './mirror.ts';

/** As for a TAP device; lwIP counts the bytes of a frame with 16 bits. */
export const LARGEST_MTU = 65521;
/** IPv6 addresses of an interface that can be set: lwIP keeps one of its 16 places for a link-local one. */
const MOST_ADDRESSES = 14;
/** IPv4 addresses of a stack: each takes one of the 255 places that lwIP has (native/src/lwip/addresses.cc). */
const MOST_INET_ADDRESSES = 200;
/** Entries of the routing table of each family: packets are compared with all of them. */
const MOST_ROUTES = 1024;
/** Entries of the neighbour tables of each family that can be made (native/src/lwip/neighbours.h). */
const MOST_NEIGHBOURS = 24;
const NTF_ROUTER = 0x80;

/** Hundredths of a second, as the lifetimes of addresses are counted. */
const now = (): number => Math.floor(performance.now() / 10);

export class LwipTable implements NetlinkTable {
  readonly #native: NativeLwipStack;
  readonly #state = new HostState();
  readonly #mirror: Mirror;
  readonly #lifetimes: Lifetimes;
  readonly #base: ReturnType<typeof tableOf>;
  /** Whether new IPv6 addresses are tried first (net.ipv6.conf.all.accept_dad of sysctl(8)). */
  acceptDad = true;
  readonly link: LinkHandlers;
  readonly addr: AddrHandlers;
  readonly route: NetlinkTable['route'];
  readonly neigh: NeighHandlers;
  readonly watch: NonNullable<NetlinkTable['watch']>;

  constructor(native: NativeLwipStack) {
    this.#native = native;
    this.#base = tableOf(this.#state, { now });
    this.#takeLinks();
    this.#state.detects = ({ index, flags }) =>
      this.acceptDad && (flags & IFA_F.NODAD) === 0 && (this.#linkAt(index).flags & IFF_.LOOPBACK) === 0;
    this.#mirror = new Mirror(this.#state, native);
    this.#mirror.assume();
    this.#lifetimes = new Lifetimes(this.#state, now, (addr) => {
      this.addr.del!(addr, { ...addr });
      this.settle();
    });
    this.link = this.#linkHandlers();
    this.addr = this.#addrHandlers();
    this.route = this.#routeHandlers();
    this.neigh = this.#neighHandlers();
    this.watch = (listener) => this.#base.watch(listener);
  }

  /** Brings the stack in line with the plan. */
  settle(): void {
    this.#mirror.settle();
    this.#lifetimes.schedule();
  }

  /** Takes in what the stack has found out; to be called when it says that there is something. */
  refresh(): void {
    for (const { index, carrier } of this.#native.links()) {
      const link = this.#state.links.get(index);
      if (link && link.carrier !== carrier) setCarrier(this.#state, link, carrier);
    }
    this.#refreshAddresses();
    this.#refreshRouters();
    this.settle();
  }

  close(): void {
    this.#lifetimes.close();
  }

  /** The interfaces that the stack has at first: lo is up, all others are down. */
  #takeLinks(): void {
    for (const { index, name, loopback, up, mtu, mac, carrier } of this.#native.links()) {
      if (loopback) addLink(this.#state, { ...LOOPBACK, index, mtu });
      else addLink(this.#state, { index, name, mtu, maxMtu: LARGEST_MTU, address: mac, carrier });
      const request = linkRequest(index, { flags: IFF_.UP, change: IFF_.UP });
      if (up) this.#base.link.set!(this.#linkAt(index), request);
    }
  }

  #linkAt(index: number): LinkRecord {
    const link = this.#state.links.get(index);
    if (!link) throw new Errno('ENODEV');
    return link;
  }

  // -- What the stack finds out ---------------------------------------------------------------------------

  #refreshAddresses(): void {
    const found = new Map(this.#native.addresses().map((a) => [keyOf(a.index, a.address), a]));
    for (const addr of this.#state.addrs.filter((a) => a.family === FAMILY.INET6)) {
      const key = keyOf(addr.index, addr.local);
      const seen = found.get(key);
      found.delete(key);
      if (seen) this.#refreshAddress(addr, seen);
      else if (addr.protocol === IFAPROT.KERNEL_RA) this.#base.addr.del!(addr, { ...addr });
    }
    for (const address of found.values()) this.#addAnnounced(address);
  }

  #refreshAddress(addr: AddrRecord, seen: LwipAddress): void {
    const tentative = (addr.flags & IFA_F.TENTATIVE) !== 0;
    if (seen.duplicated) {
      if ((addr.flags & IFA_F.DADFAILED) === 0) failDetection(this.#state, addr);
    } else if (tentative && !seen.tentative && this.#state.isUp(addr.index)) {
      finishDetection(this.#state, addr);
    }
    if (addr.protocol !== IFAPROT.KERNEL_RA) return;
    Object.assign(addr, { valid: seen.valid, preferred: seen.preferred, updated: now() });
    const deprecated = seen.deprecated ? IFA_F.DEPRECATED : 0;
    if ((addr.flags & IFA_F.DEPRECATED) === deprecated) return;
    addr.flags = (addr.flags & ~IFA_F.DEPRECATED) | deprecated;
    this.#state.emit('addr', addr);
  }

  /** An address that the stack has made of an announced prefix (RFC 4862, 5.5). */
  #addAnnounced({ index, address, tentative, valid, preferred }: LwipAddress): void {
    const link = this.#state.links.get(index);
    if (!link || !this.#state.isUp(index) || valid === 0) return;
    const addr = this.#base.addr.new!(
      {
        family: FAMILY.INET6, index, prefixLength: 64, scope: RT_SCOPE.UNIVERSE, flags: IFA_F.MANAGETEMPADDR, local: address,
        protocol: IFAPROT.KERNEL_RA, valid, preferred: Math.min(preferred, valid),
      },
      false,
    ); // prettier-ignore
    if (!tentative) finishDetection(this.#state, addr);
    this.#mirror.assumeAddr(addr);
  }

  #refreshRouters(): void {
    const routers = this.#native.routers().filter(({ index }) => this.#state.isUp(index));
    const isRouters = (route: RouteRecord): boolean =>
      route.protocol === RTPROT.RA && route.family === FAMILY.INET6 && route.prefixLength === 0;
    const told = this.#state.routes.filter(isRouters);
    this.#state.dropRoutes(
      (r) => isRouters(r) && !routers.some((x) => x.index === r.outIndex && sameBytes(x.address, r.gateway)),
    );
    for (const { index, address } of routers) {
      if (told.some((r) => r.outIndex === index && sameBytes(r.gateway, address))) continue;
      this.#state.addRoute({
        family: FAMILY.INET6, table: RT_TABLE.MAIN, destination: masked(new Uint8Array(16), 0), prefixLength: 0,
        type: RTN.UNICAST, protocol: RTPROT.RA, scope: RT_SCOPE.UNIVERSE, tos: 0, flags: 0, priority: METRIC.USER,
        gateway: address, outIndex: index,
      }); // prettier-ignore
    }
  }

  // -- Handlers -------------------------------------------------------------------------------------------

  #linkHandlers(): LinkHandlers {
    const base = this.#base.link;
    const withStats = (links: Iterable<LinkRecord>): LinkRecord[] => {
      const counters = new Map(this.#native.links().map((link) => [link.index, link]));
      return [...links].map((link) => ({ ...link, stats: counters.get(link.index) ?? {} }));
    };
    return {
      ...base,
      get: () => withStats(base.get()),
      search: (request, purpose) => {
        const link = base.search(request, purpose);
        return link && purpose === 'get' ? withStats([link])[0] : link;
      },
    };
  }

  #addrHandlers(): AddrHandlers {
    const base = this.#base.addr;
    return {
      ...base,
      get: () => {
        this.#refreshAddresses();
        return base.get();
      },
      new: (request, append) => {
        const { family, index } = request;
        const inet6 = family === FAMILY.INET6;
        const isSuch = (a: AddrRecord): boolean => a.family === family && (!inet6 || a.index === index);
        const most = inet6 ? MOST_ADDRESSES : MOST_INET_ADDRESSES;
        if (this.#state.addrs.filter(isSuch).length >= most)
          throw new Errno(
            'ENOBUFS',
            `this stack has at most ${most} addresses ${inet6 ? 'of an interface' : ''}`,
          );
        return base.new!(request, append);
      },
    };
  }

  #routeHandlers(): NonNullable<NetlinkTable['route']> {
    const base = this.#base.route;
    return {
      ...base,
      new: (request, append) => {
        const { family } = request;
        const full = this.#state.routes.filter((r) => r.family === family).length >= MOST_ROUTES;
        // As the kernel says it of a table that is full.
        if (full) throw new Errno(family === FAMILY.INET6 ? 'ENOMEM' : 'ENOBUFS');
        return base.new!(request, append);
      },
    };
  }

  /** Entries that were learnt, but for those that were made by hand. */
  #learnt(): NeighRecord[] {
    const made = new Set(this.#state.neighs.map((n) => keyOf(n.index, n.destination)));
    return this.#native
      .neighbours()
      .filter(({ index, address }) => !made.has(keyOf(index, address)))
      .map(({ index, address, mac, state, router }) => ({
        family: address.length === 4 ? FAMILY.INET : FAMILY.INET6,
        index,
        destination: address,
        ...(mac ? { address: mac } : {}),
        state: mac ? state : NUD.INCOMPLETE,
        flags: router ? NTF_ROUTER : 0,
        type: RTN.UNICAST,
      }));
  }

  #neighHandlers(): NeighHandlers {
    const base = this.#base.neigh;
    const isMade = (neigh: NeighRecord): boolean => this.#state.neighs.includes(neigh);
    return {
      ...base,
      get: () => [...base.get(), ...this.#learnt()],
      search: (request, purpose) =>
        base.search(request, purpose) ??
        this.#learnt().find(
          (n) => n.index === request.index && sameBytes(n.destination, request.destination) && !request.flags,
        ),
      new: (request, append) => {
        const { family } = request;
        const full = this.#state.neighs.filter((n) => n.family === family).length >= MOST_NEIGHBOURS;
        if (full) throw new Errno('ENOBUFS', `this stack has at most ${MOST_NEIGHBOURS} fixed neighbours`);
        return base.new!(request, append);
      },
      set: (old, request) => (isMade(old) ? base.set!(old, request) : this.neigh.new!(request, false)),
      del: (neigh, request) => {
        if (isMade(neigh)) return base.del!(neigh, request);
        this.#native.setNeighbour(neigh.index, neigh.destination, null);
        this.#state.emit('neigh', { ...neigh, state: NUD.FAILED }, true);
      },
    };
  }
}
