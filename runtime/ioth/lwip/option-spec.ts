/** What kinds of socket options there are, and how their values are checked and shown. */
import { Errno } from '../../errno.ts';
import { AF, SOCK } from '../stack.ts';
import type { EmulatedSocket } from './socket.ts';

export const LEVEL = {
  SOCKET: 1,
  IP: 0,
  IPV6: 41,
  TCP: 6,
  UDP: 17,
  UDPLITE: 136,
  ICMPV6: 58,
  RAW: 255,
  PACKET: 263,
  NETLINK: 270,
} as const;

export interface OptionSpec {
  /** Bytes of the value. */
  readonly size: number;
  /** What it is before it is set; zeroes where this is absent. For some it depends on the type of the socket. */
  readonly initial?: number | Buffer | ((socket: EmulatedSocket) => number);
  readonly readOnly?: true;
  readonly writeOnly?: true;
  /** A value of one byte is taken and given too. */
  readonly short?: true;
  /** The least and the largest number; all others are EINVAL. */
  readonly range?: readonly [number, number];
  /** A number that is EINVAL although it is in the range, or not although it is not. */
  readonly except?: number;
  /** Set on, and read from, the AF_UNIX socket of the guest, where the kernel acts on it. */
  readonly native?: true;
  /** getsockopt reads what the guest has there, and answers that. */
  readonly exchange?: true;
  readonly fixed?: 'domain' | 'type' | 'protocol';
  readonly family?: number;
  readonly type?: number;
  /** Sockets of another `type` have it, as 0, but cannot set it. */
  readonly shown?: true;
  /** How setting it on a stream fails. */
  readonly notStream?: 'EINVAL' | 'ENOPROTOOPT';
  /** What is set instead. */
  readonly rewrite?: (socket: EmulatedSocket, value: Buffer) => [level: number, name: number, value: Buffer];
  /** The stored value in the form that getsockopt gives. */
  readonly show?: (value: Buffer) => Buffer;
  /** With less room than this a value that is not empty is EINVAL. */
  readonly leastRoom?: number;
}

export function numberBuffer(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/** `show` of a number. */
const showing = (change: (value: number) => number): Pick<OptionSpec, 'show'> => ({
  show: (value) => numberBuffer(change(value.readInt32LE(0))),
});

export const int: OptionSpec = { size: 4 };
export const flag: OptionSpec = { size: 4, ...showing((value) => (value === 0 ? 0 : 1)) };
export const starting = (initial: number): OptionSpec => ({ size: 4, initial });
/** Options of IP, for which one byte is enough. */
export const ipInt = (initial = 0): OptionSpec => ({ size: 4, initial, short: true });
export const ipFlag = (initial = 0): OptionSpec => ({ ...flag, initial, short: true });
/** A number up to `most`; -1 stands for `initial`. */
export const orDefault = (initial: number, most: number): OptionSpec => ({
  ...starting(initial),
  range: [-1, most],
  ...showing((value) => (value < 0 ? initial : value)),
});
export const tcp = (spec: OptionSpec): OptionSpec => ({ ...spec, type: SOCK.STREAM });
export const v6 = (spec: OptionSpec): OptionSpec => ({ ...spec, family: AF.INET6 });

/** Most that a guest may ask for (net.core.rmem_max). */
const MOST_BUFFER = 212992;

/** SO_RCVBUF or SO_SNDBUF: the kernel counts its own overhead in, and says twice of what was set (socket(7)). */
export const buffer = (least: number, ofStream: number): OptionSpec => ({
  size: 4,
  initial: ({ type }) => (type === SOCK.STREAM ? ofStream : MOST_BUFFER),
  ...showing((value) => Math.max(least, 2 * mostBuffer(value))),
});
const mostBuffer = (value: number): number => (value < 0 ? MOST_BUFFER : Math.min(value, MOST_BUFFER));

/** SO_LINGER: l_onoff is 0 or 1. */
export const linger: OptionSpec = {
  size: 8,
  show: (value) => Buffer.concat([numberBuffer(value.readInt32LE(0) === 0 ? 0 : 1), value.subarray(4, 8)]),
};

/** TCP_DEFER_ACCEPT counts repetitions of a SYN-ACK, after 1 s, 2 s more, 4 s more and so on. */
export const deferAccept: OptionSpec = {
  size: 4,
  ...showing((value) => {
    let seconds = 0;
    for (let next = 1; seconds < value; next = Math.min(2 * next, 120)) seconds += next;
    return seconds;
  }),
};

/** IFNAMSIZ */
const NAME_SIZE = 16;
/** SO_BINDTODEVICE: the name of an interface, or an empty one. */
export const device: OptionSpec = {
  size: 0,
  initial: Buffer.alloc(0),
  leastRoom: NAME_SIZE,
  rewrite: (_socket, value) => {
    const end = value.indexOf(0);
    const name = value.subarray(0, Math.min(end < 0 ? value.length : end, NAME_SIZE - 1));
    return [LEVEL.SOCKET, 25, name.length === 0 ? name : Buffer.concat([name, Buffer.alloc(1)])];
  },
};

/** MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP (struct group_req) as memberships of the family. */
export function groupRequest(name4: number, name6: number): NonNullable<OptionSpec['rewrite']> {
  return (_socket, value) => {
    if (value.length < 136) throw new Errno('EINVAL');
    const index = value.subarray(0, 4);
    const family = value.readUInt16LE(8);
    if (family === AF.INET)
      return [LEVEL.IP, name4, Buffer.concat([value.subarray(12, 16), Buffer.alloc(4), index])];
    if (family === AF.INET6) return [LEVEL.IPV6, name6, Buffer.concat([value.subarray(16, 32), index])];
    throw new Errno('EADDRNOTAVAIL');
  };
}

/** The kernel gives 16 bytes. */
export function congestion(name: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.write(name);
  return bytes;
}

/** lwIP has NewReno only. */
export function congestionName(_socket: EmulatedSocket, value: Buffer): [number, number, Buffer] {
  const name = value.toString('latin1').replace(/\0.*$/s, '');
  if (name !== 'reno') throw new Errno('ENOENT');
  return [LEVEL.TCP, 13, congestion(name)];
}
