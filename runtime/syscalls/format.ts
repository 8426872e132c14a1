/**
 * Lines of the trace (`--trace`): a trapped call in the style of strace(1), decoded by the kinds of its
 * arguments, and how it was answered. Calls are shown as they came: what the kernel or the view will fill is
 * shown as an address.
 */
import { errnoName } from '../errno.ts';
import * as C from './constants.ts';
import * as D from './decode.ts';
import type { CallView, Decoder } from './decode.ts';
import * as S from './decode-socket.ts';
import { Injection, PASS } from './outcome.ts';
import { flags, nameOf, quote, SHOWN } from './show.ts';
import { strerror } from './strerror.ts';
import type { ArgKind } from './row.ts';

export type { CallView };

/** Flags of open(2): the way of access is a number of two bits, and 0 has a name. */
function openFlags(value: number): string {
  const { O_RDONLY, O_WRONLY, O_RDWR, ...more } = C.O;
  const access = nameOf({ O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE: C.O_ACCMODE }, value & C.O_ACCMODE);
  const rest = value & ~C.O_ACCMODE;
  return rest === 0 ? access : `${access}|${flags(more, rest)}`;
}

const creates = (value: number): boolean =>
  (value & C.O.O_CREAT) !== 0 || (value & C.O.O_TMPFILE) === C.O.O_TMPFILE;

/** Permission bits, and the type of the file where there is one (mknod(2)). */
const mode: Decoder = (call, index) => {
  if (call.spec.args[index - 1] === 'open_flags' && !creates(call.int(index - 1))) return undefined;
  const value = call.int(index) & 0xffff;
  const type = value & C.S_IFMT;
  return `${type ? `${nameOf(C.S_IF, type, D.octal)}|` : ''}${D.octal(value & ~C.S_IFMT)}`;
};

/** struct open_how: three 64-bit words. */
const openHow: Decoder = (call, index) => {
  const how = call.read(call.arg(index), 3 * D.WORD);
  const openBits = how.readInt32LE(0);
  const modeText = creates(openBits) ? `, mode=${D.octal(how.readUInt32LE(D.WORD))}` : '';
  return `{flags=${openFlags(openBits)}${modeText}, resolve=${flags(C.RESOLVE, how.readUInt32LE(2 * D.WORD))}}`;
};

const atFlags: Decoder = (call, index) => {
  if (call.spec.name === 'unlinkat') return flags({ AT_REMOVEDIR: C.AT_REMOVEDIR }, call.int(index));
  return flags(C.AT, call.int(index));
};

const mountFlags: Decoder = (call, index) => {
  const value = call.int(index);
  // Old programs put a magic number into the high half.
  const { MS_MGC_VAL, ...names } = C.MS;
  const magic = (value & 0xffff0000) >>> 0 === MS_MGC_VAL;
  if (!magic) return flags(names, value);
  return value & 0xffff ? `MS_MGC_VAL|${flags(names, value & 0xffff)}` : 'MS_MGC_VAL';
};

const device: Decoder = (call, index) => {
  const value = D.uint(call, index);
  const parts = [(value >>> 8) & 0xfff, (value & 0xff) | ((value >>> 12) & 0xfff00)];
  return `makedev(${parts.map((part) => (part === 0 ? '0' : D.hex32(part))).join(', ')})`;
};

/** The arguments of a program; its environment, the second vector, stays an address. */
const argumentVector: Decoder = (call, index) => {
  if (call.spec.args[index - 1] === 'argv' || call.arg(index) === 0) return D.pointer(call, index);
  const texts: string[] = [];
  for (let at = call.arg(index); texts.length < D.MOST_ELEMENTS; at += D.WORD) {
    const element = D.unsigned64(call.read(at, D.WORD), 0);
    if (element === 0) return `[${texts.join(', ')}]`;
    texts.push(quote(call.readString(element, 128 * 1024)));
  }
  return `[${texts.join(', ')}, ...]`;
};

