/**
 * The only door to the C++ addon (native/src). Everything the runtime needs from the kernel that Node does
 * not offer passes through here; policy stays in TypeScript.
 *
 * Conventions: a result below zero is a negated errno; text that names a file is a *byte string*, one
 * character (U+0000 to U+00FF) per byte, because Linux paths are bytes and not UTF-8.
 */
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NativeLwip, NativeLwipStack } from './ioth/lwip/addon.ts';

export * from './ioth/lwip/addon.ts';

/** What a {@link Listener} callback returns instead of a value: let the kernel do the call. */
export const NATIVE_PASS = -65536;
/** What a {@link Listener} callback returns when it has sent the answer through the listener. */
export const NATIVE_ANSWERED = -65537;
/** What a {@link Listener} callback returns when the answer will be sent later. */
export const NATIVE_PENDING = -65538;

/** Words of the shared slot that describes the notification being handled (all 32-bit, little endian). */
export const SLOT = { idLo: 0, idHi: 1, tid: 2, nr: 3, arch: 4, flags: 5, args: 6, words: 18 } as const;

/** seccomp user notifications of one guest tree; see seccomp_unotify(2). */
export interface Listener {
  /** The descriptor; -1 when closed. */
  readonly fd: number;
  /** Answers with a value, or with an errno when `value` is negative. 0, or -ENOENT when the caller is gone. */
  sendValue(id: bigint, value: number): number;
  /** Lets the kernel execute the call (SECCOMP_USER_NOTIF_FLAG_CONTINUE). */
  sendContinue(id: bigint): number;
  /**
   * Puts a copy of `fd` into the caller and answers with its number there, atomically
   * (SECCOMP_ADDFD_FLAG_SEND). `cloexec` sets FD_CLOEXEC on it. The number, or a negated errno.
   */
  inject(id: bigint, fd: number, cloexec: boolean): number;
  /** Puts a copy of `fd` into the caller without answering. The number, or a negated errno. */
  addFd(id: bigint, fd: number, cloexec: boolean): number;
  /** False when the caller was killed or its call was interrupted (SECCOMP_IOCTL_NOTIF_ID_VALID). */
  alive(id: bigint): boolean;
  /** Stops listening and closes the descriptor; calls that are still waiting fail with ENOSYS. */
  close(): void;
}

/** Tells of the end of processes (pidfd_open(2)) without timers. */
export interface ProcessWatcher {
  /** Watches process `pid` (a thread group leader). Its pidfd, owned by the watcher, or a negated errno. */
  add(pid: number): number;
  /** Forgets `pid` and closes its pidfd. */
  remove(pid: number): void;
  /** Reports at once the ends that have happened but were not reported yet. */
  flush(): void;
  close(): void;
}

/** How a parked call ended; see {@link ParkingLot}. */
export type ParkingEnd =
  /** it could not be parked: its notification still waits for an answer */
  | 'refused'
  /** a signal came: the caller gets EINTR, or repeats the call as a new one */
  | 'interrupted'
  /** the caller has ended */
  | 'gone'
  /** the caller was let go as {@link ParkingLot.settle} said */
  | 'settled';

/**
 * Holds guest threads whose calls block, so that signals reach them (native/src/parked_call.h). Open until
 * closed; does not keep the process alive.
 */
export interface ParkingLot {
  /**
   * Parks the caller of notification `id` of the listener with descriptor `listenerFd`, from now on in another
   * thread. A ticket, or a negated errno.
   */
  park(listenerFd: number, id: bigint, tid: number): number;
  /**
   * The call has a result: the caller returns with `value` (a negated errno is an error), or without it repeats
   * the call, which then is a new notification with the same arguments. Says who delivers the result:
   * 'notification' when the old one still waits for an answer, 'taken' when the lot does, 'late' when nobody
   * can any more, which `onEnd` says soon. At most once for a ticket.
   */
  settle(ticket: number, value?: number): 'notification' | 'taken' | 'late';
  /** True while the caller is held and waits: its thread id is then its own, its memory can be used. */
  holds(ticket: number): boolean;
  /** Makes all callers repeat their calls, and waits until they do. */
  close(): void;
}

