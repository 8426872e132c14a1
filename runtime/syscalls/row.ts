/** The form of the rows of the system-call table (table/*.ts), and the words that they are written in. */

/** Kinds of arguments, and how the trace shows them. */
export const ARG_KINDS = {
  fd: 'a descriptor',
  dirfd: 'a descriptor of a directory, or AT_FDCWD',
  path: 'a path in the caller’s view',
  string: 'another text that ends with NUL',
  argv: 'a vector of texts that ends with NULL',
  buffer: 'bytes that the kernel reads; the next argument is their number',
  out: 'memory that the kernel fills',
  ptr: 'memory of another form',
  size: 'a number of bytes or entries',
  offset: 'a position in a file',
  int: 'an int',
  uint: 'an unsigned int',
  long: 'a long',
  hex: 'flags or a mask without names here, in hexadecimal',
  id: 'the number of an object, of a kind that another argument says',
  pid: 'a process or thread',
  uid: 'a user, or -1',
  gid: 'a group, or -1',
  signal: 'a signal',
  mode: 'permission bits, in octal',
  dev: 'a device number',
  open_flags: 'O_…, open(2)',
  open_how: 'struct open_how, openat2(2)',
  at_flags: 'AT_…',
  access_mode: 'F_OK or a set of R_OK, W_OK, X_OK',
  statx_mask: 'STATX_…, statx(2)',
  rename_flags: 'RENAME_…, rename(2)',
  xattr_flags: 'XATTR_…, setxattr(2)',
  inotify_mask: 'IN_…, inotify(7)',
  mount_flags: 'MS_…, mount(2)',
  umount_flags: 'MNT_…, umount(2)',
  ioctl: 'a request of ioctl(2)',
  domain: 'AF_…, socket(2)',
  sock_type: 'SOCK_…, socket(2)',
  sock_flags: 'SOCK_CLOEXEC, SOCK_NONBLOCK',
  protocol: 'a protocol of the domain and type before it',
  sock_level: 'SOL_… or a protocol, setsockopt(2)',
  sock_option: 'an option of the level before it',
  optval: 'value of a socket option; the next argument is its length',
  sockaddr: 'struct sockaddr; the next argument is its length',
  socklen: 'length of a socket address or option',
  msghdr: 'struct msghdr, sendmsg(2)',
  msg_flags: 'MSG_…, send(2)',
  shut_how: 'SHUT_…, shutdown(2)',
  prctl: 'PR_…, prctl(2)',
  vu_operation: 'VU_…, guests/include/vu.h',
} as const;

export type ArgKind = keyof typeof ARG_KINDS;

/**
 * Classes of system calls as in strace(1), for `--trace=CLASS`. `file` and `desc` follow from the kinds of
 * the arguments, so rows name them only where the calls make a descriptor or name a file in another way.
 */
export const SYSCALL_CLASSES = [
  'file',
  'desc',
  'network',
  'process',
  'signal',
  'memory',
  'ipc',
  'creds',
  'clock',
  'vu',
] as const;

export type SyscallClass = (typeof SYSCALL_CLASSES)[number];

/** Groups of handlers: what a trapped call is about. */
export type Family = 'path' | 'exec' | 'mount' | 'socket' | 'ioctl' | 'process' | 'vu';

/** A test on an argument that the filter makes, so that the other uses of a call stay with the kernel. */
export type ArgTest =
  /** the low 32 bits, unsigned as the kernel's int arguments are here, lie (`inside`) or do not lie in `ranges` */
  | { kind: 'range'; arg: number; inside: boolean; ranges: readonly (readonly [number, number])[] }
  /** the argument, all 64 bits of it, is not zero */
  | { kind: 'notNull'; arg: number };

type Span = number | readonly [number, number];
const spans = (values: readonly Span[]) =>
  values.map((value) => (typeof value === 'number' ? ([value, value] as const) : value));

/** Trap when the int argument `arg` is one of `values` (numbers or inclusive ranges). */
export const argIn = (arg: number, ...values: Span[]): ArgTest => ({
  kind: 'range',
  arg,
  inside: true,
  ranges: spans(values),
});
/** Trap when the int argument `arg` is none of `values` (numbers or inclusive ranges). */
export const argNotIn = (arg: number, ...values: Span[]): ArgTest => ({
  kind: 'range',
  arg,
  inside: false,
  ranges: spans(values),
});
/** Trap when the pointer argument `arg` is not NULL. */
export const argNotNull = (arg: number): ArgTest => ({ kind: 'notNull', arg });

/** Columns that most rows do not need. */
export interface RowDetails {
  /** The filter traps the call only where all of these hold. */
  readonly only?: readonly ArgTest[];
  /** Classes beside those that follow from the file of the table and the kinds of the arguments. */
  readonly classes?: readonly SyscallClass[];
  /** A remark for docs/syscalls.md. */
  readonly note?: string;
}

/**
 * One system call: its name, its number on x86-64 and on arm64 (null where the architecture does not have
 * it), the kinds of its arguments ({@link ARG_KINDS}, one word each), and who answers it: a family of handlers
 * when a module asks for it, always the kernel (`pass`, the default), or the filter, with ENOSYS (`enosys`).
 */
export type Row = readonly [
  name: string,
  x64: number | null,
  arm64: number | null,
  args: string,
  by?: Family | 'pass' | 'enosys',
  details?: RowDetails,
];
