/** What goes with a datagram besides its bytes: struct Meta of native/src/lwip/markers.h, and control messages. */
import { Errno } from '../../errno.ts';
import { LWIP_META_SIZE, native } from '../../native.ts';
import { SOL_NETLINK } from '../netlink/server/constants.ts';
import { AF } from '../stack.ts';
import { peerOf } from './netlink.ts';
import { lwip, type EmulatedSocket } from './socket.ts';

const SYS_CLOCK_GETTIME = 228;

/** A control message. */
export interface Control {
  level: number;
  type: number;
  data: Buffer;
}

const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const SOL_SOCKET = 1;
const SOL_PACKET = 263;
const PACKET_AUXDATA = 8;
const NETLINK_PKTINFO = 3;
/** Offset of nl_groups in struct sockaddr_nl. */
const NL_GROUPS = 8;
const CLOCK_REALTIME = 0;
const AT = { peer: 0, local: 28, interface: 44, peerSize: 48, localSize: 49, ttl: 50, tos: 51 } as const;

export const newMeta = (): Buffer => Buffer.alloc(LWIP_META_SIZE);
/** The sender of a message, as a sockaddr; empty where it was not told. */
export const senderIn = (meta: Buffer): Buffer => meta.subarray(AT.peer, meta[AT.peerSize]);

/** IP_TTL and IPV6_HOPLIMIT. */
const isHops = (level: number, type: number): boolean =>
  (level === IPPROTO_IP && type === 2) || (level === IPPROTO_IPV6 && type === 52);
/** IP_TOS and IPV6_TCLASS. */
const isClass = (level: number, type: number): boolean =>
  (level === IPPROTO_IP && type === 1) || (level === IPPROTO_IPV6 && type === 67);

/** A number of one byte in a control message; -1 is 0, which stands for what the socket has. */
function numberOf(data: Buffer, least: number): number {
  const value = data.length === 4 ? data.readInt32LE(0) : NaN;
  if (value === -1) return 0;
  if (!(value >= least && value <= 255)) throw new Errno('EINVAL');
  return value;
}

/** The Meta for a message to `name` (which may be absent) with control messages; null where there is nothing to say. */
export function metaFor(name: Uint8Array | undefined, controls: readonly Control[]): Buffer | null {
  if (!name && controls.length === 0) return null;
  const meta = newMeta();
  if (name) {
    meta.set(name.subarray(0, 28), AT.peer);
    meta[AT.peerSize] = Math.min(name.length, 28);
  }
  for (const { level, type, data } of controls) {
    if (level === IPPROTO_IP && type === 8 && data.length >= 12) {
      // struct in_pktinfo
      meta.writeInt32LE(data.readInt32LE(0), AT.interface);
      data.copy(meta, AT.local, 4, 8);
      meta[AT.localSize] = 4;
    } else if (level === IPPROTO_IPV6 && type === 50 && data.length >= 20) {
      // struct in6_pktinfo
      data.copy(meta, AT.local, 0, 16);
      meta[AT.localSize] = 16;
      meta.writeInt32LE(data.readInt32LE(16), AT.interface);
    } else if (isHops(level, type)) {
      meta[AT.ttl] = numberOf(data, level === IPPROTO_IP ? 1 : 0);
    } else if (isClass(level, type)) {
      meta[AT.tos] = data.length === 1 ? data[0]! : numberOf(data, 0);
    }
  }
  return meta;
}

/** Whether an option of the socket is set. */
function isOn({ id }: EmulatedSocket, level: number, name: number): boolean {
  const value = new Uint8Array(4);
  return lwip().getOption(id, level, name, value) > 0 && value.some((byte) => byte !== 0);
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/** Time and struct tpacket_auxdata (packet(7)) of `captured` bytes of a frame. */
function packetControls(socket: EmulatedSocket, meta: Buffer, captured: number): Control[] {
  const list = timestamps(socket);
  if (meta[AT.localSize] === 0 || !isOn(socket, SOL_PACKET, PACKET_AUXDATA)) return list;
  const data = Buffer.alloc(20);
  meta.copy(data, 0, AT.local, AT.local + 8);
  data.writeUInt32LE(captured, 8);
  meta.copy(data, 14, AT.local + 8, AT.local + 10);
  list.push({ level: SOL_PACKET, type: PACKET_AUXDATA, data });
  return list;
}

/** What SO_TIMESTAMP or SO_TIMESTAMPNS asks for. */
function timestamps(socket: EmulatedSocket): Control[] {
  if (isOn(socket, SOL_SOCKET, 29)) return [{ level: SOL_SOCKET, type: 29, data: timestamp(1_000_000) }];
  if (isOn(socket, SOL_SOCKET, 35)) return [{ level: SOL_SOCKET, type: 35, data: timestamp(1_000_000_000) }];
  return [];
}

/** The multicast group of a message, where that was asked for (netlink(7)). */
function netlinkControls(socket: EmulatedSocket, meta: Buffer): Control[] {
  if (
    !peerOf(socket)
      ?.getOption(NETLINK_PKTINFO)
      .some((byte) => byte !== 0)
  )
    return [];
  const sender = senderIn(meta);
  const groups = sender.length > NL_GROUPS ? sender.readUInt32LE(NL_GROUPS) : 0;
  return [
    { level: SOL_NETLINK, type: NETLINK_PKTINFO, data: int(groups === 0 ? 0 : 32 - Math.clz32(groups)) },
  ];
}

/** The control messages that the socket's options ask for. */
export function controlsOf(socket: EmulatedSocket, meta: Buffer, captured: number): Control[] {
  if (socket.domain === AF.NETLINK) return netlinkControls(socket, meta);
  if (socket.domain === AF.PACKET) return packetControls(socket, meta, captured);
  const list = timestamps(socket);
  const index = meta.readInt32LE(AT.interface);
  const local = meta.subarray(AT.local, AT.local + meta[AT.localSize]!);
  if (local.length === 4) {
    if (isOn(socket, IPPROTO_IP, 8)) {
      list.push({ level: IPPROTO_IP, type: 8, data: Buffer.concat([int(index), local, local]) });
    }
    if (isOn(socket, IPPROTO_IP, 12)) list.push({ level: IPPROTO_IP, type: 2, data: int(meta[AT.ttl]!) });
    if (isOn(socket, IPPROTO_IP, 13))
      list.push({ level: IPPROTO_IP, type: 1, data: Buffer.from([meta[AT.tos]!]) });
  }
  if (socket.domain === AF.INET6 && local.length > 0) {
    if (isOn(socket, IPPROTO_IPV6, 49)) {
      const address =
        local.length === 16 ? local : Buffer.concat([Buffer.alloc(10), Buffer.from([255, 255]), local]);
      list.push({ level: IPPROTO_IPV6, type: 50, data: Buffer.concat([address, int(index)]) });
    }
    if (isOn(socket, IPPROTO_IPV6, 51))
      list.push({ level: IPPROTO_IPV6, type: 52, data: int(meta[AT.ttl]!) });
    if (isOn(socket, IPPROTO_IPV6, 66))
      list.push({ level: IPPROTO_IPV6, type: 67, data: int(meta[AT.tos]!) });
  }
  return list;
}

/** The time of day as two 64-bit words, with `unit` parts of a second. */
function timestamp(unit: number): Buffer {
  const now = Buffer.alloc(16);
  native().syscall(SYS_CLOCK_GETTIME, CLOCK_REALTIME, now);
  now.writeBigInt64LE((now.readBigInt64LE(8) * BigInt(unit)) / 1_000_000_000n, 8);
  return now;
}
