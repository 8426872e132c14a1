/**
 * Numbers of the Linux system-call interface by their names, as the headers have them (x86-64 and, save for
 * four O_… flags, arm64). The trace reads them backwards.
 */
import { constants } from 'node:os';
import { runningArch } from './table.ts';

/** Names and their numbers. */
export type Names = Readonly<Record<string, number>>;

/** Address families of socket(2); linux/socket.h. */
export const AF = {
  AF_UNSPEC: 0,
  AF_UNIX: 1,
  AF_INET: 2,
  AF_AX25: 3,
  AF_IPX: 4,
  AF_APPLETALK: 5,
  AF_X25: 9,
  AF_INET6: 10,
  AF_KEY: 15,
  AF_NETLINK: 16,
  AF_PACKET: 17,
  AF_RDS: 21,
  AF_PPPOX: 24,
  AF_LLC: 26,
  AF_CAN: 29,
  AF_TIPC: 30,
  AF_BLUETOOTH: 31,
  AF_ALG: 38,
  AF_NFC: 39,
  AF_VSOCK: 40,
  AF_KCM: 41,
  AF_QIPCRTR: 42,
  AF_SMC: 43,
  AF_XDP: 44,
  AF_MCTP: 45,
} as const satisfies Names;

/** Socket types, and the flags that are added to them. */
export const SOCK = {
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_RDM: 4,
  SOCK_SEQPACKET: 5,
  SOCK_DCCP: 6,
  SOCK_PACKET: 10,
  SOCK_NONBLOCK: 0o4000,
  SOCK_CLOEXEC: 0o2000000,
} as const satisfies Names;
/** The bits of a type that are not flags. */
export const SOCK_TYPE_MASK = 0xf;

/** IP protocols; linux/in.h. */
export const IPPROTO = {
  IPPROTO_IP: 0,
  IPPROTO_ICMP: 1,
  IPPROTO_IGMP: 2,
  IPPROTO_TCP: 6,
  IPPROTO_UDP: 17,
  IPPROTO_DCCP: 33,
  IPPROTO_IPV6: 41,
  IPPROTO_GRE: 47,
  IPPROTO_ESP: 50,
  IPPROTO_AH: 51,
  IPPROTO_ICMPV6: 58,
  IPPROTO_SCTP: 132,
  IPPROTO_UDPLITE: 136,
  IPPROTO_RAW: 255,
  IPPROTO_MPTCP: 262,
} as const satisfies Names;

/** Protocols of AF_NETLINK; linux/netlink.h. */
export const NETLINK = {
  NETLINK_ROUTE: 0,
  NETLINK_USERSOCK: 2,
  NETLINK_SOCK_DIAG: 4,
  NETLINK_XFRM: 6,
  NETLINK_SELINUX: 7,
  NETLINK_AUDIT: 9,
  NETLINK_CONNECTOR: 11,
  NETLINK_NETFILTER: 12,
  NETLINK_KOBJECT_UEVENT: 15,
  NETLINK_GENERIC: 16,
  NETLINK_CRYPTO: 21,
} as const satisfies Names;

/** Protocols of AF_PACKET, in the byte order of the host; linux/if_ether.h. */
export const ETH_P = {
  ETH_P_ALL: 0x0003,
  ETH_P_IP: 0x0800,
  ETH_P_ARP: 0x0806,
  ETH_P_8021Q: 0x8100,
  ETH_P_IPV6: 0x86dd,
  ETH_P_LLDP: 0x88cc,
} as const satisfies Names;

/** Levels of socket options that are no IP protocols. */
export const SOL = {
  SOL_SOCKET: 1,
  SOL_PACKET: 263,
  SOL_NETLINK: 270,
  SOL_TCP: 6,
  SOL_UDP: 17,
  SOL_IP: 0,
  SOL_IPV6: 41,
  SOL_RAW: 255,
  SOL_ICMPV6: 58,
} as const satisfies Names;

