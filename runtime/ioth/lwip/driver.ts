/**
 * "lwip": a TCP/IP stack in user space. It needs no namespace, no /dev/net/tun and no privilege, and works where
 * these are forbidden. Guests hold AF_UNIX sockets, whose other ends are in the addon (native/src/lwip); calls that
 * name addresses are answered by runtime/syscalls/emulated.
 */
import { Errno, check } from '../../errno.ts';
import { logger } from '../../log.ts';
import { LWIP_EVENT, native, type NativeLwipStack } from '../../native.ts';
import { NetlinkServer, sockDiag } from '../netlink/server/index.ts';
import type { Membership } from '../network.ts';
import {
  AF, SOCK, type SocketOwner, type Stack, type StackContext, type StackRequest, type StackView, defineStack,
} from '../stack.ts'; // prettier-ignore
import { addConfiguration } from './configurations.ts';
import { socketRecord } from './connections.ts';
import { onEventOf } from './events.ts';
import { StackFiles } from './files.ts';
import { IsolatedStack } from './isolated/stack.ts';
import { adoptNetlinkSocket } from './netlink.ts';
import { Snapshot } from './snapshot.ts';
import { withIsolated } from './socket.ts';
import { LARGEST_MTU, LwipTable } from './table.ts';

const log = logger('ioth');

const FAMILIES: ReadonlySet<number> = new Set([AF.INET, AF.INET6, AF.NETLINK, AF.PACKET]);
/** Protocol of AF_NETLINK (linux/netlink.h). */
const NETLINK_SOCK_DIAG = 4;
const SYS_FCNTL = 72;
const F_SETFL = 4;
const O_RDWR = 2;
/** Of an interface where `mtu=` is not given. */
const DEFAULT_MTU = 1500;

/** Of the memory that a stack uses, in bytes (native/src/lwip/memory.h). */
const DEFAULT_MEMORY = 256 * 2 ** 20;
const LEAST_MEMORY = 2 ** 20;
const MOST_MEMORY = 2 ** 40;
const UNITS: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** What the options of a stack say. */
interface LwipOptions {
  /** Of each interface, in bytes. */
  mtu: number;
  /** Bytes. */
  memory: number;
  /** Whether it is in a process of its own. */
  isolate: boolean;
}

function mtuOption(value: string): number {
  const mtu = Number(value);
  if (!/^[0-9]{2,5}$/.test(value) || mtu < 68 || mtu > LARGEST_MTU)
    throw new Errno('EINVAL', `lwip: mtu=${value}: not a number of bytes from 68 to ${LARGEST_MTU}`);
  return mtu;
}

function memoryOption(value: string): number {
  const [, digits, unit] = /^([0-9]{1,13})([kmg]?)$/i.exec(value) ?? [];
  const memory = Number(digits) * (UNITS[(unit ?? '').toLowerCase()] ?? NaN);
  if (!(memory >= LEAST_MEMORY && memory <= MOST_MEMORY))
    throw new Errno('EINVAL', `lwip: memory=${value}: not a size from 1M to 1024G`);
  return memory;
}

function readOptions(options: Record<string, string>): LwipOptions {
  const read = { mtu: DEFAULT_MTU, memory: DEFAULT_MEMORY, isolate: false };
  for (const [key, value] of Object.entries(options)) {
    if (key === 'mtu') read.mtu = mtuOption(value);
    else if (key === 'memory') read.memory = memoryOption(value);
    else if (key === 'isolate' && value === '1') read.isolate = true;
    else
      throw new Errno('EINVAL', `lwip: ${key}=${value}: the options are mtu=BYTES, memory=BYTES and isolate`);
  }
  return read;
}