/** Takes the requests of a FUSE file system of one file, and answers those that need no device. */
export interface FuseFront {
  /** Bytes of the file, and FOPEN_* flags for those that are opened from now on. */
  set(size: number, openFlags: number): void;
  /** To be called before the descriptor is closed. */
  close(): void;
}

/** A system call that a guest makes in the place of a trapped one; see native/src/rewritten_call.h. */
export interface Substitute {
  readonly nr: number;
  /** The six arguments. */
  readonly args: BigUint64Array;
  /** A descriptor of ours of which the guest has a copy (close-on-exec) as long as the call takes; -1: none. */
  readonly fd: number;
  /** Index of the argument that takes the number of the copy; -1: none. */
  readonly fdArg: number;
  /**
   * Where the substitute is an execve of umvu-exec: the program that it goes on with (a byte string, or a
   * descriptor of ours), and the arguments (byte strings) that it gets in the place of argv[0].
   */
  readonly program?: { readonly path: string | number; readonly argv: readonly string[] } | undefined;
}

/** How a rewriting ended; see {@link Rewriter}. */
export type RewriteEnd =
  /** the caller cannot be traced, as one that has a tracer already: its notification still waits for an answer */
  | 'refused'
  /** the caller has ended */
  | 'gone'
  /** the caller goes on with the result of the substitute */
  | 'done';

/** Makes guests do other calls than those they wait in. Open until closed; does not keep the process alive. */
export interface Rewriter {
  /**
   * Lets thread `tid`, which waits in notification `id` of the listener with descriptor `listenerFd`, do
   * `substitute`. A ticket, or a negated errno. The descriptor is copied at once.
   */
  start(listenerFd: number, id: bigint, tid: number, substitute: Substitute): number;
  /** True when a notification of thread `tid` is about its substitute: it is to be let pass. */
  runs(tid: number): boolean;
  /** Ends the callers whose rewriting is under way, and waits for that. */
  close(): void;
}

/** How the frames of a {@link NativeNetwork} port travel. */
export type PortKind =
  /** a TAP character device */
  | 'tap'
  /** an AF_PACKET socket bound to the far end of a veth pair */
  | 'packet'
  /** an AF_UNIX datagram socket: one datagram is one frame (the VDE protocol) */
  | 'datagram'
  /** an AF_UNIX SOCK_SEQPACKET socket to another process of this VM, which the network waits for, but not for long */
  | 'process';

/** Counters of a port since it was added. */
export interface PortStats {
  rxFrames: number;
  rxBytes: number;
  txFrames: number;
  txBytes: number;
  dropped: number;
}

/** One Ethernet segment, switched by the pump thread of the addon. */
/** What the link of a network does to frames, as tc-netem(8). */
export interface LinkConditions {
  /** Microseconds that each frame takes. */
  delay: number;
  /** Microseconds that it may take more or less. */
  jitter: number;
  /** Probability that it is lost. */
  loss: number;
  /** Bits per second that all frames share; 0: any. */
  rate: number;
  /** Frames on their way; more are dropped. */
  limit: number;
}