/** Options of SOL_SOCKET; asm-generic/socket.h. */
export const SO = {
  SO_DEBUG: 1,
  SO_REUSEADDR: 2,
  SO_TYPE: 3,
  SO_ERROR: 4,
  SO_DONTROUTE: 5,
  SO_BROADCAST: 6,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_KEEPALIVE: 9,
  SO_OOBINLINE: 10,
  SO_PRIORITY: 12,
  SO_LINGER: 13,
  SO_REUSEPORT: 15,
  SO_PASSCRED: 16,
  SO_PEERCRED: 17,
  SO_RCVLOWAT: 18,
  SO_RCVTIMEO: 20,
  SO_SNDTIMEO: 21,
  SO_BINDTODEVICE: 25,
  SO_ATTACH_FILTER: 26,
  SO_DETACH_FILTER: 27,
  SO_TIMESTAMP: 29,
  SO_ACCEPTCONN: 30,
  SO_PEERSEC: 31,
  SO_SNDBUFFORCE: 32,
  SO_RCVBUFFORCE: 33,
  SO_PASSSEC: 34,
  SO_TIMESTAMPNS: 35,
  SO_MARK: 36,
  SO_TIMESTAMPING: 37,
  SO_PROTOCOL: 38,
  SO_DOMAIN: 39,
  SO_BUSY_POLL: 46,
  SO_INCOMING_CPU: 49,
  SO_ATTACH_BPF: 50,
  SO_COOKIE: 57,
  SO_PEERGROUPS: 59,
  SO_ZEROCOPY: 60,
  SO_BINDTOIFINDEX: 62,
} as const satisfies Names;

/** Options of TCP; linux/tcp.h. */
export const TCP = {
  TCP_NODELAY: 1,
  TCP_MAXSEG: 2,
  TCP_CORK: 3,
  TCP_KEEPIDLE: 4,
  TCP_KEEPINTVL: 5,
  TCP_KEEPCNT: 6,
  TCP_SYNCNT: 7,
  TCP_DEFER_ACCEPT: 9,
  TCP_INFO: 11,
  TCP_QUICKACK: 12,
  TCP_CONGESTION: 13,
  TCP_USER_TIMEOUT: 18,
  TCP_FASTOPEN: 23,
  TCP_FASTOPEN_CONNECT: 30,
  TCP_ULP: 31,
} as const satisfies Names;

/** Flags of send(2) and recv(2). */
export const MSG = {
  MSG_OOB: 0x1,
  MSG_PEEK: 0x2,
  MSG_DONTROUTE: 0x4,
  MSG_CTRUNC: 0x8,
  MSG_TRUNC: 0x20,
  MSG_DONTWAIT: 0x40,
  MSG_EOR: 0x80,
  MSG_WAITALL: 0x100,
  MSG_CONFIRM: 0x800,
  MSG_ERRQUEUE: 0x2000,
  MSG_NOSIGNAL: 0x4000,
  MSG_MORE: 0x8000,
  MSG_WAITFORONE: 0x10000,
  MSG_ZEROCOPY: 0x4000000,
  MSG_FASTOPEN: 0x20000000,
  MSG_CMSG_CLOEXEC: 0x40000000,
} as const satisfies Names;

export const SHUT = { SHUT_RD: 0, SHUT_WR: 1, SHUT_RDWR: 2 } as const satisfies Names;

/** Flags of open(2). arm64 has four of them elsewhere (asm/fcntl.h). */
export const O = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_NOCTTY: 0o400,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  O_SYNC: 0o4010000,
  O_DSYNC: 0o10000,
  O_ASYNC: 0o20000,
  O_NOATIME: 0o1000000,
  O_CLOEXEC: 0o2000000,
  O_PATH: 0o10000000,
  // With the bit of O_DIRECTORY.
  O_TMPFILE: 0o20000000 | (runningArch === 'arm64' ? 0o40000 : 0o200000),
  ...(runningArch === 'arm64'
    ? { O_DIRECT: 0o200000, O_LARGEFILE: 0o400000, O_DIRECTORY: 0o40000, O_NOFOLLOW: 0o100000 }
    : { O_DIRECT: 0o40000, O_LARGEFILE: 0o100000, O_DIRECTORY: 0o200000, O_NOFOLLOW: 0o400000 }),
} as const satisfies Names;
/** The bits of open flags that say how the file is used: O_RDONLY, O_WRONLY or O_RDWR. */
export const O_ACCMODE = 3;

