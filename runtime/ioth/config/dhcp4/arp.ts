/** Whether an IPv4 address is taken, and telling that it is from now on (ARP, RFC 826 and RFC 5227). */
import { ByteWriter } from '../../bytes.ts';
import { AF, SOCK } from '../../stack.ts';
import { Socket } from '../../socket/socket.ts';
import { Timeout, within } from '../../time.ts';
import type { Interface } from '../source.ts';
import { type Address4, NO_ADDRESS } from './wire.ts';

const ETH_P_ARP = 0x0806;
const PROBES = 3;
const SIZE = 28;
const REQUEST = 1;
const EVERYBODY = new Uint8Array(6).fill(0xff);

function packet(mac: Uint8Array, sender: Address4, target: Address4): Uint8Array {
  const writer = new ByteWriter(SIZE);
  writer.u16(1).u16(0x0800).u8(6).u8(4).u16(REQUEST).put(mac).put(sender).zeros(6).put(target);
  return writer.bytes();
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Whether `bytes` say that somebody else has, or wants, `address` (RFC 5227 §2.1.1). */
export function conflicts(bytes: Uint8Array, mac: Uint8Array, address: Address4): boolean {
  if (bytes.length < SIZE) return false;
  const sender = bytes.subarray(8, 14);
  if (same(sender, mac)) return false;
  if (same(bytes.subarray(14, 18), address)) return true;
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

/** Asks whether somebody has `address`; true when there is an answer. */
export async function taken(link: Interface, address: Address4, signal?: AbortSignal): Promise<boolean> {
  const socket = open(link);
  const listen = async (limit: AbortSignal): Promise<boolean> => {
    for (;;) if (conflicts(await socket.recv(128, { signal: limit }), link.mac, address)) return true;
  };
  try {
    for (let probe = 0; probe < PROBES; probe++) {
      await send(socket, link.index, packet(link.mac, NO_ADDRESS, address));
      const answered = await within(link.timing.probe, signal, listen).catch((error: unknown) => {
        if (error instanceof Timeout) return false;
        throw error;
      });
      if (answered) return true;
    }
    return false;
  } finally {
    socket.close();
  }
}

/** Tells everybody that `address` is ours (RFC 5227 §2.3), so that their caches are right at once. */
export async function announce(link: Interface, address: Address4): Promise<void> {
  const socket = open(link);
  try {
    await send(socket, link.index, packet(link.mac, address, address));
  } finally {
    socket.close();
  }
}
