/**
 * "vdestack": the TCP/IP stack of the kernel in a network namespace of its own, with Ethernet interfaces that are
 * ports of VDE networks. Sockets are made by the broker; what guests do with them is between them and the kernel.
 */
import { Errno, check } from '../../errno.ts';
import { logger } from '../../log.ts';
import { type NativeNetwork, native } from '../../native.ts';
import type { Membership } from '../network.ts';
import {
  AF,
  SOCK,
  type Stack,
  type StackContext,
  type StackRequest,
  type StackView,
  defineStack,
} from '../stack.ts';
import { type Broker, closeFd } from './broker.ts';
import { CARRIER, OP } from './protocol.ts';
import { SocketPool } from './pool.ts';
import { countSockets, moreSocketsThan } from './usage.ts';

const log = logger('vdestack');
const SYS_FCNTL = 72;
const F_SETFL = 4;
const O_RDWR = 2;
const FAMILIES: ReadonlySet<number> = new Set([AF.INET, AF.INET6, AF.NETLINK, AF.PACKET]);
const DEFAULT_MTU = 1500;
/** Protocol numbers that mean the same as 0 for their type: TCP and UDP. */
const USUAL: Record<number, number> = { [SOCK.STREAM]: 6, [SOCK.DGRAM]: 17 };

/** Options of a stack: `vdestack,mtu=9000,carrier=veth`. */
interface Options {
  mtu: number;
  carrier: number;
}

function readOptions(options: Record<string, string>): Options {
  const carriers: Record<string, number> = { any: CARRIER.ANY, tap: CARRIER.TAP, veth: CARRIER.VETH };
  const result: Options = { mtu: DEFAULT_MTU, carrier: CARRIER.ANY };
  for (const [key, value] of Object.entries(options)) {
    const carrier = Object.hasOwn(carriers, value) ? carriers[value] : undefined;
    if (key === 'mtu' && /^[0-9]{2,5}$/.test(value)) result.mtu = Number(value);
    else if (key === 'carrier' && carrier !== undefined) result.carrier = carrier;
    else
      throw new Errno('EINVAL', `vdestack: ${key}=${value}: options are mtu=BYTES and carrier=any|tap|veth`);
  }
  return result;
}

/** An interface's connection to its network. */
interface Plug {
  membership: Membership;
  network: NativeNetwork;
  port: number;
}

let lastStack = 0;

class VdeStack implements Stack {
  readonly driver = 'vdestack';
  readonly isHost = false;
  readonly families = FAMILIES;
  readonly view: StackView;
  resolvConf: string | undefined;
  readonly #broker: Broker;
  readonly #id = ++lastStack;
  readonly #procNet: string;
  readonly #pools = new Map<number, SocketPool>();
  readonly #plugs: Plug[] = [];
  readonly #forget: () => void;
  /** Sockets of the namespace that are the runtime's own. */
  #own = 0;
  #sysfs: number | undefined;
  #sysfsFailed = false;
  #state: 'up' | 'gone' | 'closed' = 'up';

  constructor(broker: Broker) {
    this.#broker = broker;
    const { result: tid } = broker.call(OP.ADD_STACK, { stack: this.#id });
    this.#procNet = `/proc/${broker.pid}/task/${tid}/net`;
    const sysfs = (): number | undefined => this.#openSysfs();
    this.view = {
      procNet: this.#procNet,
      get sysfs() {
        return sysfs();
      },
    };
    this.#forget = broker.onEnd(() => this.#brokerEnded());
  }

  /** Adds interface `name` and connects it to the network `vnl`. */
  async addInterface(name: string, vnl: string, options: Options, context: StackContext): Promise<void> {
    const membership = await context.networks.join(vnl);
    try {
      this.#mustBeUp();
      const { result, fd } = this.#broker.callForFd(OP.ADD_INTERFACE, {
        stack: this.#id,
        a: options.mtu,
        b: options.carrier,
        text: name,
      });
      const kind = result === CARRIER.TAP ? 'tap' : 'packet';
      const { network } = membership;
      const port = check(network.addPort({ kind, fd, vnetHeader: true, name }), `${name}: port of ${vnl}`);
      this.#plugs.push({ membership, network, port });
      log.debug(`stack ${this.#id}: ${name} is port ${port} of ${vnl} (${kind})`);
    } catch (error) {
      membership.leave();
      throw error;
    }
  }

