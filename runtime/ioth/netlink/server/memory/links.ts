/** Links of a small host. */
import { randomBytes } from 'node:crypto';
import { Errno } from '../../../../errno.ts';
import { without } from '../attributes.ts';
import { FAMILY, FOREVER, IFF_, IFNAMSIZ, IF_OPER, RT_SCOPE } from '../constants.ts';
import type { LinkHandlers, LinkRecord, LinkRequest } from '../records.ts';
import { addInet, delInet, routeInet, unrouteInet } from './inet.ts';
import { startInet6, stopInet6 } from './inet6.ts';
import type { HostState } from './state.ts';

/** Flags that follow from the state of the link rather than from what was asked. */
const STATE_FLAGS = IFF_.RUNNING | IFF_.LOWER_UP;
/** Flags that a request may change. */
const SETTABLE = IFF_.UP | IFF_.NOARP | IFF_.PROMISC | IFF_.ALLMULTI | IFF_.MULTICAST;

export const DEFAULTS: Omit<LinkRecord, 'index' | 'name' | 'address'> = {
  alternativeNames: [],
  hardware: 1,
  flags: IFF_.BROADCAST | IFF_.MULTICAST,
  mtu: 1500,
  minMtu: 68,
  maxMtu: 65535,
  queueLength: 1000,
  group: 0,
  operState: IF_OPER.DOWN,
  carrier: true,
  qdisc: 'noop',
  broadcast: new Uint8Array(6).fill(0xff),
  addressMode: 0,
  stats: {},
};

const namesOf = (link: LinkRecord): string[] => [link.name, ...link.alternativeNames];
const findByName = (state: HostState, name: string): LinkRecord | undefined =>
  [...state.links.values()].find((link) => namesOf(link).includes(name));

/** A name that is sound (dev_valid_name of the kernel) and free; EINVAL, EEXIST. */
function requireName(state: HostState, name: string, limit = IFNAMSIZ): string {
  if (name === '' || name === '.' || name === '..' || name.length >= limit || /[/:\s]/.test(name)) {
    throw new Errno('EINVAL');
  }
  if (findByName(state, name)) throw new Errno('EEXIST');
  return name;
}

/** What a flag of state is while the link is up or down. */
function withState(link: LinkRecord): LinkRecord {
  const up = (link.flags & IFF_.UP) !== 0;
  const running = up && link.carrier;
  const operState = !running
    ? up
      ? IF_OPER.LOWERLAYERDOWN
      : IF_OPER.DOWN
    : link.flags & IFF_.LOOPBACK
      ? IF_OPER.UNKNOWN
      : IF_OPER.UP;
  // A link that was never up has no queueing.
  const qdisc = up && link.qdisc === 'noop' ? 'noqueue' : link.qdisc;
  return { ...link, qdisc, flags: (link.flags & ~STATE_FLAGS) | (running ? STATE_FLAGS : 0), operState };
}

function checkMtu({ minMtu, maxMtu }: LinkRecord, mtu: number): void {
  if (mtu < minMtu) throw new Errno('EINVAL', 'mtu less than device minimum');
  if (maxMtu > 0 && mtu > maxMtu) throw new Errno('EINVAL', 'mtu greater than device maximum');
}

function checkAddress(link: LinkRecord, address: Uint8Array): void {
  if (address.length !== link.address.length) throw new Errno('EINVAL');
  if (link.flags & IFF_.LOOPBACK) throw new Errno('EOPNOTSUPP');
  if ((address[0] ?? 0) & 1 || address.every((byte) => byte === 0)) throw new Errno('EADDRNOTAVAIL');
}

/** The link as `request` wants it; refuses all of it when a part cannot be. */
function changed(state: HostState, link: LinkRecord, request: LinkRequest): LinkRecord {
  const { name, mtu, address, broadcast, queueLength, group, master, kind, addressMode } = request;
  if (kind !== undefined && kind !== link.kind) throw new Errno('EOPNOTSUPP');
  if (master) throw new Errno('EOPNOTSUPP');
  if (mtu !== undefined) checkMtu(link, mtu);
  if (address) checkAddress(link, address);
  if (name !== undefined && !namesOf(link).includes(name)) requireName(state, name);
  // Where no flag is said to change, any flag given means all.
  const change = (request.change || (request.flags ? -1 : 0)) & SETTABLE;
  const removed = request.removeNames ?? [];
  if (removed.some((n) => !link.alternativeNames.includes(n))) throw new Errno('EINVAL');
  const added = (request.addNames ?? []).map((n) => requireName(state, n, 128));
  return withState({
    ...link,
    name: name ?? link.name,
    mtu: mtu ?? link.mtu,
    address: address ?? link.address,
    broadcast: broadcast?.length === link.broadcast.length ? broadcast : link.broadcast,
    queueLength: queueLength ?? link.queueLength,
    group: group ?? link.group,
    ...(addressMode === undefined ? {} : { addressMode }),
    flags: (link.flags & ~change) | (request.flags & change),
    alternativeNames: [...link.alternativeNames.filter((n) => !removed.includes(n)), ...added],
  });
}

