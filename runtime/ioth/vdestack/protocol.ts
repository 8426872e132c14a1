/**
 * The other half of native/broker/protocol.h: what the runtime and the broker say to each other on a
 * SOCK_SEQPACKET socket. All words are 32-bit little endian.
 */
import { viewOf } from '../netlink/wire.ts';

/** The version that the broker answers PING with. */
export const PROTOCOL_VERSION = 1;

/** Requests; their operands are described in protocol.h. */
export const OP = {
  PING: 1,
  ADD_STACK: 2,
  ADD_INTERFACE: 3,
  SOCKET: 4,
  SYSFS: 5,
  DEL_STACK: 6,
  OWN_PATH: 7,
  DISOWN_PATH: 8,
} as const;

/** What carries the frames of an interface. */
export const CARRIER = { ANY: 0, TAP: 1, VETH: 2 } as const;

/** The most sockets that one request may ask for. */
export const MAX_FDS = 128;
/** The longest reply: its header and a reason. */
export const MAX_REPLY = 12 + 512;

/** A request; operands that are left out are 0. `text` is a byte string. */
export interface BrokerRequest {
  stack?: number;
  a?: number;
  b?: number;
  c?: number;
  count?: number;
  text?: string;
}

/** A reply without its descriptors: a value, or a negated errno with a reason for people. */
export interface BrokerReply {
  result: number;
  /** How many descriptors came along. */
  fds: number;
  reason: string;
}

export function serializeRequest(op: number, request: BrokerRequest): Uint8Array {
  const text = Buffer.from(request.text ?? '', 'latin1');
  const bytes = new Uint8Array(28 + text.length);
  const view = viewOf(bytes);
  const { stack = 0, a = 0, b = 0, c = 0, count = 0 } = request;
  [op, stack, a, b, c, count, text.length].forEach((word, i) => view.setUint32(4 * i, word, true));
  bytes.set(text, 28);
  return bytes;
}

/** Undefined when `bytes` is no reply. */
export function parseReply(bytes: Uint8Array): BrokerReply | undefined {
  if (bytes.length < 12) return undefined;
  const view = viewOf(bytes);
  const length = view.getUint32(8, true);
  if (bytes.length !== 12 + length) return undefined;
  return {
    result: view.getInt32(0, true),
    fds: view.getUint32(4, true),
    reason: Buffer.from(bytes.subarray(12)).toString('latin1'),
  };
}
