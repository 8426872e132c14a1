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

/** `mtu=BYTES` and `isolate`. */
function readOptions(options: Record<string, string>): { mtu: number; isolate: boolean } {
  const result = { mtu: DEFAULT_MTU, isolate: false };
  for (const [key, value] of Object.entries(options)) {
    const mtu = /^[0-9]{2,5}$/.test(value) ? Number(value) : 0;
    if (key === 'isolate' && value === '1') result.isolate = true;
    else if (key === 'mtu' && mtu >= 68 && mtu <= LARGEST_MTU) result.mtu = mtu;
    else
      throw new Errno(
        'EINVAL',
        `lwip: ${key}=${value}: options are mtu=BYTES (68 to ${LARGEST_MTU}) and isolate`,
      );
  }
  return result;
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

  constructor(Native: new () => NativeLwipStack, isolate: boolean) {
    const configuration = (): NetlinkServer => this.configuration;
    if (isolate) {
      withIsolated();
      const stack = new IsolatedStack((id) => addConfiguration(id, configuration));
      this.#ended = stack.ended;
      this.#native = stack;
    } else {
      this.#native = new Native();
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
  const { mtu, isolate } = readOptions(request.options);
  const { LwipStack: Native } = native();
  if (!Native) {
    throw new Errno('EOPNOTSUPP', 'this umvu was built without lwIP: «npm run build» says why');
  }
  const stack = new LwipStack(Native, isolate);
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