/** Flags of openat2(2). */
export const RESOLVE = {
  RESOLVE_NO_XDEV: 0x01,
  RESOLVE_NO_MAGICLINKS: 0x02,
  RESOLVE_NO_SYMLINKS: 0x04,
  RESOLVE_BENEATH: 0x08,
  RESOLVE_IN_ROOT: 0x10,
  RESOLVE_CACHED: 0x20,
} as const satisfies Names;

/** In the place of a directory's descriptor: the working directory. */
export const AT_FDCWD = -100;

/** Flags of the …at() calls. Some bits mean something else in one call: see {@link AT_REMOVEDIR}. */
export const AT = {
  AT_SYMLINK_NOFOLLOW: 0x100,
  AT_EACCESS: 0x200,
  AT_SYMLINK_FOLLOW: 0x400,
  AT_NO_AUTOMOUNT: 0x800,
  AT_EMPTY_PATH: 0x1000,
  AT_STATX_FORCE_SYNC: 0x2000,
  AT_STATX_DONT_SYNC: 0x4000,
  AT_RECURSIVE: 0x8000,
} as const satisfies Names;
/** unlinkat(2) has this in the bit of AT_EACCESS. */
export const AT_REMOVEDIR = 0x200;

export const ACCESS = { F_OK: 0, R_OK: 4, W_OK: 2, X_OK: 1 } as const satisfies Names;

export const RENAME = {
  RENAME_NOREPLACE: 1,
  RENAME_EXCHANGE: 2,
  RENAME_WHITEOUT: 4,
} as const satisfies Names;

export const XATTR = { XATTR_CREATE: 1, XATTR_REPLACE: 2 } as const satisfies Names;

/** Types of files in st_mode; S_IFSTACK is that of a stack's name (IoTh). */
export const S_IF = {
  S_IFSOCK: 0o140000,
  S_IFLNK: 0o120000,
  S_IFREG: 0o100000,
  S_IFBLK: 0o060000,
  S_IFDIR: 0o040000,
  S_IFCHR: 0o020000,
  S_IFIFO: 0o010000,
  S_IFSTACK: 0o160000,
} as const satisfies Names;
/** The bits of st_mode that are the type. */
export const S_IFMT = 0o170000;

/** What statx(2) is asked for. */
export const STATX = {
  STATX_ALL: 0xfff,
  STATX_BASIC_STATS: 0x7ff,
  STATX_TYPE: 0x1,
  STATX_MODE: 0x2,
  STATX_NLINK: 0x4,
  STATX_UID: 0x8,
  STATX_GID: 0x10,
  STATX_ATIME: 0x20,
  STATX_MTIME: 0x40,
  STATX_CTIME: 0x80,
  STATX_INO: 0x100,
  STATX_SIZE: 0x200,
  STATX_BLOCKS: 0x400,
  STATX_BTIME: 0x800,
  STATX_MNT_ID: 0x1000,
  STATX_DIOALIGN: 0x2000,
  STATX_MNT_ID_UNIQUE: 0x4000,
  STATX_SUBVOL: 0x8000,
} as const satisfies Names;

/** Flags of mount(2). */
export const MS = {
  MS_RDONLY: 0x1,
  MS_NOSUID: 0x2,
  MS_NODEV: 0x4,
  MS_NOEXEC: 0x8,
  MS_SYNCHRONOUS: 0x10,
  MS_REMOUNT: 0x20,
  MS_MANDLOCK: 0x40,
  MS_DIRSYNC: 0x80,
  MS_NOSYMFOLLOW: 0x100,
  MS_NOATIME: 0x400,
  MS_NODIRATIME: 0x800,
  MS_BIND: 0x1000,
  MS_MOVE: 0x2000,
  MS_REC: 0x4000,
  MS_SILENT: 0x8000,
  MS_UNBINDABLE: 0x20000,
  MS_PRIVATE: 0x40000,
  MS_SLAVE: 0x80000,
  MS_SHARED: 0x100000,
  MS_RELATIME: 0x200000,
  MS_STRICTATIME: 0x1000000,
  MS_LAZYTIME: 0x2000000,
  MS_MGC_VAL: 0xc0ed0000,
} as const satisfies Names;

/** Flags of umount2(2). */
export const MNT = {
  MNT_FORCE: 1,
  MNT_DETACH: 2,
  MNT_EXPIRE: 4,
  UMOUNT_NOFOLLOW: 8,
} as const satisfies Names;