export interface NativeNetwork {
  /**
   * Adds a port; the network owns `fd` (and `controlFd`, whose end of file removes the port) from then on.
   * `vnetHeader`: frames carry a struct virtio_net_hdr (10 bytes), so offloads may be left to the kernel.
   * The port's number, or a negated errno.
   */
  addPort(port: {
    kind: PortKind;
    fd: number;
    vnetHeader: boolean;
    controlFd?: number;
    /** Of the interface of a stack that the port is: a capture records these. */
    name?: string;
  }): number;
  /** Adds a port carried by libvdeplug (`plug` comes from openPlug). */
  addPlug(plug: NativePlug): number;
  removePort(port: number): void;
  /**
   * Serves the VDE control protocol in directory `path` (byte string), which must not exist yet.
   * 0, or a negated errno. `mode` is that of the control socket, `group` a group id or -1.
   */
  listen(path: string, mode: number, dirMode: number, group: number): number;
  stats(port: number): PortStats | undefined;
  /** Records the interfaces of stacks that join from now on; `description` tells of the network. */
  record(capture: NativeCapture, description: string): void;
  /** Removes all ports and the served directory. */
  close(): void;
}

/** A file in which frames of interfaces are recorded as pcapng. */
export interface NativeCapture {
  /** Writes the rest and closes the file. Idempotent. */
  close(): void;
}

/** An open connection of libvdeplug. */
export interface NativePlug {
  close(): void;
}

/** Bits of the last argument of {@link PathTable.resolve}. */
export const PATH_FLAGS = {
  /** a symbolic link at the end of the path is meant itself */
  noFollow: 1,
  /** the caller's root directory or mounts may differ from the supervisor's (slower) */
  ownRoot: 2,
} as const;

/** The claimed paths of a view, compiled; see native/src/path_resolver.h. */
export interface PathTable {
  /**
   * Whether a path that thread `tid` of process `pid` names is claimed. `path` is an address in the guest, or a
   * byte string; a relative one starts from `dirfd` of the guest (-100: its working directory). Undefined when
   * it is not, or when that cannot be told (the kernel then finds the errno). Otherwise the canonical path of
   * the first claimed place on the way and, after a NUL, how the path goes on from there (`/claimed\0/a/..`).
   */
  resolve(tid: number, pid: number, dirfd: number, path: number | string, flags: number): string | undefined;
}

/**
 * What the addon knows of a mounted tree, so that it can answer calls that look at files without asking JavaScript
 * (docs/design/paths.md). A tree that has one keeps it up to date.
 */
export interface TreeMirror {
  /** Copy on write: nothing of the lower layer is seen any more at and below `path` (relative, a byte string). */
  hide(path: string): void;
  /** Copy on write: `path` was hidden, and is not listed any more. */
  show(path: string): void;
  /** Copy on write: some files of the lower layer are shown as copies that have other names. */
  hasCopiedLinks(): void;
  /** Copy on write: something is about to be made in the upper layer, or has been. */
  changed(): void;
}

/** A real directory tree, as {@link TreeMirror} takes it. */
export interface MirroredLayer {
  readonly fd: number;
  readonly prefix: string;
  readonly source: string;
}

/** How the layers of a {@link TreeMirror} belong together; a `bind` has one. */
export const MIRROR = { bind: 0, cow: 1, merge: 2 } as const;

/**
 * Answers calls about paths before the callback of a {@link Listener} is called, for those threads that were
 * entered. It forgets all of them when the number in the array that it was made with changes.
 */
export interface PathFront {
  /**
   * `acts`: the supervisor may act for the thread as itself. Only for threads that have the supervisor's root
   * directory and mounts, and whose next call may be answered anew (no parked or rewritten one). `devices`: descriptors
   * of the thread may be those of devices.
   */
  enter(tid: number, pid: number, table: PathTable, acts: boolean, devices: boolean): void;
  /** Forgets all threads of a process. */
  leave(pid: number): void;
  /** What it has answered: system call number, calls, passed, failed, nanoseconds, and so on. */
  counts(): number[];
}

/** What a {@link Readiness} waits for and reports; a mask. */
export const READY = { READ: 1, WRITE: 2 } as const;

/** Tells on the event loop when a descriptor, which it does not own, is ready. Sets O_NONBLOCK on it. */
export interface Readiness {
  /** From now on `onReady` is called as long as any of `events` holds; 0 ends that. */
  want(events: number, keepsProcessAlive: boolean): void;
  /** Must be called before the descriptor is closed or handed on. Idempotent. */
  close(): void;
}

