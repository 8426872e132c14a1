/** Addresses made from names (IOTH-FACTS §5). */
import { createHash } from 'node:crypto';

/**
 * The Ethernet address of the host `name`: bytes 0, 1, 2, 5, 6 and 7 of the MD5 of the name without one
 * trailing dot, made local and unicast.
 */
export function hashMac(name: string): Uint8Array {
  const digest = createHash('md5').update(name.replace(/\.$/, '')).digest();
  const mac = Uint8Array.from([0, 1, 2, 5, 6, 7], (i) => digest.readUInt8(i));
  mac[0] = ((mac[0] ?? 0) | 2) & ~1;
  return mac;
}
