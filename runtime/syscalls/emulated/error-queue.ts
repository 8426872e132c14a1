/** recvmsg(2) with MSG_ERRQUEUE: what ICMP errors say of datagrams that were sent (IP_RECVERR in ip(7)). */
import { Errno } from '../../errno.ts';
import { AF } from '../../ioth/stack.ts';
import type { Call } from '../../vm/call.ts';
import { scatter, sizeOf, writeControl, writeMessageHeader, type MessageHeader } from './message.ts';
import { LEVEL } from '../../ioth/lwip/option-spec.ts';
import { pendingError } from '../../ioth/lwip/options.ts';
import { isStream, lwip, type EmulatedSocket } from './socket.ts';

const MSG_CTRUNC = 8;
const MSG_TRUNC = 0x20;
const MSG_ERRQUEUE = 0x2000;
const IP_RECVERR = 11;
const IPV6_RECVERR = 25;
/** sizeof(struct sock_extended_err). */
const ERROR_SIZE = 16;
/** Of an address with its length (NativeLwip.takeQueued). */
const ADDRESS_SIZE = 129;
const LONGEST = 4096;

const addressAt = (record: Buffer, at: number): Buffer => record.subarray(at + 1, at + 1 + record[at]!);

export function receiveError(call: Call, socket: EmulatedSocket, header: MessageHeader): number {
  const record = Buffer.alloc(LONGEST);
  const length = isStream(socket) ? 0 : lwip().takeQueued(socket.id, record);
  if (length <= 0) throw new Errno('EAGAIN');
  // Where another one waits, the stack has shown that again: then there is no error to be taken here.
  const another = lwip().takeQueued(socket.id, new Uint8Array(0)) >= 0;
  if (!another) pendingError(socket);
  const offender = addressAt(record, ERROR_SIZE);
  const destination = addressAt(record, ERROR_SIZE + ADDRESS_SIZE);
  const sent = record.subarray(ERROR_SIZE + 2 * ADDRESS_SIZE, length);
  const bytes = sent.subarray(0, sizeOf(header));
  scatter(call, header, bytes);
  if (header.name !== 0 && header.nameLength > 0)
    call.write(header.name, destination.subarray(0, header.nameLength));
  const [level, type] = socket.domain === AF.INET6 ? [LEVEL.IPV6, IPV6_RECVERR] : [LEVEL.IP, IP_RECVERR];
  const data = Buffer.concat([record.subarray(0, ERROR_SIZE), offender]);
  const control = writeControl(call, header, [{ level, type, data }]);
  const flags = MSG_ERRQUEUE | (bytes.length < sent.length ? MSG_TRUNC : 0) | (control.cut ? MSG_CTRUNC : 0);
  writeMessageHeader(call, header, header.name === 0 ? 0 : destination.length, control.used, flags);
  return bytes.length;
}
