/** Control messages of sendmsg(2) and recvmsg(2) (cmsg(3)). */
import { Errno } from '../../errno.ts';
import { viewOf } from '../netlink/wire.ts';

/** What travels beside the data: `IP_PKTINFO`, hop limits, timestamps, … */
export interface ControlMessage {
  level: number;
  type: number;
  data: Uint8Array;
}

/** struct cmsghdr: a length of 8 bytes, level and type. */
const HEADER = 16;
const align = (length: number): number => (length + 7) & ~7;

export function serializeControl(messages: readonly ControlMessage[]): Uint8Array {
  const bytes = new Uint8Array(messages.reduce((sum, { data }) => sum + align(HEADER + data.length), 0));
  const view = viewOf(bytes);
  let at = 0;
  for (const { level, type, data } of messages) {
    view.setBigUint64(at, BigInt(HEADER + data.length), true);
    view.setInt32(at + 8, level, true);
    view.setInt32(at + 12, type, true);
    bytes.set(data, at + HEADER);
    at += align(HEADER + data.length);
  }
  return bytes;
}

/** The inverse of {@link serializeControl}. */
export function parseControl(bytes: Uint8Array): ControlMessage[] {
  const view = viewOf(bytes);
  const messages: ControlMessage[] = [];
  for (let at = 0; at + HEADER <= bytes.length;) {
    const length = Number(view.getBigUint64(at, true));
    if (length < HEADER || at + length > bytes.length)
      throw new Errno('EINVAL', 'a malformed control message');
    messages.push({
      level: view.getInt32(at + 8, true),
      type: view.getInt32(at + 12, true),
      data: bytes.slice(at + HEADER, at + length),
    });
    at += align(length);
  }
  return messages;
}