const DECODERS: Readonly<Record<ArgKind, Decoder>> = {
  fd: D.signed,
  dirfd: D.named({ AT_FDCWD: C.AT_FDCWD }),
  path: D.text(4096),
  string: D.text(SHOWN),
  argv: argumentVector,
  buffer: (call, index) => D.bytesAt(call, call.arg(index), call.arg(index + 1)),
  out: D.pointer,
  ptr: D.pointer,
  size: (call, index) => BigInt(D.hex64(call, index)).toString(),
  offset: D.wide,
  int: D.signed,
  uint: D.unsigned,
  long: D.wide,
  hex: (call, index) => (call.arg(index) === 0 ? '0' : D.hex64(call, index)),
  id: D.signed,
  pid: D.signed,
  uid: D.owner,
  gid: D.owner,
  signal: D.named(C.SIG),
  mode,
  dev: device,
  open_flags: (call, index) => openFlags(call.int(index)),
  open_how: openHow,
  at_flags: atFlags,
  access_mode: D.flagged(C.ACCESS),
  statx_mask: D.flagged(C.STATX),
  rename_flags: D.flagged(C.RENAME),
  xattr_flags: D.flagged(C.XATTR),
  inotify_mask: D.flagged(C.IN),
  mount_flags: mountFlags,
  umount_flags: D.flagged(C.MNT),
  ioctl: (call, index) => nameOf(C.SIOC, D.uint(call, index), D.hex32),
  domain: D.named(C.AF),
  sock_type: S.socketType,
  sock_flags: D.flagged(S.SOCK_FLAGS),
  protocol: S.protocol,
  sock_level: D.named(C.SOL),
  sock_option: S.socketOption,
  optval: S.optionValue,
  sockaddr: (call, index) => S.addressAt(call, call.arg(index), D.uint(call, index + 1)),
  socklen: D.signed,
  msghdr: S.messageHeader,
  msg_flags: D.flagged(C.MSG),
  shut_how: D.named(C.SHUT),
  prctl: D.named(C.PR),
  vu_operation: D.named(C.VU),
};

/** Arguments of the operations of vuctl that take others than memory to fill (guests/include/vu.h). */
const VU_ARGS: Readonly<Record<number, readonly ArgKind[]>> = {
  [C.VU.VU_INFO]: ['out', 'size'],
  [C.VU.VU_INSMOD]: ['string', 'long'],
  [C.VU.VU_RMMOD]: ['string'],
  [C.VU.VU_LSMOD]: ['out', 'size'],
  [C.VU.VU_MSOCKET]: ['path', 'domain', 'sock_type', 'protocol'],
  [C.VU.VU_MOUNTS]: ['out', 'size'],
  [C.VU.VU_SETNAME]: ['string'],
  [C.VU.VU_NEWVIEW]: [],
  [C.VU.VU_ERROR]: ['out', 'size'],
  [C.VU.VU_HOSTNET]: ['domain'],
  [C.VU.VU_FAMILIES]: ['path', 'out', 'size'],
};

function kindsOf(call: CallView): readonly ArgKind[] {
  const more = call.spec.name === 'vuctl' ? VU_ARGS[call.int(0)] : undefined;
  return more ? ['vu_operation', ...more] : call.spec.args;
}

/** `name(arguments)`. Never throws: what cannot be read is shown as its address. */
export function formatCall(call: CallView): string {
  const texts = kindsOf(call).map((kind, index) => {
    try {
      return DECODERS[kind](call, index);
    } catch {
      return D.hex64(call, index);
    }
  });
  return `${call.spec.name}(${texts.filter((each) => each !== undefined).join(', ')})`;
}

/** Results that no guest sees: the kernel restarts the call. */
const RESTARTS: Readonly<Record<number, string>> = {
  512: 'ERESTARTSYS',
  513: 'ERESTARTNOINTR',
  514: 'ERESTARTNOHAND',
  516: 'ERESTART_RESTARTBLOCK',
};

/**
 * How a call was answered: `= 0`, `= 3 (injected)`, `= -1 ENOENT (No such file or directory)`. `result` is the
 * handler's answer, with a negated errno for what it threw; `injected` is the descriptor's number in the guest.
 */
export function formatOutcome(result: number | typeof PASS | Injection, injected?: number): string {
  if (result === PASS) return '= ? (passed to the kernel)';
  if (result instanceof Injection) return `= ${injected ?? '?'} (injected)`;
  if (result >= 0) return `= ${result}`;
  const restart = RESTARTS[-result];
  if (restart) return `= ? ${restart} (To be restarted)`;
  return `= -1 ${errnoName(-result)} (${strerror(-result)})`;
}
