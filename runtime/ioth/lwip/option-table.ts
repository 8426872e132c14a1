/** Options of sockets, as Linux has them: socket(7), ip(7), ipv6(7), tcp(7), udp(7), raw(7), netlink(7). */
import { Errno } from '../../errno.ts';
import { AF, SOCK } from '../stack.ts';
import { PACKET } from './option-packet.ts';
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
  /** What it is before it is set; zeroes where this is absent. */
  readonly initial?: number | Buffer;
  readonly readOnly?: true;
  readonly writeOnly?: true;
  /** A value of one byte is taken too. */
  readonly short?: true;
  readonly range?: readonly [number, number];
  /** Set on, and read from, the AF_UNIX socket of the guest, where the kernel acts on it. */
  readonly native?: true;
  readonly fixed?: 'domain' | 'type' | 'protocol';
  /** getsockopt reads what the guest has there, and answers that. */
  readonly exchange?: true;
  readonly family?: number;
  readonly type?: number;
  /** What is set instead. */
  readonly rewrite?: (socket: EmulatedSocket, value: Buffer) => [level: number, name: number, value: Buffer];
  /** The stored value in the form that getsockopt gives. */
  readonly show?: (value: Buffer) => Buffer;
}

const int: OptionSpec = { size: 4 };
const flag: OptionSpec = { size: 4, show: (value) => numberBuffer(value.readInt32LE(0) === 0 ? 0 : 1) };
const starting = (initial: number): OptionSpec => ({ size: 4, initial });
/** Options of IP, for which one byte is enough. */
const ipInt = (initial = 0): OptionSpec => ({ size: 4, initial, short: true });
const tcp = (spec: OptionSpec): OptionSpec => ({ ...spec, type: SOCK.STREAM });
const v6 = (spec: OptionSpec): OptionSpec => ({ ...spec, family: AF.INET6 });