  /** From now on every socket of the namespace, except those in store, counts as a guest's. */
  settle(): void {
    this.#own = countSockets(this.#procNet);
  }

  socket(domain: number, type: number, protocol: number): number {
    if (!FAMILIES.has(domain)) throw new Errno('EAFNOSUPPORT');
    this.#mustBeUp();
    const kind = type & SOCK.TYPE_MASK;
    const flags = type & ~SOCK.TYPE_MASK;
    if ((flags & ~(SOCK.NONBLOCK | SOCK.CLOEXEC)) !== 0) throw new Errno('EINVAL');
    const usual = (domain === AF.INET || domain === AF.INET6) && USUAL[kind] !== undefined;
    const fd =
      usual && (protocol === 0 || protocol === USUAL[kind])
        ? this.#pool(domain, kind).take()
        : this.#make(domain, kind, protocol, 1)[0]!;
    if ((flags & SOCK.NONBLOCK) !== 0) native().syscall(SYS_FCNTL, fd, F_SETFL, O_RDWR | SOCK.NONBLOCK);
    return fd;
  }

  inUse(): boolean {
    if (this.#state !== 'up') return false;
    const inStore = [...this.#pools.values()].reduce((sum, pool) => sum + pool.size, 0);
    return moreSocketsThan(this.#own + inStore, this.#procNet);
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#release();
    if (this.#state === 'up') {
      this.#state = 'closed';
      this.#forget();
      try {
        this.#broker.call(OP.DEL_STACK, { stack: this.#id });
      } catch (error) {
        log.debug(`stack ${this.#id}: ${String(error)}`);
      }
    }
    this.#state = 'closed';
    return Promise.resolve();
  }

  #mustBeUp(): void {
    if (this.#state !== 'up') throw new Errno('ENETDOWN', 'the stack is gone');
  }

  #make(domain: number, type: number, protocol: number, count: number): number[] {
    return this.#broker.call(OP.SOCKET, { stack: this.#id, a: domain, b: type, c: protocol, count }).fds;
  }

  #pool(domain: number, type: number): SocketPool {
    const key = (domain << 4) | type;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new SocketPool((count) => this.#make(domain, type, 0, count));
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** Made when it is first looked at; undefined where the kernel does not let us mount one. */
  #openSysfs(): number | undefined {
    if (this.#state !== 'up') return undefined;
    if (this.#sysfs !== undefined || this.#sysfsFailed) return this.#sysfs;
    try {
      this.#sysfs = this.#broker.callForFd(OP.SYSFS, { stack: this.#id }).fd;
    } catch (error) {
      this.#sysfsFailed = true;
      log.info(`no /sys/class/net for the stack: ${(error as Error).message}`);
    }
    return this.#sysfs;
  }

  /** The broker died, and the namespace with it as soon as nobody holds a socket of it. */
  #brokerEnded(): void {
    if (this.#state === 'up') this.#state = 'gone';
    this.#release();
  }

  #release(): void {
    for (const pool of this.#pools.values()) pool.close();
    this.#pools.clear();
    for (const { membership, network, port } of this.#plugs.splice(0)) {
      network.removePort(port);
      membership.leave();
    }
    if (this.#sysfs !== undefined) closeFd(this.#sysfs);
    this.#sysfs = undefined;
  }
}

async function create(request: StackRequest, context: StackContext): Promise<Stack> {
  const options = readOptions(request.options);
  const stack = new VdeStack(await context.broker());
  try {
    for (const [position, { name, vnl }] of request.interfaces.entries()) {
      await stack.addInterface(name ?? `vde${position}`, vnl, options, context);
    }
    stack.settle();
    return stack;
  } catch (error) {
    await stack.close();
    throw error;
  }
}

export default defineStack({
  name: 'vdestack',
  summary: 'a network namespace of the kernel with interfaces on VDE networks',
  create,
});
