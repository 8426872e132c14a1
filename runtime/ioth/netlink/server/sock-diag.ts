/** NETLINK_SOCK_DIAG (sock_diag(7)): the sockets of a stack, as ss(8) asks for them. */
import { Errno } from '../../../errno.ts';
import { type NetlinkMessage, viewOf } from '../wire.ts';
import { AttributeList, headerOf } from './attributes.ts';
import { FAMILY, NLMSG_FLAG } from './constants.ts';
import type { Dump } from './dump.ts';
import type { Protocol } from './protocol.ts';

/** A socket of a stack that has an address. */
export interface SocketRecord {
  /** AF_INET or AF_INET6; addresses are of that family. */
  family: number;
  protocol: number;
  raw: boolean;
  /** TCP_ESTABLISHED, … of netinet/tcp.h. */
  state: number;
  local: Uint8Array;
  localPort: number;
  remote: Uint8Array;
  remotePort: number;
  inode: number;
  uid: number;
  /** Bytes that were not acknowledged. */
  unsent: number;
  /** Whether a socket of IPv6 takes no IPv4. */
  v6only: boolean;
}

const SOCK_DIAG_BY_FAMILY = 20;
/** struct inet_diag_req_v2 and struct inet_diag_msg; where struct inet_diag_sockid is in them. */
const REQUEST = { SIZE: 56, PROTOCOL: 1, STATES: 4, ID: 8 } as const;
const ANSWER = { SIZE: 72, STATE: 1, ID: 4, WRITE_QUEUE: 60, UID: 64, INODE: 68 } as const;
/** In struct inet_diag_sockid. */
const ID = { SOURCE_PORT: 0, DESTINATION_PORT: 2, SOURCE: 4, DESTINATION: 20, COOKIE: 40 } as const;
const INET_DIAG_SHUTDOWN = 8;
const INET_DIAG_SKV6ONLY = 11;
const IPPROTO_RAW = 255;

function encode(socket: SocketRecord): Uint8Array {
  const { family, state, localPort, remotePort, local, remote, inode, uid, unsent, v6only } = socket;
  const bytes = new Uint8Array(ANSWER.SIZE);
  const view = viewOf(bytes);
  bytes[0] = family;
  bytes[ANSWER.STATE] = state;
  view.setUint16(ANSWER.ID + ID.SOURCE_PORT, localPort);
  view.setUint16(ANSWER.ID + ID.DESTINATION_PORT, remotePort);
  bytes.set(local, ANSWER.ID + ID.SOURCE);
  bytes.set(remote, ANSWER.ID + ID.DESTINATION);
  view.setUint32(ANSWER.ID + ID.COOKIE, inode, true);
  view.setUint32(ANSWER.WRITE_QUEUE, unsent, true);
  view.setUint32(ANSWER.UID, uid, true);
  view.setUint32(ANSWER.INODE, inode, true);
  return new AttributeList()
    .byte(INET_DIAG_SHUTDOWN, 0)
    .byte(INET_DIAG_SKV6ONLY, family === FAMILY.INET6 ? Number(v6only) : undefined)
    .serialize(bytes);
}

/** What a request asks for; raw sockets of any protocol are asked for by IPPROTO_RAW. */
function wanted(payload: Uint8Array): (socket: SocketRecord) => boolean {
  const view = headerOf(payload, REQUEST.SIZE);
  const family = payload[0];
  const protocol = payload[REQUEST.PROTOCOL];
  const states = view.getUint32(REQUEST.STATES, true);
  return (socket) =>
    socket.family === family &&
    (socket.raw ? protocol === IPPROTO_RAW : socket.protocol === protocol) &&
    (states & (1 << socket.state)) !== 0;
}

/** The one socket with the ports and addresses of the request; ENOENT. */
function findOne(payload: Uint8Array, sockets: readonly SocketRecord[]): SocketRecord {
  const view = headerOf(payload, REQUEST.SIZE);
  const port = (at: number): number => view.getUint16(REQUEST.ID + at);
  const has = (at: number, address: Uint8Array): boolean =>
    address.every((byte, i) => payload[REQUEST.ID + at + i] === byte);
  const found = sockets.find(
    (socket) =>
      socket.family === payload[0] &&
      socket.protocol === payload[REQUEST.PROTOCOL] &&
      socket.localPort === port(ID.SOURCE_PORT) &&
      socket.remotePort === port(ID.DESTINATION_PORT) &&
      has(ID.SOURCE, socket.local) &&
      has(ID.DESTINATION, socket.remote),
  );
  if (!found) throw new Errno('ENOENT');
  return found;
}

/** The protocol for the sockets that `list` gives. Other families than the Internet's have none. */
export const sockDiag = (list: () => readonly SocketRecord[]): Protocol => ({
  onlyReads: (type) => type === SOCK_DIAG_BY_FAMILY,
  isDump: ({ type, flags }) => type === SOCK_DIAG_BY_FAMILY && (flags & NLMSG_FLAG.DUMP) !== 0,
  startDump({ payload }: NetlinkMessage): Dump {
    const inet = payload[0] === FAMILY.INET || payload[0] === FAMILY.INET6;
    const found = inet ? list().filter(wanted(payload)) : [];
    return { type: SOCK_DIAG_BY_FAMILY, payloads: found.map(encode).values(), filtered: false };
  },
  serve({ type, payload }) {
    if (type !== SOCK_DIAG_BY_FAMILY) throw new Errno('EINVAL');
    return { type, payload: encode(findOne(payload, list())) };
  },
});