/** Events and flags of inotify(7). */
export const IN = {
  IN_ALL_EVENTS: 0xfff,
  IN_ACCESS: 0x1,
  IN_MODIFY: 0x2,
  IN_ATTRIB: 0x4,
  IN_CLOSE_WRITE: 0x8,
  IN_CLOSE_NOWRITE: 0x10,
  IN_OPEN: 0x20,
  IN_MOVED_FROM: 0x40,
  IN_MOVED_TO: 0x80,
  IN_CREATE: 0x100,
  IN_DELETE: 0x200,
  IN_DELETE_SELF: 0x400,
  IN_MOVE_SELF: 0x800,
  IN_ONLYDIR: 0x1000000,
  IN_DONT_FOLLOW: 0x2000000,
  IN_EXCL_UNLINK: 0x4000000,
  IN_MASK_CREATE: 0x10000000,
  IN_MASK_ADD: 0x20000000,
  IN_ISDIR: 0x40000000,
  IN_ONESHOT: 0x80000000,
} as const satisfies Names;

/** Requests of netdevice(7); linux/sockios.h. */
export const SIOC = {
  SIOCADDRT: 0x890b,
  SIOCDELRT: 0x890c,
  SIOCGIFNAME: 0x8910,
  SIOCSIFLINK: 0x8911,
  SIOCGIFCONF: 0x8912,
  SIOCGIFFLAGS: 0x8913,
  SIOCSIFFLAGS: 0x8914,
  SIOCGIFADDR: 0x8915,
  SIOCSIFADDR: 0x8916,
  SIOCGIFDSTADDR: 0x8917,
  SIOCSIFDSTADDR: 0x8918,
  SIOCGIFBRDADDR: 0x8919,
  SIOCSIFBRDADDR: 0x891a,
  SIOCGIFNETMASK: 0x891b,
  SIOCSIFNETMASK: 0x891c,
  SIOCGIFMETRIC: 0x891d,
  SIOCSIFMETRIC: 0x891e,
  SIOCGIFMTU: 0x8921,
  SIOCSIFMTU: 0x8922,
  SIOCSIFNAME: 0x8923,
  SIOCSIFHWADDR: 0x8924,
  SIOCGIFHWADDR: 0x8927,
  SIOCADDMULTI: 0x8931,
  SIOCDELMULTI: 0x8932,
  SIOCGIFINDEX: 0x8933,
  SIOCDIFADDR: 0x8936,
  SIOCGIFCOUNT: 0x8938,
  SIOCGIFTXQLEN: 0x8942,
  SIOCSIFTXQLEN: 0x8943,
  SIOCETHTOOL: 0x8946,
  SIOCGMIIPHY: 0x8947,
  SIOCGMIIREG: 0x8948,
  SIOCDARP: 0x8953,
  SIOCGARP: 0x8954,
  SIOCSARP: 0x8955,
  SIOCGIFMAP: 0x8970,
  SIOCSIFMAP: 0x8971,
  SIOCGIFVLAN: 0x8982,
  SIOCBRADDBR: 0x89a0,
  SIOCBRDELBR: 0x89a1,
  SIOCBRADDIF: 0x89a2,
  SIOCBRDELIF: 0x89a3,
} as const satisfies Names;

/** Operations of prctl(2) that meet a filter or a supervisor. */
export const PR = {
  PR_SET_PDEATHSIG: 1,
  PR_GET_DUMPABLE: 3,
  PR_SET_DUMPABLE: 4,
  PR_SET_NAME: 15,
  PR_GET_NAME: 16,
  PR_SET_SECCOMP: 22,
  PR_SET_CHILD_SUBREAPER: 36,
  PR_SET_NO_NEW_PRIVS: 38,
} as const satisfies Names;

/** Operations of the supervisor's own call; guests/include/vu.h. */
export const VU = {
  VU_INFO: 0,
  VU_INSMOD: 1,
  VU_RMMOD: 2,
  VU_LSMOD: 3,
  VU_MSOCKET: 4,
  VU_MOUNTS: 5,
  VU_SETNAME: 6,
  VU_NEWVIEW: 7,
  VU_ERROR: 8,
  VU_HOSTNET: 9,
  VU_FAMILIES: 10,
} as const satisfies Names;

/** Signals by name. */
export const SIG: Names = constants.signals;
