/** Socket addresses in guest memory. */
import { Errno } from '../../errno.ts';
import type { Call } from '../../vm/call.ts';

/** sizeof(struct sockaddr_storage). */
const LONGEST = 128;

/** The sockaddr at `pointer`; EINVAL for a length that cannot be. */
export function readAddress(call: Call, pointer: number, length: number): Buffer {
  if (length < 0 || length > LONGEST) throw new Errno('EINVAL');
  return call.read(pointer, length);
}

/** Gives `address` to the guest as accept(2) does: cut to the room that it has, with its true length. */
export function writeAddress(call: Call, pointer: number, lengthPointer: number, address: Uint8Array): void {
  if (pointer === 0) return;
  const room = call.read(lengthPointer, 4).readInt32LE(0);
  if (room < 0) throw new Errno('EINVAL');
  if (room > 0 && address.length > 0) call.write(pointer, address.subarray(0, room));
  const length = Buffer.alloc(4);
  length.writeInt32LE(address.length);
  call.write(lengthPointer, length);
}
