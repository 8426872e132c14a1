/** Arguments of calls on sockets, for the trace. */
import * as C from './constants.ts';
import { bytesAt, hex32, MOST_ELEMENTS, unsigned64, WORD, type CallView, type Decoder } from './decode.ts';
import { flags, nameOf, sockaddr } from './show.ts';

/** Longest socket address: struct sockaddr_storage. */
const MOST_ADDRESS = 128;

const { SOCK_NONBLOCK, SOCK_CLOEXEC, ...SOCK_TYPES } = C.SOCK;
export const SOCK_FLAGS = { SOCK_NONBLOCK, SOCK_CLOEXEC };

export const socketType: Decoder = (call, index) => {
  const value = call.int(index);
  const type = nameOf(SOCK_TYPES, value & C.SOCK_TYPE_MASK);
  const rest = value & ~C.SOCK_TYPE_MASK;
  return rest === 0 ? type : `${type}|${flags(SOCK_FLAGS, rest)}`;
};

export const protocol: Decoder = (call, index) => {
  const [domain, value] = [call.int(index - 2), call.int(index)];
  if (domain === C.AF.AF_INET || domain === C.AF.AF_INET6) return nameOf(C.IPPROTO, value);
  if (domain === C.AF.AF_NETLINK) return nameOf(C.NETLINK, value);
  if (domain !== C.AF.AF_PACKET) return String(value);
  return `htons(${nameOf(C.ETH_P, ((value & 0xff) << 8) | ((value >> 8) & 0xff), hex32)})`;
};

export const socketOption: Decoder = (call, index) => {
  const level = call.int(index - 1);
  if (level === C.SOL.SOL_SOCKET) return nameOf(C.SO, call.int(index));
  return level === C.SOL.SOL_TCP ? nameOf(C.TCP, call.int(index)) : String(call.int(index));
};

export const optionValue: Decoder = (call, index) => {
  if (call.int(index + 1) !== 4 || call.arg(index) === 0)
    return bytesAt(call, call.arg(index), call.int(index + 1));
  return `[${call.read(call.arg(index), 4).readInt32LE(0)}]`;
};

export function addressAt(call: CallView, address: number, length: number): string {
  if (address === 0) return 'NULL';
  if (length < 2) throw new RangeError('no family');
  return sockaddr(call.read(address, Math.min(length, MOST_ADDRESS)));
}

function vectors(call: CallView, address: number, count: number): string {
  const shown = Math.min(count, MOST_ELEMENTS);
  const entries = call.read(address, 2 * WORD * shown);
  const texts = Array.from({ length: shown }, (_, index) => {
    const [base, length] = [
      unsigned64(entries, 2 * WORD * index),
      unsigned64(entries, 2 * WORD * index + WORD),
    ];
    return `{iov_base=${bytesAt(call, base, length)}, iov_len=${length}}`;
  });
  return `[${[...texts, ...(count > shown ? ['...'] : [])].join(', ')}]`;
}

/** struct msghdr of a 64-bit program. */
export const messageHeader: Decoder = (call, index) => {
  const header = call.read(call.arg(index), 7 * WORD);
  const [name, nameLength] = [unsigned64(header, 0), header.readUInt32LE(WORD)];
  const [iov, count] = [unsigned64(header, 2 * WORD), unsigned64(header, 3 * WORD)];
  return [
    `{msg_name=${addressAt(call, name, nameLength)}`,
    `msg_namelen=${nameLength}`,
    `msg_iov=${vectors(call, iov, count)}`,
    `msg_iovlen=${count}`,
    `msg_controllen=${unsigned64(header, 5 * WORD)}`,
    `msg_flags=${flags(C.MSG, header.readUInt32LE(6 * WORD))}}`,
  ].join(', ');
};