function numberBuffer(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/** The kernel counts its own overhead in, and says twice of what was set (socket(7)). */
const doubled = (value: Buffer): Buffer =>
  numberBuffer(Math.max(2304, Math.min(value.readInt32LE(0), 212992) * 2));

/** MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP (struct group_req) as memberships of the family. */
function groupRequest(name4: number, name6: number): NonNullable<OptionSpec['rewrite']> {
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

/** IP_MULTICAST_IF takes an address, struct ip_mreq or ip_mreqn; what is kept is an index. */
const multicastInterface: NonNullable<OptionSpec['rewrite']> = (_socket, value) => [
  LEVEL.IP,
  32,
  value.length >= 12 ? Buffer.from(value.subarray(8, 12)) : numberBuffer(0),
];

const SOCKET: Record<number, OptionSpec> = {
  2: flag, // SO_REUSEADDR
  3: { size: 4, readOnly: true, fixed: 'type' },
  4: { size: 4, readOnly: true }, // SO_ERROR
  5: flag, // SO_DONTROUTE
  6: flag, // SO_BROADCAST
  7: { size: 4, initial: 212992, show: doubled }, // SO_SNDBUF
  8: { size: 4, initial: 212992, show: doubled }, // SO_RCVBUF
  9: flag, // SO_KEEPALIVE
  10: flag, // SO_OOBINLINE
  11: int, // SO_NO_CHECK
  12: int, // SO_PRIORITY
  13: { size: 8 }, // SO_LINGER
  15: flag, // SO_REUSEPORT
  18: { size: 4, initial: 1 }, // SO_RCVLOWAT
  20: { size: 16, native: true }, // SO_RCVTIMEO
  21: { size: 16, native: true }, // SO_SNDTIMEO
  25: { size: 0, initial: Buffer.alloc(0) }, // SO_BINDTODEVICE
  62: { size: 4, rewrite: (_socket, value) => [LEVEL.SOCKET, 25, value] }, // SO_BINDTOIFINDEX
  26: { size: 16, writeOnly: true }, // SO_ATTACH_FILTER
  27: { size: 0, writeOnly: true }, // SO_DETACH_FILTER
  29: flag, // SO_TIMESTAMP
  30: { size: 4, readOnly: true }, // SO_ACCEPTCONN
  35: flag, // SO_TIMESTAMPNS
  36: int, // SO_MARK
  37: int, // SO_TIMESTAMPING
  38: { size: 4, readOnly: true, fixed: 'protocol' },
  39: { size: 4, readOnly: true, fixed: 'domain' },
  40: flag, // SO_RXQ_OVFL
  41: flag, // SO_WIFI_STATUS
  44: flag, // SO_LOCK_FILTER
  46: int, // SO_BUSY_POLL
  47: starting(-1), // SO_MAX_PACING_RATE
  48: { size: 4, initial: 64, readOnly: true }, // SO_BPF_EXTENSIONS: SKF_AD_MAX
  49: starting(-1), // SO_INCOMING_CPU
};

const IP: Record<number, OptionSpec> = {
  1: ipInt(), // IP_TOS
  2: { ...ipInt(64), range: [-1, 255] }, // IP_TTL
  3: { ...ipInt(), type: SOCK.RAW }, // IP_HDRINCL
  4: { size: 0, initial: Buffer.alloc(0) }, // IP_OPTIONS
  5: ipInt(), // IP_ROUTER_ALERT
  6: ipInt(), // IP_RECVOPTS
  7: ipInt(), // IP_RETOPTS
  8: ipInt(), // IP_PKTINFO
  10: { ...ipInt(1), range: [0, 5] }, // IP_MTU_DISCOVER
  11: ipInt(), // IP_RECVERR
  12: ipInt(), // IP_RECVTTL
  13: ipInt(), // IP_RECVTOS
  14: { size: 4, initial: 1500, readOnly: true }, // IP_MTU
  15: ipInt(), // IP_FREEBIND
  20: ipInt(), // IP_RECVORIGDSTADDR
  21: { ...ipInt(), range: [0, 255] }, // IP_MINTTL
  24: ipInt(), // IP_BIND_ADDRESS_NO_PORT
  25: ipInt(), // IP_RECVFRAGSIZE
  32: { size: 4, rewrite: multicastInterface }, // IP_MULTICAST_IF
  33: { ...ipInt(1), range: [-1, 255] }, // IP_MULTICAST_TTL
  34: ipInt(1), // IP_MULTICAST_LOOP
  35: { size: 8, writeOnly: true }, // IP_ADD_MEMBERSHIP
  36: { size: 8, writeOnly: true }, // IP_DROP_MEMBERSHIP
  42: { size: 136, writeOnly: true, rewrite: groupRequest(35, 20) }, // MCAST_JOIN_GROUP
  45: { size: 136, writeOnly: true, rewrite: groupRequest(36, 21) }, // MCAST_LEAVE_GROUP
  49: ipInt(1), // IP_MULTICAST_ALL
  50: ipInt(), // IP_UNICAST_IF
};

const IPV6: Record<number, OptionSpec> = {
  1: int, // IPV6_ADDRFORM
  7: { size: 4, initial: -1 }, // IPV6_CHECKSUM
  16: { ...starting(64), range: [-1, 255] }, // IPV6_UNICAST_HOPS
  17: int, // IPV6_MULTICAST_IF
  18: { ...starting(1), range: [-1, 255] }, // IPV6_MULTICAST_HOPS
  19: starting(1), // IPV6_MULTICAST_LOOP
  20: { size: 20, writeOnly: true }, // IPV6_ADD_MEMBERSHIP
  21: { size: 20, writeOnly: true }, // IPV6_DROP_MEMBERSHIP
  22: int, // IPV6_ROUTER_ALERT
  23: { ...starting(1), range: [0, 5] }, // IPV6_MTU_DISCOVER
  24: { size: 4, initial: 1500, readOnly: true }, // IPV6_MTU
  25: int, // IPV6_RECVERR
  26: flag, // IPV6_V6ONLY
  29: starting(1), // IPV6_MULTICAST_ALL
  33: int, // IPV6_FLOWINFO_SEND
  42: { size: 136, writeOnly: true, rewrite: groupRequest(35, 20) }, // MCAST_JOIN_GROUP
  45: { size: 136, writeOnly: true, rewrite: groupRequest(36, 21) }, // MCAST_LEAVE_GROUP
  49: flag, // IPV6_RECVPKTINFO
  51: flag, // IPV6_RECVHOPLIMIT
  53: flag, // IPV6_RECVHOPOPTS
  56: flag, // IPV6_RECVRTHDR
  58: flag, // IPV6_RECVDSTOPTS
  60: flag, // IPV6_RECVPATHMTU
  62: flag, // IPV6_DONTFRAG
  66: flag, // IPV6_RECVTCLASS
  67: { ...starting(0), range: [-1, 255] }, // IPV6_TCLASS
  70: flag, // IPV6_AUTOFLOWLABEL
  72: int, // IPV6_ADDR_PREFERENCES
  73: int, // IPV6_MINHOPCOUNT
  77: flag, // IPV6_RECVFRAGSIZE
  78: flag, // IPV6_FREEBIND
};

const TCP: Record<number, OptionSpec> = {
  1: flag, // TCP_NODELAY
  2: { size: 4, initial: 536, range: [0, 32767] }, // TCP_MAXSEG
  3: flag, // TCP_CORK
  4: { ...starting(7200), range: [1, 32767] }, // TCP_KEEPIDLE
  5: { ...starting(75), range: [1, 32767] }, // TCP_KEEPINTVL
  6: { ...starting(9), range: [1, 127] }, // TCP_KEEPCNT
  7: { ...starting(6), range: [1, 127] }, // TCP_SYNCNT
  8: starting(60), // TCP_LINGER2
  9: int, // TCP_DEFER_ACCEPT
  10: int, // TCP_WINDOW_CLAMP
  11: { size: 0, readOnly: true }, // TCP_INFO
  12: starting(1), // TCP_QUICKACK
  13: { size: 1, initial: congestion('reno'), rewrite: congestionName }, // TCP_CONGESTION
  16: flag, // TCP_THIN_LINEAR_TIMEOUTS
  18: { size: 4, range: [0, 2 ** 31 - 1] }, // TCP_USER_TIMEOUT
  23: int, // TCP_FASTOPEN
  25: starting(-1), // TCP_NOTSENT_LOWAT
  36: flag, // TCP_INQ
};

/** The kernel gives 16 bytes. */
function congestion(name: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.write(name);
  return bytes;
}

/** lwIP has NewReno only. */
function congestionName(_socket: EmulatedSocket, value: Buffer): [number, number, Buffer] {
  const name = value.toString('latin1').replace(/\0.*$/s, '');
  if (name !== 'reno') throw new Errno('ENOENT');
  return [LEVEL.TCP, 13, congestion(name)];
}

const UDP: Record<number, OptionSpec> = { 1: flag, 102: flag, 104: flag };

const NETLINK: Record<number, OptionSpec> = {
  1: { size: 4, writeOnly: true }, // NETLINK_ADD_MEMBERSHIP
  2: { size: 4, writeOnly: true }, // NETLINK_DROP_MEMBERSHIP
  3: flag,
  4: flag,
  5: flag,
  8: flag,
  10: flag, // NETLINK_CAP_ACK
  11: flag, // NETLINK_EXT_ACK
  12: flag, // NETLINK_GET_STRICT_CHK
};

const TABLE: Record<number, Record<number, OptionSpec>> = {
  [LEVEL.SOCKET]: SOCKET,
  [LEVEL.IP]: Object.fromEntries(Object.entries(IP)),
  [LEVEL.IPV6]: Object.fromEntries(Object.entries(IPV6).map(([name, spec]) => [name, v6(spec)])),
  [LEVEL.TCP]: Object.fromEntries(Object.entries(TCP).map(([name, spec]) => [name, tcp(spec)])),
  [LEVEL.UDP]: UDP,
  [LEVEL.UDPLITE]: { 1: flag, 10: int, 11: int }, // UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV
  [LEVEL.ICMPV6]: { 1: v6({ size: 32 }) },
  [LEVEL.RAW]: { 1: { size: 4, type: SOCK.RAW } },
  [LEVEL.PACKET]: PACKET,
  [LEVEL.NETLINK]: Object.fromEntries(
    Object.entries(NETLINK).map(([name, spec]) => [name, { ...spec, family: AF.NETLINK }]),
  ),
};

/** The option `name` of `level`, whatever the socket. */
export const specOf = (level: number, name: number): OptionSpec | undefined => TABLE[level]?.[name];
