/** Text of IPv4, IPv6 and Ethernet addresses, and the bytes that it stands for. */
import { isIPv4, isIPv6 } from 'node:net';
import { AF } from '../stack.ts';

/** An IP address: AF_INET with 4 bytes or AF_INET6 with 16. */
export interface IpAddress {
  family: typeof AF.INET | typeof AF.INET6;
  bytes: Uint8Array;
}

const ipv4Bytes = (text: string): number[] => text.split('.').map(Number);

/** The bytes of one side of `::`: groups of 16 bits, of which the last may be a dotted quad (RFC 4291 §2.2). */
function groupBytes(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return ipv4Bytes(group);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** Reads an address of either family; undefined when `text` is none. A zone (`%eth0`) is not accepted. */
export function parseIp(text: string): IpAddress | undefined {
  if (isIPv4(text)) return { family: AF.INET, bytes: Uint8Array.from(ipv4Bytes(text)) };
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const [head = '', tail] = text.split('::');
  const first = groupBytes(head);
  const bytes = new Uint8Array(16);
  bytes.set(first);
  if (tail !== undefined) {
    const last = groupBytes(tail);
    bytes.set(last, 16 - last.length);
  }
  return { family: AF.INET6, bytes };
}

/** The longest run of at least two zero groups, as [start, end); [-1, -1] where there is none. */
function longestZeros(groups: number[]): [number, number] {
  let best: [number, number] = [-1, -1];
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > Math.max(1, best[1] - best[0])) best = [start, end];
    start = Math.max(start, end);
  }
  return best;
}

/** The usual text of an address (RFC 5952); IPv4 in IPv6 with dots. */
export function formatIp({ family, bytes }: IpAddress): string {
  if (family === AF.INET) return [...bytes].join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  // As inet_ntop(3).
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff)
    return `::ffff:${bytes.subarray(12, 16).join('.')}`;
  const text = (part: number[]): string => part.map((g) => g.toString(16)).join(':');
  const [start, end] = longestZeros(groups);
  return start < 0 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(end))}`;
}

/** Six bytes in hexadecimal with `:` or `-` between them; undefined when `text` is something else. */
export function parseMac(text: string): Uint8Array | undefined {
  const parts = /^[0-9a-f]{1,2}([:-])[0-9a-f]{1,2}(?:\1[0-9a-f]{1,2}){4}$/i.test(text) && text.split(/[:-]/);
  return parts ? Uint8Array.from(parts, (part) => Number.parseInt(part, 16)) : undefined;
}

/** `xx:xx:xx:xx:xx:xx`, lower case. */
export const formatMac = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
