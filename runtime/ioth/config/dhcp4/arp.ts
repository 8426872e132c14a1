/** Whether an IPv4 address is taken, telling that it is ours, and defending it (ARP, RFC 826 and RFC 5227). */
import { ByteWriter } from '../../bytes.ts';
import { AF, SOCK } from '../../stack.ts';
import { Socket } from '../../socket/socket.ts';
import { Timeout, pause, within } from '../../time.ts';
import type { Interface } from '../source.ts';
import { type Address4, NO_ADDRESS } from './wire.ts';

const ETH_P_ARP = 0x0806;
/** PROBE_NUM and ANNOUNCE_NUM of RFC 5227 §1.1. */
const PROBES = 3;
const ANNOUNCEMENTS = 2;
const SIZE = 28;
const REQUEST = 1;
const EVERYBODY = new Uint8Array(6).fill(0xff);

/** An ARP request; one whose `sender` is no address is a probe. */
export function arpRequest(mac: Uint8Array, sender: Address4, target: Address4): Uint8Array {
  const writer = new ByteWriter(SIZE);
  writer.u16(1).u16(0x0800).u8(6).u8(4).u16(REQUEST).put(mac).put(sender).zeros(6).put(target);
  return writer.bytes();
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Whether `bytes` say that somebody else has `address` (RFC 5227 §2.4). */
export function claims(bytes: Uint8Array, mac: Uint8Array, address: Address4): boolean {
  return bytes.length >= SIZE && !same(bytes.subarray(8, 14), mac) && same(bytes.subarray(14, 18), address);
}

/** Whether `bytes` say that somebody else has, or wants, `address` (RFC 5227 §2.1.1). */
export function conflicts(bytes: Uint8Array, mac: Uint8Array, address: Address4): boolean {
  if (claims(bytes, mac, address)) return true;
  if (bytes.length < SIZE || same(bytes.subarray(8, 14), mac)) return false;
  const probe = same(bytes.subarray(14, 18), NO_ADDRESS);
  return probe && bytes[7] === REQUEST && same(bytes.subarray(24, 28), address);
}

function open({ stack, index }: Interface): Socket {
  // The protocol of packet(7) is in network order.
  const protocol = ((ETH_P_ARP & 0xff) << 8) | (ETH_P_ARP >> 8);
  const fd = stack.socket(AF.PACKET, SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC, protocol);
  const socket = new Socket(fd, AF.PACKET, SOCK.DGRAM, protocol);
  try {
    socket.bind({ family: AF.PACKET, protocol: ETH_P_ARP, index });
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

const send = (socket: Socket, index: number, bytes: Uint8Array): Promise<number> =>
  socket.sendto(bytes, { family: AF.PACKET, protocol: ETH_P_ARP, index, address: EVERYBODY });

const between = (least: number, most: number): number => least + Math.random() * (most - least);

/**
 * Asks whether somebody has `address`: true when there is an answer. How long that takes says the timing: quick by
 * default, or as slow as RFC 5227 §2.1.1 wants it.
 */
export async function taken(link: Interface, address: Address4, signal?: AbortSignal): Promise<boolean> {
  const { probeWait, probeMin, probeMax, announceWait } = link.timing;
  const socket = open(link);
  const listen = async (limit: AbortSignal): Promise<boolean> => {
    for (;;) if (conflicts(await socket.recv(128, { signal: limit }), link.mac, address)) return true;
  };
  const heard = (ms: number): Promise<boolean> =>
    within(ms, signal, listen).catch((error: unknown) => {
      if (error instanceof Timeout) return false;
      throw error;
    });
  try {
    if (probeWait > 0 && (await heard(between(0, probeWait)))) return true;
    for (let probe = 1; probe <= PROBES; probe++) {
      await send(socket, link.index, arpRequest(link.mac, NO_ADDRESS, address));
      if (await heard(probe < PROBES ? between(probeMin, probeMax) : announceWait)) return true;
    }
    return false;
  } finally {
    socket.close();
  }
}

/**
 * An address in use: tells everybody that it is ours (RFC 5227 §2.3), and listens for others who use it, as long as it is
 * not closed. The first conflict is answered, the next within DEFEND_INTERVAL ends it (§2.4 b).
 */
export class AddressGuard {
  readonly #link: Interface;
  readonly #address: Address4;
  readonly #onConflict: () => void;
  readonly #socket: Socket;
  readonly #life = new AbortController();
  /** When it was defended last (performance.now()). */
  #defended = -Infinity;

  /** `onConflict` is called once, when the address is to be given up. */
  constructor(link: Interface, address: Address4, onConflict: () => void) {
    this.#link = link;
    this.#address = address;
    this.#onConflict = onConflict;
    this.#socket = open(link).unref();
    void this.#announce();
    void this.#watch();
  }

  /** Idempotent. */
  close(): void {
    this.#life.abort();
    this.#socket.close();
  }

  /** Sends one announcement. */
  #tell(): Promise<unknown> {
    const { mac, index } = this.#link;
    return send(this.#socket, index, arpRequest(mac, this.#address, this.#address));
  }

  async #announce(): Promise<void> {
    try {
      for (let each = 1; each <= ANNOUNCEMENTS; each++) {
        await this.#tell();
        if (each < ANNOUNCEMENTS) await pause(this.#link.timing.announceInterval, this.#life.signal, false);
      }
    } catch {
      // The guard is closed, or the link is down: then nobody has to know.
    }
  }

  async #watch(): Promise<void> {
    try {
      for (;;) {
        if (!claims(await this.#socket.recv(128), this.#link.mac, this.#address)) continue;
        if (performance.now() - this.#defended < this.#link.timing.defend) break;
        this.#defended = performance.now();
        await this.#tell();
      }
    } catch {
      return; // closed
    }
    this.close();
    this.#onConflict();
  }
}
