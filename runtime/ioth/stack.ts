/**
 * What a network stack is for the rest of the project (an IoTh stack, IOTH-FACTS §1): something that makes
 * sockets. Every socket it gives is a real descriptor, so whatever is done with it afterwards needs no help.
 */
import type { IothHost } from './host.ts';
import type { NetlinkServer } from './netlink/server/index.ts';

/** Address families, as in <bits/socket.h>. */
export const AF = { UNSPEC: 0, UNIX: 1, INET: 2, INET6: 10, NETLINK: 16, PACKET: 17 } as const;
/** Socket types and flags, as in <bits/socket_type.h>. SOCK_DEFAULT is msocket(2viewos)'s. */
export const SOCK = {
  DEFAULT: 0,
  STREAM: 1,
  DGRAM: 2,
  RAW: 3,
  SEQPACKET: 5,
  PACKET: 10,
  NONBLOCK: 0o4000,
  CLOEXEC: 0o2000000,
  TYPE_MASK: 0xf,
} as const;

/** A process that has a socket of a stack, as far as the stack wants to know it. */
export interface SocketOwner {
  readonly pid: number;
  /** Its user; may be looked up when it is read. */
  readonly uid: number;
  /** Whether it may change the configuration of the stack (CAP_NET_ADMIN); looked up each time. */
  mayConfigure(): boolean;
}

/** A file that a stack shows in /proc or /sys. */
export interface StackFile {
  read(): string;
  /** Takes what was written. Without it the file cannot be written. */
  write?(text: string): void;
}

/** Where the kernel shows the state of a stack, for guests that look into /proc/net and /sys/class/net. */
export interface StackView {
  /** Absolute path of a folder that stands for /proc/PID/net of a process in the stack. */
  procNet?: string;
  /** Descriptor of the root of a sysfs that shows the stack's devices; owned by the stack. Undefined where none can be mounted. */
  sysfs?: number | undefined;
  /**
   * The files of a stack that the kernel knows nothing of: by a path such as /proc/net/dev, /proc/sys/net/ipv4/ip_forward,
   * /sys/class/net/vde0/mtu. Names of what is in a directory; undefined where there is nothing.
   */
  file?(path: string): StackFile | readonly string[] | undefined;
  /** A real directory (absolute path) that shows what is in one of these directories now. */
  directory?(path: string): string | undefined;
}

/** A network stack. Programs use it through {@link IothStack}; a driver of their own makes one. */
export interface Stack {
  /** Name of the driver: "vdestack", "kernel", "null", … */
  readonly driver: string;
  /** True when the host's own network is meant: calls are then simply passed to the kernel. */
  readonly isHost: boolean;
  /**
   * True when its sockets are not the kernel's: guests hold AF_UNIX sockets, and calls that name addresses or
   * options are answered by runtime/syscalls/emulated.
   */
  readonly emulated?: boolean;
  /**
   * The server of its configuration, where that is not the kernel's: it answers netlink sockets and the requests of
   * netdevice(7), and can be asked directly.
   */
  readonly configuration?: NetlinkServer;
  /** Families that socket() takes; any other is EAFNOSUPPORT. */
  readonly families: ReadonlySet<number>;
  /**
   * A new socket, owned by the caller, close-on-exec (and SOCK_NONBLOCK as asked in `type`). Throws Errno:
   * EAFNOSUPPORT for a family it lacks, ENETDOWN when it is closed or gone, otherwise as socket(2). `owner` is the guest
   * that it is for; this program itself by default.
   */
  socket(domain: number, type: number, protocol: number, owner?: SocketOwner): number;
  readonly view: StackView;
  /** Whether guests hold sockets of it (sockets that the driver keeps in store do not count). */
  inUse(): boolean;
  /** Text of the resolv.conf(5) that the processes of this stack see; undefined where `dns=` was not given. */
  resolvConf: string | undefined;
  /** Takes the stack down and gives back all it holds. Idempotent. */
  close(): Promise<void>;
}

/** What a stack is asked to be. */
export interface StackRequest {
  /** Virtual network locators with optional interface names, in the order of the interfaces. */
  interfaces: { name?: string; vnl: string }[];
  /** Options after the driver's name (`vdestack,opt=…`). */
  options: Record<string, string>;
}

/** A kind of stack, made known with {@link defineStack}. */
export interface StackDriver {
  readonly name: string;
  readonly summary: string;
  create(request: StackRequest, context: StackContext): Promise<Stack>;
}

/** Identity function that gives a driver its type: `export default defineStack({ name: 'mine', … })`. */
export const defineStack = (driver: StackDriver): StackDriver => driver;

/** What a driver may use: the networks and the broker of the VM (or of the library user). */
export type StackContext = IothHost;