/** Everything the addon exports. */
export interface NativeAddon {
  /** Listens on `fd` (owned from then on); the slot is filled before each `onCall`. */
  Listener: new (
    fd: number,
    slot: Uint32Array,
    onCall: () => number,
    onEnd: () => void,
    front?: PathFront,
  ) => Listener;
  ProcessWatcher: new (onEnd: (pid: number) => void) => ProcessWatcher;
  /** `onEnd` is called once for each ticket, unless the lot is closed before. */
  ParkingLot: new (onEnd: (ticket: number, end: ParkingEnd) => void) => ParkingLot;
  /**
   * Serves `fd` (/dev/fuse, not blocking) in a thread. `onRequest` gets READ,
   * WRITE, FSYNC, POLL, INTERRUPT, which it answers by writing to `fd`, and OPEN (with the handle that was given) and
   * RELEASE, which are answered; null when the file system has ended.
   */
  FuseFront: new (fd: number, onRequest: (request: Buffer | null, handle: number) => void) => FuseFront;
  /** `onReady` gets the events that hold. An error or a hangup counts as all that are watched. */
  Readiness: new (fd: number, onReady: (events: number) => void) => Readiness;
  /** `onEnd` is called once for each ticket; `result` is that of the call, for 'done'. */
  Rewriter: new (onEnd: (ticket: number, end: RewriteEnd, result: number) => void) => Rewriter;
  /**
   * A component `*` of a prefix stands for any one name. `origins` are pairs: a directory as links of procfs name
   * it, and the path that the view has it at.
   */
  /** `trees`: targets of mounts and the mirrors of their trees, in turn. */
  PathTable: new (
    prefixes: readonly string[],
    origins?: readonly string[],
    trees?: readonly (string | TreeMirror)[],
  ) => PathTable;
  TreeMirror: new (kind: number, upper: MirroredLayer, lower?: MirroredLayer) => TreeMirror;
  PathFront: new (epoch: Uint32Array, measure: boolean) => PathFront;
  Network: new (
    kind: 'hub' | 'switch',
    options: { hashSize: number; expireSeconds: number; link?: LinkConditions },
    onPortGone: (port: number) => void,
  ) => NativeNetwork;
  /** Absent where the addon was built without lwIP, like {@link lwip}. */
  /** Takes `fd` over; `failed` is told the errno that ended the recording. */
  NetworkCapture: new (fd: number, failed: (errno: number) => void) => NativeCapture;
  /** `memory` limits what it may use, in bytes; 256 MiB otherwise. */
  LwipStack?: new (memory?: number) => NativeLwipStack;
  lwip?: NativeLwip;

