/** Addresses made from names: `hashaddr`, `otipaddr`, hash MAC and EUI-64 (IOTH-FACTS §5 and §6). */
import { createHash } from 'node:crypto';
import { Errno } from '../../errno.ts';
import { AF } from '../stack.ts';
import type { IpAddress } from '../netlink/address.ts';

/** What goes into a hash besides the name. */
export interface HashOptions {
  password?: string;
  /** Slot of a one-time address ({@link otipTime}); 0 leaves it out. */
  otipTime?: number;
}

/** Seconds that one-time addresses live, unless told otherwise. */
export const OTIP_PERIOD = 32;

/**
 * The slot of a one-time address: (`seconds` + `offset`) / `period`, 32 bits. `seconds` is UNIX time, now by default; a
 * period of 0 means no slots.
 */
export function otipTime(seconds = Math.floor(Date.now() / 1000), period = OTIP_PERIOD, offset = 0): number {
  return period === 0 ? 0 : Math.floor((seconds + offset) / period) % 2 ** 32;
}

/** MD5 of the UTF-8 bytes of the name without one trailing dot, the password and the slot. */
function digest(name: string, { password = '', otipTime: slot = 0 }: HashOptions): Buffer {
  // The originals read before the text of an empty name (IOTH-FACTS §5.1).
  if (name === '') throw new Errno('EINVAL', 'an empty name has no hash');
  const hash = createHash('md5').update(name.replace(/\.$/, '')).update(password);
  if (slot !== 0) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(slot >>> 0);
    hash.update(bytes);
  }
  return hash.digest();
}

function base16(base: IpAddress): Uint8Array {
  if (base.family !== AF.INET6) throw new Errno('EAFNOSUPPORT', 'the base of a hash address must be IPv6');
  return Uint8Array.from(base.bytes);
}

/**
 * The IPv6 address of `name` on `base`: the last eight bytes of the base are combined (XOR) with the first eight of the
 * MD5, then the group and universal bits are cleared. With a password and a slot it is a one-time address.
 */
export function hashAddress(base: IpAddress, name: string, options: HashOptions = {}): IpAddress {
  const bytes = base16(base);
  const hash = digest(name, options);
  for (let i = 0; i < 8; i++) bytes[8 + i]! ^= hash.readUInt8(i);
  bytes[8]! &= 0xfc;
  return { family: AF.INET6, bytes };
}

/** The Ethernet address of the host `name`: bytes 0, 1, 2, 5, 6, 7 of its MD5, made local and unicast. */
export function hashMac(name: string, password = ''): Uint8Array {
  const hash = digest(name, { password });
  const mac = Uint8Array.from([0, 1, 2, 5, 6, 7], (i) => hash.readUInt8(i));
  mac[0] = (mac[0]! | 2) & ~1;
  return mac;
}

/**
 * The address on `base` with the modified EUI-64 of an Ethernet address (RFC 4291 appendix A). Low bits of the base that
 * are not 0 are combined (XOR) with the last three bytes, as libioth does.
 */
export function eui64(base: IpAddress, mac: Uint8Array): IpAddress {
  const bytes = base16(base);
  bytes.set([mac[0]! ^ 2, mac[1]!, mac[2]!, 0xff, 0xfe], 8);
  for (let i = 3; i < 6; i++) bytes[10 + i]! ^= mac[i]!;
  return { family: AF.INET6, bytes };
}

/** {@link eui64} of {@link hashMac}. */
export const hashEui64 = (base: IpAddress, name: string, password = ''): IpAddress =>
  eui64(base, hashMac(name, password));
