/** What a small host consists of, and the telling of its changes; the rules are in the files beside. */
import { sameBytes } from '../attributes.ts';
import { IFF_, NUD } from '../constants.ts';
import type { AddrRecord, Change, Kind, LinkRecord, NeighRecord, RecordOf, RouteRecord } from '../records.ts';

/** Routes of one destination that the kernel keeps apart by priority; two with the same rest are the same. */
export const sameRoute = (a: RouteRecord, b: RouteRecord): boolean =>
  sameDestination(a, b) &&
  a.type === b.type &&
  a.outIndex === b.outIndex &&
  a.scope === b.scope &&
  sameBytes(a.gateway, b.gateway) &&
  sameBytes(a.preferredSource, b.preferredSource);

/** Family, table, prefix, type of service and priority are equal. */
export const sameDestination = (a: RouteRecord, b: RouteRecord): boolean =>
  a.family === b.family &&
  a.table === b.table &&
  a.prefixLength === b.prefixLength &&
  a.tos === b.tos &&
  a.priority === b.priority &&
  sameBytes(a.destination, b.destination);

export class HostState {
  readonly links = new Map<number, LinkRecord>();
  addrs: AddrRecord[] = [];
  routes: RouteRecord[] = [];
  neighs: NeighRecord[] = [];
  readonly listeners = new Set<(change: Change) => void>();
  /**
   * Whether somebody finds out first if others have an IPv6 address (RFC 4862, 5.4): it is tentative until
   * {@link finishDetection} or {@link failDetection} is called. By default addresses are usable at once.
   */
  detects: (addr: AddrRecord) => boolean = () => false;

  emit<K extends Kind>(kind: K, record: RecordOf<K>, deleted = false): void {
    const change = { kind, record, deleted } as unknown as Change;
    for (const listener of this.listeners) listener(change);
  }

  isUp(index: number): boolean {
    return ((this.links.get(index)?.flags ?? 0) & IFF_.UP) !== 0;
  }

  loopback(): LinkRecord | undefined {
    return [...this.links.values()].find((link) => link.flags & IFF_.LOOPBACK);
  }

  /** Adds a route that the host makes by itself, unless it is there. */
  addRoute(route: RouteRecord): void {
    if (this.routes.some((r) => sameRoute(r, route))) return;
    this.routes.push(route);
    this.emit('route', route);
  }

  /** Removes the routes that `doomed` is true of; `tell` is false where Linux does not announce it. */
  dropRoutes(doomed: (route: RouteRecord) => boolean, tell = true): void {
    const gone = this.routes.filter(doomed);
    this.routes = this.routes.filter((route) => !gone.includes(route));
    if (tell) for (const route of gone) this.emit('route', route, true);
  }

  dropAddr(addr: AddrRecord): void {
    this.addrs = this.addrs.filter((a) => a !== addr);
    this.emit('addr', addr, true);
  }

  /** Forgets the neighbours of a link. */
  dropNeighs(index: number): void {
    const gone = this.neighs.filter((n) => n.index === index);
    this.neighs = this.neighs.filter((n) => n.index !== index);
    for (const neigh of gone) if ((neigh.state & NUD.NOARP) === 0) this.emit('neigh', neigh, true);
  }
}
