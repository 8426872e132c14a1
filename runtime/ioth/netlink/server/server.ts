/** A route netlink server: the peers of one table, and what they are told of its changes. */
import { Errno } from '../../../errno.ts';
import { type NetlinkMessage, serializeMessage } from '../wire.ts';
import { encodeAddr, encodeNeigh } from './codec-addr.ts';
import { encodeLink } from './codec-link.ts';
import { encodeRoute } from './codec-route.ts';
import { FAMILY, NLMSG_FLAG, RTM_BASE, RTNLGRP } from './constants.ts';
import { type NetdeviceContext, netdeviceIoctl } from './netdevice.ts';
import { NetlinkPeer, type PeerOptions, type PeerServices } from './peer.ts';
import type { Report } from './operations.ts';
import { type Protocol, routeProtocol } from './protocol.ts';
import type { Change, Kind, NetlinkTable, RecordOf } from './records.ts';

/** A change as it is sent: message type of its NEW form, payload and multicast group. */
function announce(change: Change): { base: number; payload: Uint8Array; group: number } {
  const { kind, record } = change;
  switch (kind) {
    case 'link':
      return { base: RTM_BASE.LINK, payload: encodeLink(record), group: RTNLGRP.LINK };
    case 'addr': {
      const group = record.family === FAMILY.INET ? RTNLGRP.IPV4_IFADDR : RTNLGRP.IPV6_IFADDR;
      return { base: RTM_BASE.ADDR, payload: encodeAddr(record), group };
    }
    case 'route': {
      const group = record.family === FAMILY.INET ? RTNLGRP.IPV4_ROUTE : RTNLGRP.IPV6_ROUTE;
      return { base: RTM_BASE.ROUTE, payload: encodeRoute(record), group };
    }
    case 'neigh':
      return { base: RTM_BASE.NEIGH, payload: encodeNeigh(record), group: RTNLGRP.NEIGH };
  }
}

interface Cause {
  peer: NetlinkPeer;
  message: NetlinkMessage;
}

/** Answers the AF_NETLINK sockets (netlink(7)) and the requests of netdevice(7) of a stack that is not the kernel's (nlq_server_rtdialog, nlq_server_ioctl). */
export class NetlinkServer {
  readonly table: NetlinkTable;
  readonly #ports = new Map<number, NetlinkPeer>();
  readonly #peers = new Set<NetlinkPeer>();
  readonly #unwatch: (() => void) | undefined;
  readonly #services: PeerServices;
  /** The request that is being served: its sender's port and number stand in what it causes. */
  #cause: Cause | undefined;
  #nextPort = -4097;

  /** `protocol` is NETLINK_ROUTE by default. */
  constructor(table: NetlinkTable, protocol: Protocol = routeProtocol(table)) {
    this.table = table;
    this.#unwatch = table.watch?.((change) => this.#send(change));
    this.#services = {
      protocol,
      during: (peer, message, change) => this.#during(peer, message, change),
      takePort: (peer, port) => this.#takePort(peer, port),
      leave: (peer) => this.#leave(peer),
    };
  }

  /** A new client; see {@link PeerOptions}. */
  connect(options: PeerOptions): NetlinkPeer {
    const peer = new NetlinkPeer(this.#services, options);
    this.#peers.add(peer);
    return peer;
  }

  /** Tells the members of the group a change that no client made: an address by SLAAC, a lost carrier, … */
  notify<K extends Kind>(kind: K, record: RecordOf<K>, deleted = false): void {
    this.#send({ kind, record, deleted } as unknown as Change);
  }

  /** {@link netdeviceIoctl} on this server's table: the members of the groups are told what it changes. */
  ioctl(request: number, argument: Uint8Array, context: NetdeviceContext = {}): number {
    try {
      return netdeviceIoctl(this.table, request, argument, { report: this.#report(), ...context });
    } finally {
      this.table.settle?.();
    }
  }

  /** Closes all peers and ends the connection to the table. */
  close(): void {
    for (const peer of this.#peers) peer.close();
    this.#unwatch?.();
  }

  /** A table that tells its changes itself has told them already. */
  #report(): Report {
    return this.#unwatch ? () => {} : (change) => this.#send(change);
  }

  #during(peer: NetlinkPeer, message: NetlinkMessage, change: (report: Report) => void): void {
    const outer = this.#cause;
    this.#cause = { peer, message };
    try {
      change(this.#report());
    } finally {
      this.#cause = outer;
      this.table.settle?.();
    }
  }

  #send(change: Change): void {
    const { base, payload, group } = announce(change);
    // What follows from a change (the routes of an address) is nobody's request.
    const cause = this.#cause && (this.#cause.message.type & ~3) === base ? this.#cause : undefined;
    const bytes = serializeMessage({
      type: change.deleted ? base + 1 : base,
      flags: 0,
      seq: cause?.message.seq ?? 0,
      pid: cause?.peer.port ?? 0,
      payload,
    });
    const echo = cause && (cause.message.flags & NLMSG_FLAG.ECHO) !== 0 ? cause.peer : undefined;
    for (const peer of this.#peers) {
      if (peer === echo) peer.deliver(bytes);
      else if (peer.isMember(group)) peer.deliver(bytes, group);
    }
  }

  #takePort(peer: NetlinkPeer, wanted: number): number {
    let port = wanted >>> 0;
    if (port !== 0 && this.#ports.has(port)) throw new Errno('EADDRINUSE');
    // Numbers that are no process id, downwards as in the kernel.
    while (port === 0 || this.#ports.has(port)) port = this.#nextPort-- >>> 0;
    this.#ports.set(port, peer);
    return port;
  }

  #leave(peer: NetlinkPeer): void {
    this.#peers.delete(peer);
    if (this.#ports.get(peer.port) === peer) this.#ports.delete(peer.port);
  }
}