class LwipStack implements Stack {
  readonly driver = 'lwip';
  readonly isHost = false;
  readonly emulated = true;
  readonly families = FAMILIES;
  readonly view: StackView = {
    file: (path) => this.#find(path),
    directory: (path) => (this.#snapshot ??= new Snapshot((p) => this.#find(p))).directory(path),
  };
  resolvConf: string | undefined;
  readonly #native: NativeLwipStack;
  /** Settled when nothing of it is left once it is closed. */
  readonly #ended: Promise<void> = Promise.resolve();
  readonly #members: Membership[] = [];
  #server: NetlinkServer | undefined;
  #diag: NetlinkServer | undefined;
  #files: StackFiles | undefined;
  #snapshot: Snapshot | undefined;
  readonly #withdraw: () => void;
  #onClose = (): void => {};
  #closed = false;

  constructor(Native: new (memory: number) => NativeLwipStack, memory: number, isolate: boolean) {
    const configuration = (): NetlinkServer => this.configuration;
    if (isolate) {
      withIsolated();
      const stack = new IsolatedStack(memory, (id) => addConfiguration(id, configuration));
      this.#ended = stack.ended;
      this.#native = stack;
    } else {
      this.#native = new Native(memory);
    }
    this.#withdraw = addConfiguration(this.#native.id(), configuration);
  }

  async addInterface(name: string, vnl: string, mtu: number, context: StackContext): Promise<void> {
    const membership = await context.networks.join(vnl);
    this.#members.push(membership);
    const index = check(
      this.#native.addInterface(name, membership.network, mtu),
      `${name}: interface on ${vnl}`,
    );
    log.debug(`lwip: ${name} (${index}) is on ${vnl}`);
  }

  /** Made when it is needed first: most stacks are configured once, by the program itself, and never looked at. */
  get configuration(): NetlinkServer {
    return (this.#server ??= this.#serve());
  }

  #find(path: string): ReturnType<StackFiles['find']> {
    if (this.#closed) return undefined;
    this.#files ??= new StackFiles(this.#native, this.configuration.table as LwipTable);
    return this.#files.find(path);
  }

  /** The server of sock_diag(7), which changes nothing. */
  #diagnosis(): NetlinkServer {
    const { link, addr, route, neigh } = this.configuration.table;
    return (this.#diag ??= new NetlinkServer(
      { link, addr, route, neigh },
      sockDiag(() => this.#native.connections().map(socketRecord)),
    ));
  }

  #serve(): NetlinkServer {
    const table = new LwipTable(this.#native);
    const server = new NetlinkServer(table);
    const forget = onEventOf(this.#native.id(), (event) => {
      if (event === LWIP_EVENT.changed && !this.#closed) table.refresh();
    });
    this.#onClose = () => {
      forget();
      table.close();
      server.close();
    };
    return server;
  }

  socket(domain: number, type: number, protocol: number, owner?: SocketOwner): number {
    if (this.#closed) throw new Errno('ENETDOWN', 'the stack is closed');
    if (!FAMILIES.has(domain)) throw new Errno('EAFNOSUPPORT');
    const flags = type & ~SOCK.TYPE_MASK;
    if ((flags & ~(SOCK.NONBLOCK | SOCK.CLOEXEC)) !== 0) throw new Errno('EINVAL');
    const fd = check(this.#native.socket(domain, type & SOCK.TYPE_MASK, protocol));
    if (domain === AF.NETLINK) {
      const server = protocol === NETLINK_SOCK_DIAG ? this.#diagnosis() : this.configuration;
      adoptNetlinkSocket(fd, server, owner);
    }
    if ((flags & SOCK.NONBLOCK) !== 0) native().syscall(SYS_FCNTL, fd, F_SETFL, O_RDWR | SOCK.NONBLOCK);
    return fd;
  }

  inUse(): boolean {
    return !this.#closed && this.#native.sockets() > 0;
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#withdraw();
      this.#onClose();
      this.#diag?.close();
      this.#snapshot?.close();
      this.#native.close();
      for (const membership of this.#members.splice(0)) membership.leave();
    }
    return this.#ended;
  }
}

async function create(request: StackRequest, context: StackContext): Promise<Stack> {
  const { mtu, memory, isolate } = readOptions(request.options);
  const { LwipStack: Native } = native();
  if (!Native) {
    throw new Errno('EOPNOTSUPP', 'this umvu was built without lwIP: «npm run build» says why');
  }
  const stack = new LwipStack(Native, memory, isolate);
  try {
    for (const [position, { name, vnl }] of request.interfaces.entries()) {
      await stack.addInterface(name ?? `vde${position}`, vnl, mtu, context);
    }
    return stack;
  } catch (error) {
    await stack.close();
    throw error;
  }
}

export default defineStack({
  name: 'lwip',
  summary: 'a TCP/IP stack in user space: needs no namespace and no privilege',
  create,
});