function goUp(state: HostState, link: LinkRecord, now: number): void {
  const inet = state.addrs.some((a) => a.family === FAMILY.INET && a.index === link.index);
  if (link.flags & IFF_.LOOPBACK && !inet) {
    const local = Uint8Array.of(127, 0, 0, 1);
    const request = {
      family: FAMILY.INET,
      index: link.index,
      prefixLength: 8,
      scope: RT_SCOPE.HOST,
      flags: 0,
      local,
    };
    addInet(state, link, { ...request, preferred: FOREVER, valid: FOREVER }, now);
  } else {
    routeInet(state, link);
  }
  startInet6(state, link, now);
}

function goDown(state: HostState, link: LinkRecord): void {
  unrouteInet(state, link);
  stopInet6(state, link);
}

/** Puts `next` in the place of `link` and does what follows from it. */
function apply(state: HostState, link: LinkRecord, next: LinkRecord, now: number): LinkRecord {
  const [was, is] = [link.flags & IFF_.UP, next.flags & IFF_.UP];
  state.links.set(link.index, next);
  if (was && !is) state.dropNeighs(link.index);
  state.emit('link', next);
  if (!was && is) goUp(state, next, now);
  if (was && !is) goDown(state, next);
  // The labels of addresses are names of the interface.
  for (const addr of state.addrs) {
    if (link.name === next.name || addr.index !== link.index || addr.label === undefined) continue;
    addr.label = next.name + addr.label.slice(link.name.length);
    state.emit('addr', addr);
  }
  return next;
}

/** The network of a link has come or gone. */
export function setCarrier(state: HostState, link: LinkRecord, carrier: boolean): void {
  const next = withState({ ...link, carrier });
  state.links.set(link.index, next);
  state.emit('link', next);
}

function freeName(state: HostState, kind: string): string {
  for (let n = 0; ; n++) if (!findByName(state, `${kind}${n}`)) return `${kind}${n}`;
}

/** Adds a link that is down; its hardware address is random unless it is given. EEXIST, EINVAL for its name. */
export function addLink(state: HostState, given: Partial<LinkRecord> & { name: string }): LinkRecord {
  requireName(state, given.name);
  const index = given.index ?? Math.max(0, ...state.links.keys()) + 1;
  if (state.links.has(index)) throw new Errno('EEXIST');
  const address = Uint8Array.from(randomBytes(6));
  // Locally administered, unicast.
  address[0] = ((address[0] ?? 0) & 0xfc) | 2;
  const link = withState({ ...DEFAULTS, address, ...given, index });
  checkMtu(link, link.mtu);
  state.links.set(index, link);
  state.emit('link', link);
  return link;
}

function create(state: HostState, request: LinkRequest, kinds: readonly string[], now: number): LinkRecord {
  const { kind, kindData, name, index, address, mtu, queueLength, group } = request;
  if (kind === undefined) throw new Errno('EOPNOTSUPP');
  if (!kinds.includes(kind)) throw new Errno('EOPNOTSUPP', 'Unknown device type');
  if (address) checkAddress({ ...DEFAULTS, index: 0, name: '', address: new Uint8Array(6) }, address);
  const link = addLink(state, {
    name: name ?? freeName(state, kind),
    kind,
    ...(index > 0 ? { index } : {}),
    ...(kindData ? { kindData } : {}),
    ...(address ? { address } : {}),
    ...(mtu === undefined ? {} : { mtu }),
    ...(queueLength === undefined ? {} : { queueLength }),
    ...(group === undefined ? {} : { group }),
  });
  return request.flags & IFF_.UP
    ? apply(state, link, changed(state, link, { ...request, index }), now)
    : link;
}

function remove(state: HostState, link: LinkRecord): void {
  if (link.kind === undefined) throw new Errno('EOPNOTSUPP');
  if (link.flags & IFF_.UP) apply(state, link, withState({ ...link, flags: link.flags & ~IFF_.UP }), 0);
  state.dropNeighs(link.index);
  for (const addr of state.addrs.filter((a) => a.index === link.index && a.family === FAMILY.INET)) {
    if (state.addrs.includes(addr)) delInet(state, addr);
  }
  stopInet6(state, link);
  state.links.delete(link.index);
  state.emit('link', { ...link, flags: link.flags & ~(IFF_.UP | STATE_FLAGS) }, true);
}

/** `kinds` are those of the links that clients may make; `now` is the time in hundredths of a second. */
export const linkHandlers = (
  state: HostState,
  kinds: readonly string[],
  now: () => number,
): LinkHandlers => ({
  get: () => [...state.links.values()].sort((a, b) => a.index - b.index),
  search: ({ index, name, alternativeName }) => {
    if (index > 0) return state.links.get(index);
    const wanted = name ?? alternativeName;
    return wanted === undefined ? undefined : findByName(state, wanted);
  },
  new: (request) => create(state, request, kinds, now()),
  set: (link, request) => {
    // A link that was found by its name does not get a new one.
    const next = changed(state, link, request.index > 0 ? request : without(request, 'name'));
    return apply(state, link, next, now());
  },
  del: (link) => remove(state, link),
});
