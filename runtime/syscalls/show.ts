/** How the trace writes numbers, flags, byte strings and socket addresses: as strace(1) does. */
import { AF, ETH_P, type Names } from './constants.ts';

/** Characters of a byte string that are shown; strace's -s has the same default. */
export const SHOWN = 32;

const hex = (value: number): string => `0x${value.toString(16)}`;

/** The name of `value`, or the number. */
export function nameOf(names: Names, value: number, otherwise: (value: number) => string = String): string {
  return Object.keys(names).find((name) => names[name] === value) ?? otherwise(value);
}

const bits = (value: number): number => (value === 0 ? 0 : 1 + bits((value & (value - 1)) >>> 0));

/** A set of flags (low 32 bits of `value`); unknown bits come last, in hexadecimal. */
export function flags(names: Names, value: number): string {
  let rest = value >>> 0;
  if (rest === 0) return Object.keys(names).find((name) => names[name] === 0) ?? '0';
  const known: string[] = [];
  // Names of several bits (O_SYNC, IN_ALL_EVENTS) go before the names of their bits.
  for (const [name, flag] of Object.entries(names).sort(([, a], [, b]) => bits(b) - bits(a))) {
    if (flag === 0 || (rest & flag) >>> 0 !== flag) continue;
    known.push(name);
    rest = (rest & ~flag) >>> 0;
  }
  if (rest !== 0) known.push(hex(rest));
  return known.join('|');
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\n': '\\n',
  '\t': '\\t',
  '\r': '\\r',
  '\v': '\\v',
  '\f': '\\f',
  '"': '\\"',
  '\\': '\\\\',
};

function escape(char: string, next: string | undefined): string {
  if (ESCAPES[char]) return ESCAPES[char];
  if (char >= ' ' && char <= '~') return char;
  // Three digits only where a shorter number would swallow the digit that follows.
  const width = next !== undefined && next >= '0' && next <= '7' ? 3 : 1;
  return `\\${char.charCodeAt(0).toString(8).padStart(width, '0')}`;
}

/** A byte string in quotes; what is longer than `max` is cut, and so is anything when `cut` is set. */
export function quote(text: string, max = SHOWN, cut = false): string {
  const shown = text.slice(0, max);
  const escaped = Array.from(shown, (char, index) => escape(char, shown[index + 1])).join('');
  return `"${escaped}"${cut || text.length > max ? '...' : ''}`;
}

/** An IPv6 address as RFC 5952 writes it: the longest run of two or more zero groups is `::`. */
export function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${[...bytes.subarray(12, 16)].join('.')}`;
  }
  let [start, length] = [-1, 1];
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && groups[to] === 0) to++;
    if (to - from > length) [start, length] = [from, to - from];
  }
  const text = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  return start < 0 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/** Path of an AF_UNIX address; an abstract one has `@` before its quotes. */
function unixPath(path: Buffer): string {
  if (path.length === 0) return '';
  if (path[0] === 0) return `, sun_path=@${quote(path.subarray(1).toString('latin1'), path.length)}`;
  const end = path.indexOf(0);
  return `, sun_path=${quote(path.subarray(0, end < 0 ? path.length : end).toString('latin1'), path.length)}`;
}

const swap16 = (value: number): number => ((value & 0xff) << 8) | (value >> 8);

/** The members of a packet address; struct sockaddr_ll, packet(7). */
function packet(b: Buffer): string {
  const protocol = nameOf(ETH_P, swap16(b.readUInt16LE(2)), hex);
  const address = [...b.subarray(12, 12 + Math.min(b[11]!, 8))].map((byte) =>
    byte.toString(16).padStart(2, '0'),
  );
  return (
    `, sll_protocol=htons(${protocol}), sll_ifindex=${b.readInt32LE(4)}, sll_hatype=${b.readUInt16LE(8)}` +
    `, sll_pkttype=${b[10]}, sll_halen=${b[11]}, sll_addr=[${address.join(':')}]`
  );
}

/** For each family, the bytes an address needs at least, and its members after sa_family. */
const ADDRESSES: Readonly<Record<number, readonly [number, (b: Buffer) => string]>> = {
  [AF.AF_UNIX]: [2, (b) => unixPath(b.subarray(2))],
  [AF.AF_INET]: [
    8,
    (b) => `, sin_port=htons(${b.readUInt16BE(2)}), sin_addr=inet_addr("${[...b.subarray(4, 8)].join('.')}")`,
  ],
  [AF.AF_INET6]: [
    24,
    (b) =>
      `, sin6_port=htons(${b.readUInt16BE(2)}), sin6_flowinfo=htonl(${b.readUInt32BE(4)})` +
      `, inet_pton(AF_INET6, "${ipv6(b.subarray(8, 24))}", &sin6_addr)` +
      `, sin6_scope_id=${b.length >= 28 ? b.readUInt32LE(24) : 0}`,
  ],
  [AF.AF_NETLINK]: [
    12,
    (b) => `, nl_pid=${b.readUInt32LE(4)}, nl_groups=${b.readUInt32LE(8).toString(16).padStart(8, '0')}`,
  ],
  [AF.AF_PACKET]: [12, packet],
};

/** A struct sockaddr of at least two bytes: `{sa_family=AF_INET, …}`. */
export function sockaddr(bytes: Buffer): string {
  const family = bytes.readUInt16LE(0);
  const [least, members] = ADDRESSES[family] ?? [Infinity, () => ''];
  const rest =
    bytes.length >= least ? members(bytes) : `, sa_data=${quote(bytes.subarray(2).toString('latin1'), 126)}`;
  return `{sa_family=${nameOf(AF, family)}${rest}}`;
}
