/** The files of /proc/net that list sockets, in the kernel's formats (proc(5)). */
import type { LwipConnection } from '../../native.ts';
import type { SocketRecord } from '../netlink/server/index.ts';
import { AF, SOCK } from '../stack.ts';

const IPPROTO = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58, UDPLITE: 136 } as const;
const TCP_ESTABLISHED = 1;
const TCP_TIME_WAIT = 6;
const TCP_CLOSE_WAIT = 8;
const TCP_LISTEN = 10;

const TITLES = {
  tcp: '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
  tcp6: '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
  other: '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops',
  other6: '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops',
} as const; // prettier-ignore
/** Length of a line of the files of IPv4. */
const WIDTH = { tcp: 149, other: 127 } as const;

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');

/** An address as the kernel prints it: words in the byte order of the machine. */
function address(bytes: Uint8Array, port: number): string {
  const words = Buffer.from(bytes).swap32();
  return `${words.toString('hex').toUpperCase()}:${hex(port, 4)}`;
}

/** The address in the form of `domain`: IPv4 in a socket of IPv6 is mapped (RFC 4291, 2.5.5.2). */
function inDomain(bytes: Uint8Array, domain: number): Uint8Array {
  const size = domain === AF.INET6 ? 16 : 4;
  if (bytes.length === size) return bytes;
  if (size === 4 || bytes.every((byte) => byte === 0)) return new Uint8Array(size);
  return Uint8Array.of(...new Uint8Array(10), 0xff, 0xff, ...bytes);
}

/** A socket as sock_diag(7) shows it. */
export function socketRecord(connection: LwipConnection): SocketRecord {
  const { domain, type, protocol, local, remote } = connection;
  return {
    ...connection,
    family: domain,
    raw: type === SOCK.RAW,
    // Raw sockets show their protocol in the place of a port.
    localPort: type === SOCK.RAW ? protocol : connection.localPort,
    local: inDomain(local, domain),
    remote: inDomain(remote, domain),
    uid: 0,
    // A socket that is bound to an address of IPv6 takes nothing else.
    v6only: connection.v6only || (local.length === 16 && local.some((byte) => byte !== 0)),
  };
}

/** Which of the files shows a socket: `udp6` for one of UDP over IPv6. */
function fileOf({ domain, type, protocol }: LwipConnection): string {
  const base =
    type === SOCK.RAW
      ? 'raw'
      : type === SOCK.STREAM
        ? 'tcp'
        : protocol === IPPROTO.UDPLITE
          ? 'udplite'
          : protocol === IPPROTO.UDP
            ? 'udp'
            : 'icmp';
  return domain === AF.INET6 ? `${base}6` : base;
}

function line(connection: LwipConnection, position: number): string {
  const { family, state, local, localPort, remote, remotePort, inode, unsent } = socketRecord(connection);
  const tcp = connection.type === SOCK.STREAM;
  const v4 = family === AF.INET;
  const tail = tcp ? `1 ${'0'.repeat(16)} 100 0 0 10 0` : `2 ${'0'.repeat(16)} 0`;
  const text =
    `${String(position).padStart(tcp || !v4 ? 4 : 5)}: ` +
    `${address(local, localPort)} ${address(remote, remotePort)} ` +
    `${hex(state, 2)} ${hex(unsent, 8)}:${hex(0, 8)} 00:00000000 00000000 ${String(0).padStart(5)}        0 ${inode} ${tail}`;
  return `${v4 ? text.padEnd(WIDTH[tcp ? 'tcp' : 'other']) : text}\n`;
}

/** /proc/net/NAME, for tcp, udp, udplite, raw and icmp of both families. */
export function procNetSockets(name: string, connections: readonly LwipConnection[]): string {
  const shown = connections.filter((connection) => fileOf(connection) === name);
  // The kernel lists listeners first.
  shown.sort((a, b) => Number(b.state === TCP_LISTEN) - Number(a.state === TCP_LISTEN));
  const tcp = name.startsWith('tcp');
  const v6 = name.endsWith('6');
  const title = TITLES[`${tcp ? 'tcp' : 'other'}${v6 ? '6' : ''}`];
  const heading = v6 ? title : title.padEnd(WIDTH[tcp ? 'tcp' : 'other']);
  return `${heading}\n${shown.map(line).join('')}`;
}

/** /proc/net/sockstat and sockstat6. */
export function sockstat(v6: boolean, connections: readonly LwipConnection[]): string {
  const suffix = v6 ? '6' : '';
  const count = (name: string): number =>
    connections.filter((connection) => fileOf(connection) === name + suffix).length;
  const waiting = connections.filter(({ state }) => state === TCP_TIME_WAIT).length;
  const alloc = connections.filter(({ type }) => type === SOCK.STREAM).length - waiting;
  const more = v6 ? ['', ''] : [` orphan 0 tw ${waiting} alloc ${alloc} mem 0`, ' mem 0'];
  const frag = v6 ? 'FRAG6: inuse 0 memory 0' : 'FRAG: inuse 0 memory 0';
  const head = v6 ? [] : [`sockets: used ${connections.length}`];
  return [
    ...head,
    `TCP${suffix}: inuse ${count('tcp')}${more[0]}`,
    `UDP${suffix}: inuse ${count('udp')}${more[1]}`,
    `UDPLITE${suffix}: inuse ${count('udplite')}`,
    `RAW${suffix}: inuse ${count('raw')}`,
    frag,
    '',
  ].join('\n');
}

/** /proc/net/snmp, of which ss(8) reads how many connections there are; what the stack does not count is 0. */
export function snmp(connections: readonly LwipConnection[]): string {
  const established = connections.filter(
    ({ type, state }) => type === SOCK.STREAM && (state === TCP_ESTABLISHED || state === TCP_CLOSE_WAIT),
  ).length;
  const tcp = [1, 200, 120000, -1, 0, 0, 0, 0, established, 0, 0, 0, 0, 0, 0];
  return (
    'Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs ' +
    `OutSegs RetransSegs InErrs OutRsts InCsumErrors\nTcp: ${tcp.join(' ')}\n` +
    'Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n' +
    'Udp: 0 0 0 0 0 0 0 0 0\n'
  );
}
