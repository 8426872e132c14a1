/** What the sources of autoconfiguration (DHCP, DHCPv6, router discovery) have in common. */
import type { IpAddress } from '../netlink/index.ts';
import type { Stack } from '../stack.ts';

/** How long things take, in ms. The tries are those of iothconf (IOTH-FACTS §2.5). */
export interface Timing {
  /** How long one try of a DHCP exchange waits for its answer, and how many there are. */
  dhcpTry: number;
  dhcpTries: number;
  /** As much for router discovery. */
  routerTry: number;
  routerTries: number;
  /**
   * Before the first ARP probe of an offered address at most, between two of the three probes at least and at most, and
   * after the last (RFC 5227 §1.1: PROBE_WAIT, PROBE_MIN, PROBE_MAX, ANNOUNCE_WAIT). The RFC has seconds
   * ({@link RFC5227}); on a virtual network an owner answers at once, and a program waits for its address.
   */
  probeWait: number;
  probeMin: number;
  probeMax: number;
  announceWait: number;
  /** Between the two announcements of an address. */
  announceInterval: number;
  /** A second conflict about an address within this time makes the client give it up (DEFEND_INTERVAL). */
  defend: number;
  /** After a declined address, before the next attempt (RFC 2131 §3.1.5). */
  declined: number;
  /** Shortest time between two tries to renew a lease (RFC 2131 §4.4.5). */
  renewal: number;
  /** How long a second of a lease is for the timers; tests have no hours. */
  second: number;
  /** Longest wait for the end of duplicate address detection. */
  duplicates: number;
}

export const TIMING: Readonly<Timing> = {
  dhcpTry: 2000,
  dhcpTries: 3,
  routerTry: 1000,
  routerTries: 3,
  probeWait: 0,
  probeMin: 200,
  probeMax: 200,
  announceWait: 200,
  announceInterval: 2000,
  defend: 10_000,
  declined: 10_000,
  renewal: 60_000,
  second: 1000,
  duplicates: 3000,
};

/** The waits of RFC 5227 §1.1, for networks with slow or sleeping hosts: `config('dhcp', { timing: RFC5227 })`. */
export const RFC5227: Readonly<Partial<Timing>> = {
  probeWait: 1000,
  probeMin: 1000,
  probeMax: 2000,
  announceWait: 2000,
  announceInterval: 2000,
  defend: 10_000,
};

/** The interface that is configured. */
export interface Interface {
  readonly stack: Stack;
  readonly index: number;
  readonly mac: Uint8Array;
  readonly fqdn?: string;
  readonly timing: Timing;
  /** To be called when name servers or domains of a source have changed. */
  changed(): void;
}

/** A source that gave something, and keeps it valid until it is stopped. */
export interface Source {
  readonly dns: readonly IpAddress[];
  readonly domains: readonly string[];
  /** What it gave, for people: `address 10.0.0.5/24, 3600 s`. */
  describe(): string[];
  /** Takes back what it did, and tells its server (`-dhcp`). */
  undo(): Promise<void>;
  /** Ends its work, because the stack is closed. */
  close(): Promise<void>;
}

/** The kinds of sources, in the order in which they are started (IOTH-FACTS §2.3). */
export type SourceName = 'rd' | 'dhcp6' | 'dhcp';
