/**
 * A small host in memory: links, addresses, routes and neighbours with the rules of Linux, but without any
 * packet. It is what the server is tested with, and a base for stacks that have no tables of their own: such a
 * stack brings itself in line with the state in {@link NetlinkTable.settle} (runtime/ioth/lwip/table.ts).
 */
import { Errno } from '../../../../errno.ts';
import { sameBytes } from '../attributes.ts';
import { ARPHRD, FAMILY, IFF_, NTF_PROXY, NUD, RTN } from '../constants.ts';
import type {
  AddrHandlers,
  AddrRecord,
  AddrRequest,
  LinkRecord,
  NeighHandlers,
  NeighRecord,
  NeighRequest,
  NetlinkTable,
} from '../records.ts';
import { addInet, delInet } from './inet.ts';
import { addInet6, delInet6 } from './inet6.ts';
import { addLink, linkHandlers } from './links.ts';
import { routeHandlers } from './routes.ts';
import { HostState } from './state.ts';

/** What {@link memoryTable} makes. */
export interface MemoryOptions {
  /** Kinds of links that clients may make (`ip link add type …`); none by default. */
  kinds?: readonly string[];
  /** The time in hundredths of a second since some start. */
  now?: () => number;
}

/** The configuration of a host that exists only as a table: what the kernel would make of each request, without packets. */
export interface MemoryTable extends NetlinkTable {
  /** Adds a link that clients cannot remove unless it has a kind. It is an Ethernet interface by default, down. */
  addLink(link: Partial<LinkRecord> & { name: string }): LinkRecord;
  watch: NonNullable<NetlinkTable['watch']>;
}

/** States in which a neighbour has a hardware address. */
const NUD_WITH_ADDRESS = NUD.PERMANENT | NUD.REACHABLE | NUD.STALE;

function addrMatches(addr: AddrRecord, request: AddrRequest, exact: boolean): boolean {
  const { family, index, local, prefixLength, label, anyPrefix } = request;
  return (
    addr.family === family &&
    addr.index === index &&
    (!local || sameBytes(addr.local, local)) &&
    // On one interface an IPv6 address is unique, whatever its prefix.
    (anyPrefix === true || (exact && family === FAMILY.INET6) || addr.prefixLength === prefixLength) &&
    (exact || label === undefined || addr.label === label)
  );
}

function addrHandlers(state: HostState, now: () => number): AddrHandlers {
  const linkOf = (index: number): LinkRecord => {
    const link = state.links.get(index);
    if (!link) throw new Errno('ENODEV');
    return link;
  };
  const secondary = (a: AddrRecord): number => (a.family === FAMILY.INET ? a.flags & 1 : 0);
  return {
    get: () =>
      [...state.addrs].sort(
        (a, b) => a.family - b.family || a.index - b.index || secondary(a) - secondary(b),
      ),
    search: (request, purpose) => {
      if (purpose === 'new' && !request.local) return undefined;
      return state.addrs.find((addr) => addrMatches(addr, request, purpose === 'new'));
    },
    new: (request) => {
      const add = request.family === FAMILY.INET ? addInet : addInet6;
      return add(state, linkOf(request.index), request, now());
    },
    set: (addr, { preferred, valid, metric }) => {
      if (valid === 0 || preferred > valid) throw new Errno('EINVAL');
      Object.assign(addr, { preferred, valid, updated: now(), ...(metric === undefined ? {} : { metric }) });
      state.emit('addr', addr);
      return addr;
    },
    del: (addr) => (addr.family === FAMILY.INET ? delInet : delInet6)(state, addr),
  };
}

/** The entry as it is to be; EINVAL where a state needs a hardware address that is not given. */
function neighbour(state: HostState, request: NeighRequest, old?: NeighRecord): NeighRecord {
  const address = request.address ?? old?.address;
  const link = state.links.get(request.index);
  if (address && link && address.length !== link.address.length)
    throw new Errno('EINVAL', 'Invalid link address');
  if (!address && request.state & NUD_WITH_ADDRESS && (request.flags & NTF_PROXY) === 0)
    throw new Errno('EINVAL', 'No link layer address given');
  return { ...request, type: RTN.UNICAST, ...(address ? { address } : {}) };
}

function neighHandlers(state: HostState): NeighHandlers {
  return {
    get: () => [...state.neighs],
    search: ({ index, destination, flags }) =>
      state.neighs.find(
        (n) =>
          n.index === index && sameBytes(n.destination, destination) && ((n.flags ^ flags) & NTF_PROXY) === 0,
      ),
    new: (request) => {
      const neigh = neighbour(state, request);
      state.neighs.push(neigh);
      state.emit('neigh', neigh);
      return neigh;
    },
    set: (old, request) => {
      const neigh = neighbour(state, request, old);
      state.neighs = state.neighs.map((n) => (n === old ? neigh : n));
      state.emit('neigh', neigh);
      return neigh;
    },
    del: (neigh) => {
      state.neighs = state.neighs.filter((n) => n !== neigh);
      state.emit('neigh', neigh, true);
    },
  };
}

/** The loopback interface of a fresh network namespace, down. */
export const LOOPBACK = {
  name: 'lo',
  hardware: ARPHRD.LOOPBACK,
  flags: IFF_.LOOPBACK,
  mtu: 65536,
  minMtu: 0,
  maxMtu: 0,
  address: new Uint8Array(6),
  broadcast: new Uint8Array(6),
};

/** The handlers of the host that `state` is, for those who have a state of their own. */
export const tableOf = (
  state: HostState,
  { kinds = [], now = () => Math.floor(performance.now() / 10) }: MemoryOptions = {},
): NetlinkTable & Pick<MemoryTable, 'watch'> => ({
  link: linkHandlers(state, kinds, now),
  addr: addrHandlers(state, now),
  route: routeHandlers(state),
  neigh: neighHandlers(state),
  watch: (listener) => {
    state.listeners.add(listener);
    return () => state.listeners.delete(listener);
  },
});

/** A host with a loopback interface, which is down as in a fresh network namespace. */
export function memoryTable(options: MemoryOptions = {}): MemoryTable {
  const state = new HostState();
  addLink(state, LOOPBACK);
  return { ...tableOf(state, options), addLink: (link) => addLink(state, link) };
}