  /**
   * A system call of the supervisor itself. Numbers are passed as they are, byte strings as pointers to
   * their NUL-terminated bytes, views as pointers to their memory, null as 0. The result or a negated errno.
   */
  syscall(nr: number, ...args: (number | bigint | string | Uint8Array | null)[]): number;
  /**
   * Fills `stat` (struct stat) for the object at `path` below directory `dirfd`, which no symbolic link is followed
   * to, at the end neither; "" is `dirfd` itself. 0, or a negated errno: -ELOOP where there is a link on the way.
   */
  look(dirfd: number, path: string, stat: Uint8Array): number;
  /** Opens `path` below directory `dirfd`, not through symbolic links (openat2(2)): a descriptor, or a negated errno. */
  openBeneath(dirfd: number, path: string, flags: number, mode: number): number;
  /** All entries of directory `fd`, "." and ".." too: name, d_type and inode of each in turn; or a negated errno. */
  readDirectory(fd: number): (string | number)[] | number;
  /** Reads guest memory (process_vm_readv(2)). The number of bytes read (may be short), or a negated errno. */
  readMemory(tid: number, address: number, into: Uint8Array): number;
  /** Writes guest memory (process_vm_writev(2)). The number of bytes written, or a negated errno. */
  writeMemory(tid: number, address: number, from: Uint8Array): number;
  /**
   * Reads a NUL-terminated byte string of at most `max` bytes (the NUL not counted). The string, or a negated
   * errno: -EFAULT, or -ENAMETOOLONG when no NUL is found.
   */
  readString(tid: number, address: number, max: number): string | number;
  /**
   * One request and its reply on a SOCK_SEQPACKET socket. Descriptors that come with the reply
   * (SCM_RIGHTS) are stored in `fds`, close-on-exec. The length of the reply, or a negated errno
   * (-ETIMEDOUT after `timeoutMs`, -EPIPE when the peer is gone). A copy of descriptor `lent` goes along where
   * that is given and not -1.
   */
  request(
    fd: number,
    request: Uint8Array,
    reply: Uint8Array,
    fds: Int32Array,
    timeoutMs: number,
    lent?: number,
  ): number;
  /** sendmsg(2) without waiting and without SIGPIPE. At most 64 pieces. The bytes sent, or a negated errno. */
  sendMessage(
    fd: number,
    pieces: Uint8Array | readonly Uint8Array[],
    flags: number,
    name: Uint8Array | null,
    control: Uint8Array | null,
  ): number;
  /**
   * recvmsg(2) without waiting. `lengths` receives the lengths of name and control and the flags of the message.
   * The bytes received, or a negated errno.
   */
  receiveMessage(
    fd: number,
    pieces: Uint8Array | readonly Uint8Array[],
    flags: number,
    name: Uint8Array | null,
    control: Uint8Array | null,
    lengths: Int32Array,
  ): number;
  /** A pair of AF_UNIX sockets (close-on-exec), or a negated errno. `type` as for socketpair(2). */
  socketPair(type: number): [number, number] | number;
  /**
   * Connects to a VDE switch directory: registers a data socket and returns its descriptor and that of the
   * control stream, or a negated errno. Runs on a worker thread.
   */
  openVde(
    path: string,
    port: number,
    description: string,
  ): Promise<{ fd: number; controlFd: number } | number>;
  /** Opens `vnl` with libvdeplug, loaded at run time; a string is the reason why that is impossible. */
  openPlug(vnl: string, description: string): Promise<NativePlug | number | string>;
  /**
   * Ends this process as a guest ended: resets `signal` to its default, sets RLIMIT_CORE to 0 and raises it;
   * exits with 128 + signal where that does not kill.
   */
  dieBySignal(signal: number): never;
}

const require = createRequire(import.meta.url);

/** Folder of the project: runtime/ and dist/runtime/ both lie in it. */
export const projectRoot = ((): string => {
  const here = dirname(fileURLToPath(import.meta.url));
  return (
    [join(here, '..'), join(here, '..', '..')].find((d) => existsSync(join(d, 'native'))) ?? join(here, '..')
  );
})();

/** Folder of the built addon and broker. UMVU_BUILD=asan selects the sanitized build. */
export const nativeDir =
  process.env['UMVU_BUILD'] === 'asan'
    ? join(projectRoot, 'native/build/asan/Debug')
    : join(projectRoot, 'native/build/release/Release');
/** Folder of the commands that guests find in their PATH. */
export const guestBinDir = join(projectRoot, 'guests/build/bin');
/** Folder of the launcher and other programs that are not for guests' PATH. */
export const guestLibexecDir = join(projectRoot, 'guests/build/libexec');

function load(): NativeAddon {
  const path = join(nativeDir, 'umvu.node');
  try {
    return require(path) as NativeAddon;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    throw new Error(`the native addon is not built (${path}): run «npm run build»`, { cause: error });
  }
}

let addon: NativeAddon | undefined;
/** The addon, loaded at first use so that help and version work without it. */
export function native(): NativeAddon {
  return (addon ??= load());
}
