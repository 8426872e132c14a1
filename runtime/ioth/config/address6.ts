/** IPv6 addresses that autoconfiguration gives to an interface: what they may be, and when they may be used. */
import { Errno } from '../../errno.ts';
import { NetlinkClient } from '../netlink/index.ts';
import { IFA_F_DADFAILED, IFA_F_TENTATIVE } from '../netlink/route.ts';
import { AF } from '../stack.ts';
import { pause } from '../time.ts';
import type { Interface } from './source.ts';

/** How often the state of an address is looked at, in ms. */
const LOOK = 25;

/** Whether a host may be given this address: neither multicast, loopback, unspecified, mapped nor link-local. */
export function isGlobalUnicast(address: Uint8Array): boolean {
  const linkLocal = address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
  const reserved = address.subarray(0, 8).every((byte) => byte === 0);
  return address.length === 16 && address[0] !== 0xff && !linkLocal && !reserved;
}

export const isLinkLocal = (address: Uint8Array): boolean =>
  address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;

/** Flags of the address of the interface for which `wanted` holds; undefined when there is none. */
function flagsOf({ stack, index }: Interface, wanted: (address: Uint8Array) => boolean): number | undefined {
  const all = NetlinkClient.with(stack, (client) => client.addresses());
  const found = all.find(
    (each) =>
      each.index === index && each.family === AF.INET6 && each.address !== undefined && wanted(each.address),
  );
  return found?.flags;
}

/**
 * Waits for the end of duplicate address detection (RFC 4862 §5.4) of an address of the interface: 'ours', 'taken' by
 * somebody else, or 'missing' when it is not there at all.
 */
export async function settled(
  link: Interface,
  wanted: (address: Uint8Array) => boolean,
  signal?: AbortSignal,
): Promise<'ours' | 'taken' | 'missing'> {
  for (const end = performance.now() + link.timing.duplicates; ;) {
    const flags = flagsOf(link, wanted);
    if (flags !== undefined && (flags & IFA_F_DADFAILED) !== 0) return 'taken';
    if (flags !== undefined && (flags & IFA_F_TENTATIVE) === 0) return 'ours';
    if (performance.now() > end) return flags === undefined ? 'missing' : 'ours';
    await pause(LOOK, signal);
  }
}

/**
 * Gives the interface an address and waits until it may be used; false when somebody else has it. It is taken back where
 * `signal` ends the wait.
 */
export async function addGlobal(
  link: Interface,
  address: Uint8Array,
  prefixLength: number,
  times: { valid: number; preferred: number },
  signal?: AbortSignal,
): Promise<boolean> {
  const ip = { family: AF.INET6, bytes: address };
  NetlinkClient.with(link.stack, (client) =>
    client.addAddress(link.index, ip, prefixLength, { ...times, replace: true, detect: true }),
  );
  try {
    const state = await settled(link, (each) => Buffer.compare(each, address) === 0, signal);
    if (state !== 'taken') return true;
  } catch (error) {
    removeAddress(link, address, prefixLength);
    throw error;
  }
  removeAddress(link, address, prefixLength);
  return false;
}

export function removeAddress({ stack, index }: Interface, bytes: Uint8Array, prefixLength: number): void {
  try {
    NetlinkClient.with(stack, (client) =>
      client.delAddress(index, { family: AF.INET6, bytes }, prefixLength),
    );
  } catch (error) {
    // It may have expired, or the stack may be gone.
    if (!(error instanceof Errno)) throw error;
  }
}
