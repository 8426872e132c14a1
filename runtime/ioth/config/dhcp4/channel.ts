/** How DHCPv4 messages travel: frames of our own as long as there is no address, UDP when there is one. */
import { Errno } from '../../../errno.ts';
import { WireError } from '../../netlink/wire.ts';
import { SO, SOL } from '../../socket/constants.ts';
import { inetAddress } from '../../socket/address.ts';
import { Socket } from '../../socket/socket.ts';
import { AF, SOCK } from '../../stack.ts';
import type { Interface } from '../source.ts';
import {
  type Address4, CLIENT_PORT, type Dhcp4Message, OPTION, SERVER_PORT, parseDhcp4, serializeDhcp4, unwrap,
  wrapBroadcast,
} from './wire.ts'; // prettier-ignore

const ETH_P_IP = 0x0800;
const EVERYBODY = new Uint8Array(6).fill(0xff);

export interface Channel {
  send(message: Dhcp4Message): Promise<unknown>;
  /** The next message from a server, whatever it says. */
  receive(signal: AbortSignal): Promise<Uint8Array>;
  close(): void;
}

export const text4 = (address: Address4): string => address.join('.');

function opened(socket: Socket, prepare: () => void): Socket {
  try {
    prepare();
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** Broadcasts from 0.0.0.0, and hears what comes to any address. */
export function packetChannel({ stack, index }: Interface): Channel {
  const protocol = ((ETH_P_IP & 0xff) << 8) | (ETH_P_IP >> 8);
  const fd = stack.socket(AF.PACKET, SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC, protocol);
  const socket = new Socket(fd, AF.PACKET, SOCK.DGRAM, protocol);
  opened(socket, () => socket.bind({ family: AF.PACKET, protocol: ETH_P_IP, index }));
  const to = { family: AF.PACKET, protocol: ETH_P_IP, index, address: EVERYBODY };
  return {
    send: (message) => socket.sendto(wrapBroadcast(serializeDhcp4(message)), to),
    async receive(signal) {
      for (;;) {
        const payload = unwrap(await socket.recv(2048, { signal }));
        if (payload !== undefined) return payload;
      }
    },
    close: () => socket.close(),
  };
}

/** Speaks from `own` to one server, or to all of the link. */
export function udpChannel({ stack, index }: Interface, own: Address4, server?: Address4): Channel {
  const fd = stack.socket(AF.INET, SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  const socket = new Socket(fd, AF.INET, SOCK.DGRAM, 0);
  opened(socket, () => {
    socket.setsockopt(SOL.SOCKET, SO.REUSEADDR, 1);
    socket.setsockopt(SOL.SOCKET, SO.BROADCAST, 1);
    socket.setsockopt(SOL.SOCKET, SO.BINDTOIFINDEX, index);
    socket.bind(inetAddress(text4(own), CLIENT_PORT));
  });
  const to = inetAddress(server ? text4(server) : '255.255.255.255', SERVER_PORT);
  return {
    send: (message) => socket.sendto(serializeDhcp4(message), to),
    async receive(signal) {
      for (;;) {
        try {
          return await socket.recv(2048, { signal });
        } catch (error) {
          // An ICMP error about what was sent; the server may come back.
          if (!(error instanceof Errno) || error.code !== 'ECONNREFUSED') throw error;
        }
      }
    },
    close: () => socket.close(),
  };
}

/** Sends `message` and waits for a reply to it that `accept` takes; others are ignored. */
export async function exchange<T>(
  channel: Channel,
  message: Dhcp4Message,
  accept: (reply: Dhcp4Message) => T | undefined,
  signal: AbortSignal,
): Promise<T> {
  await channel.send(message);
  for (;;) {
    const reply = readReply(message, await channel.receive(signal));
    const result = reply && accept(reply);
    if (result !== undefined) return result;
  }
}

/** The message in `bytes`, if it is a reply to `message` (RFC 2131 §4.4.1, RFC 6842). */
function readReply(message: Dhcp4Message, bytes: Uint8Array): Dhcp4Message | undefined {
  try {
    const reply = parseDhcp4(bytes);
    const echo = reply.options.get(OPTION.CLIENT_ID);
    const ours =
      reply.op === 2 &&
      reply.xid === message.xid &&
      Buffer.compare(reply.mac, message.mac) === 0 &&
      (echo === undefined || Buffer.compare(echo, message.options.get(OPTION.CLIENT_ID)!) === 0);
    return ours ? reply : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
