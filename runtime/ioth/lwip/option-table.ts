/** Options of sockets, as Linux has them: socket(7), ip(7), ipv6(7), tcp(7), udp(7), raw(7), netlink(7). */
import { AF, SOCK } from '../stack.ts';
import {
  buffer,
  congestion,
  congestionName,
  deferAccept,
  device,
  flag,
  groupRequest,
  int,
  ipFlag,
  ipInt,
  LEVEL,
  linger,
  numberBuffer,
  orDefault,
  starting,
  tcp,
  v6,
  type OptionSpec,
} from './option-spec.ts';
import { PACKET } from './option-packet.ts';

/** struct ucred of a socket whose peer is no local process. */
const NOBODY = Buffer.from([0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);

const SOCKET: Record<number, OptionSpec> = {
  2: flag, // SO_REUSEADDR
  3: { size: 4, readOnly: true, fixed: 'type' },
  4: { size: 4, readOnly: true }, // SO_ERROR
  5: flag, // SO_DONTROUTE
  6: flag, // SO_BROADCAST
  7: buffer(4608, 16384), // SO_SNDBUF
  8: buffer(2304, 131072), // SO_RCVBUF
  9: flag, // SO_KEEPALIVE
  10: flag, // SO_OOBINLINE
  11: int, // SO_NO_CHECK
  12: int, // SO_PRIORITY
  13: linger, // SO_LINGER
  15: flag, // SO_REUSEPORT
  17: { size: 12, initial: NOBODY, readOnly: true }, // SO_PEERCRED
  18: { size: 4, native: true }, // SO_RCVLOWAT
  19: { size: 4, initial: 1, readOnly: true }, // SO_SNDLOWAT
  20: { size: 16, native: true }, // SO_RCVTIMEO
  21: { size: 16, native: true }, // SO_SNDTIMEO
  25: device, // SO_BINDTODEVICE
  62: { size: 4 }, // SO_BINDTOIFINDEX
  26: { size: 16, writeOnly: true }, // SO_ATTACH_FILTER
  27: { size: 4, writeOnly: true }, // SO_DETACH_FILTER
  29: flag, // SO_TIMESTAMP
  30: { size: 4, readOnly: true }, // SO_ACCEPTCONN
  35: flag, // SO_TIMESTAMPNS
  36: int, // SO_MARK
  37: int, // SO_TIMESTAMPING
  38: { size: 4, readOnly: true, fixed: 'protocol' },
  39: { size: 4, readOnly: true, fixed: 'domain' },
  40: flag, // SO_RXQ_OVFL
  41: flag, // SO_WIFI_STATUS
  42: { size: 4, native: true }, // SO_PEEK_OFF
  44: flag, // SO_LOCK_FILTER
  46: int, // SO_BUSY_POLL
  47: starting(-1), // SO_MAX_PACING_RATE
  48: { size: 4, initial: 64, readOnly: true }, // SO_BPF_EXTENSIONS: SKF_AD_MAX
  49: starting(-1), // SO_INCOMING_CPU
  56: { size: 4, readOnly: true }, // SO_INCOMING_NAPI_ID
  57: { size: 8, native: true, readOnly: true }, // SO_COOKIE
};

const IP: Record<number, OptionSpec> = {
  1: { ...ipInt(), show: (value) => numberBuffer(value[0]!) }, // IP_TOS
  2: { ...orDefault(64, 255), short: true, except: 0 }, // IP_TTL
  3: { ...ipFlag(), type: SOCK.RAW, shown: true }, // IP_HDRINCL
  4: { size: 0, initial: Buffer.alloc(0) }, // IP_OPTIONS
  5: ipFlag(), // IP_ROUTER_ALERT
  6: ipFlag(), // IP_RECVOPTS
  7: ipFlag(), // IP_RETOPTS
  8: ipFlag(), // IP_PKTINFO
  10: { ...ipInt(1), range: [0, 5] }, // IP_MTU_DISCOVER
  11: ipFlag(), // IP_RECVERR
  12: ipFlag(), // IP_RECVTTL
  13: ipFlag(), // IP_RECVTOS
  14: { size: 4, initial: 1500, readOnly: true }, // IP_MTU
  15: ipFlag(), // IP_FREEBIND
  20: ipFlag(), // IP_RECVORIGDSTADDR
  21: { ...ipInt(), range: [0, 255] }, // IP_MINTTL
  24: ipFlag(), // IP_BIND_ADDRESS_NO_PORT
  25: ipFlag(), // IP_RECVFRAGSIZE
  32: { size: 4, notStream: 'EINVAL' }, // IP_MULTICAST_IF
  33: { ...orDefault(1, 255), short: true, notStream: 'EINVAL' }, // IP_MULTICAST_TTL
  34: ipFlag(1), // IP_MULTICAST_LOOP
  35: { size: 8, writeOnly: true }, // IP_ADD_MEMBERSHIP
  36: { size: 8, writeOnly: true }, // IP_DROP_MEMBERSHIP
  42: { size: 136, writeOnly: true, rewrite: groupRequest(35, 20) }, // MCAST_JOIN_GROUP
  45: { size: 136, writeOnly: true, rewrite: groupRequest(36, 21) }, // MCAST_LEAVE_GROUP
  49: { ...ipInt(1), range: [0, 1] }, // IP_MULTICAST_ALL
  50: ipInt(), // IP_UNICAST_IF
};

const IPV6: Record<number, OptionSpec> = {
  1: int, // IPV6_ADDRFORM
  7: { size: 4, initial: -1 }, // IPV6_CHECKSUM
  16: orDefault(64, 255), // IPV6_UNICAST_HOPS
  17: { ...int, notStream: 'ENOPROTOOPT' }, // IPV6_MULTICAST_IF
  18: { ...orDefault(1, 255), notStream: 'ENOPROTOOPT' }, // IPV6_MULTICAST_HOPS
  19: { ...starting(1), range: [0, 1] }, // IPV6_MULTICAST_LOOP
  20: { size: 20, writeOnly: true }, // IPV6_ADD_MEMBERSHIP
  21: { size: 20, writeOnly: true }, // IPV6_DROP_MEMBERSHIP
  22: int, // IPV6_ROUTER_ALERT
  23: { ...starting(1), range: [0, 5] }, // IPV6_MTU_DISCOVER
  24: { size: 4, range: [1280, 65535], except: 0 }, // IPV6_MTU
  25: flag, // IPV6_RECVERR
  26: flag, // IPV6_V6ONLY
  29: { ...starting(1), range: [0, 1] }, // IPV6_MULTICAST_ALL
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
  67: orDefault(0, 255), // IPV6_TCLASS
  70: flag, // IPV6_AUTOFLOWLABEL
  72: int, // IPV6_ADDR_PREFERENCES
  73: int, // IPV6_MINHOPCOUNT
  76: int, // IPV6_UNICAST_IF
  77: flag, // IPV6_RECVFRAGSIZE
  78: flag, // IPV6_FREEBIND
};

const TCP: Record<number, OptionSpec> = {
  1: flag, // TCP_NODELAY
  2: { size: 4, initial: 536, range: [88, 32767], except: 0 }, // TCP_MAXSEG
  3: flag, // TCP_CORK
  4: { ...starting(7200), range: [1, 32767] }, // TCP_KEEPIDLE
  5: { ...starting(75), range: [1, 32767] }, // TCP_KEEPINTVL
  6: { ...starting(9), range: [1, 127] }, // TCP_KEEPCNT
  7: { ...starting(6), range: [1, 127] }, // TCP_SYNCNT
  8: { ...starting(60), show: (value) => numberBuffer(Math.min(120, Math.max(-1, value.readInt32LE(0)))) }, // TCP_LINGER2
  9: deferAccept, // TCP_DEFER_ACCEPT
  10: int, // TCP_WINDOW_CLAMP
  11: { size: 0, readOnly: true }, // TCP_INFO
  12: { ...flag, initial: 1 }, // TCP_QUICKACK
  13: { size: 1, initial: congestion('reno'), rewrite: congestionName }, // TCP_CONGESTION
  16: flag, // TCP_THIN_LINEAR_TIMEOUTS
  18: { size: 4, range: [0, 2 ** 31 - 1] }, // TCP_USER_TIMEOUT
  23: int, // TCP_FASTOPEN
  25: int, // TCP_NOTSENT_LOWAT
};

const UDP: Record<number, OptionSpec> = { 101: flag, 102: flag }; // UDP_NO_CHECK6_TX and _RX

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
