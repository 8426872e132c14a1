/** The frames of answers: acknowledgements with their extensions (netlink(7)), and the end of a dump. */
import { type NetlinkMessage, NLMSG, serializeMessage, viewOf } from '../wire.ts';
import { AttributeList, words } from './attributes.ts';
import { NLMSGERR_ATTR_MSG, NLMSG_FLAG } from './constants.ts';

/** What a socket asked for by setsockopt(2). */
export interface AckOptions {
  /** NETLINK_CAP_ACK: errors do not repeat the payload of the request. */
  capped: boolean;
  /** NETLINK_EXT_ACK: errors carry a text. */
  extended: boolean;
}

/** Bytes of the error's text with its NUL, at most (the kernel's are far shorter). */
const TEXT_LIMIT = 256;

function textAttribute(text: string | undefined): AttributeList {
  return new AttributeList().text(NLMSGERR_ATTR_MSG, text?.slice(0, TEXT_LIMIT - 1));
}

/** NLMSG_ERROR about `request`; `errno` is positive, 0 acknowledges. */
export function acknowledge(
  request: NetlinkMessage,
  errno: number,
  text: string | undefined,
  { capped, extended }: AckOptions,
): NetlinkMessage {
  const short = capped || errno === 0;
  const whole = serializeMessage(request);
  const header = words(-errno >>> 0);
  const body = Buffer.concat([header, short ? whole.subarray(0, 16) : whole]);
  const attributes = textAttribute(extended ? text : undefined);
  return {
    type: NLMSG.ERROR,
    flags: (short ? NLMSG_FLAG.CAPPED : 0) | (attributes.items.length > 0 ? NLMSG_FLAG.ACK_TLVS : 0),
    seq: request.seq,
    pid: request.pid,
    payload: attributes.serialize(body),
  };
}

/** The payload of NLMSG_DONE with `errno` (0: all of the dump was sent), and the flags that say what is in it. */
export function endOfDump(errno: number, text?: string): { flags: number; payload: Uint8Array } {
  const attributes = textAttribute(text);
  const flags = attributes.items.length > 0 ? NLMSG_FLAG.ACK_TLVS : 0;
  return { flags, payload: attributes.serialize(words(-errno >>> 0)) };
}

/**
 * The messages of a datagram that a client sent. As the kernel does, stops without a word at a length that cannot
 * be: what was in front of it is served. Payloads are views into `bytes`.
 */
export function* requestsIn(bytes: Uint8Array): Generator<NetlinkMessage> {
  const view = viewOf(bytes);
  for (let at = 0; at + 16 <= bytes.length;) {
    const length = view.getUint32(at, true);
    if (length < 16 || length > bytes.length - at) return;
    yield {
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      seq: view.getUint32(at + 8, true),
      pid: view.getUint32(at + 12, true),
      payload: bytes.subarray(at + 16, at + length),
    };
    at += (length + 3) & ~3;
  }
}
