/**
 * A stack in user space in a process of its own (the option `isolate`): to the driver it is what the addon's own is. The
 * plan of its configuration and its netlink sockets stay in this process.
 */
import { Errno } from '../../../errno.ts';
import {
  LWIP_EVENT, type LwipAddress, type LwipConnection, type LwipLink, type LwipNeighbour, type LwipRouter,
  type NativeLwipStack, type NativeNetwork, native,
} from '../../../native.ts'; // prettier-ignore
import { AF } from '../../stack.ts';
import { copyOf, deliver } from '../events.ts';
import { IsolatedChild, closeFd, pair } from './child.ts';
import { LISTS, parseKind } from './protocol.ts';
import { SocketTable } from './sockets.ts';

const SYS_SHUTDOWN = 48;
const SHUT_RDWR = 2;
const SOCK_SEQPACKET = 5;
const ENETDOWN = new Errno('ENETDOWN').errno;
/** How long sockets of a stack that is down are looked for, in ms. */
const MOST_SEARCH = 500;

const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');

export class IsolatedStack implements NativeLwipStack {
  readonly #child: IsolatedChild;
  readonly #sockets: SocketTable;
  readonly #ports: { network: NativeNetwork; port: number }[] = [];
  readonly #adopt: (id: number) => () => void;
  /** A stack of this process that does nothing but have the netlink sockets. */
  #netlink: NativeLwipStack | undefined;
  #forget = (): void => {};

  /**
   * Starts the process, whose stack may use `memory` bytes. Throws Errno, with a reason for people. `adopt` is told of another id under which sockets of
   * this stack are known, and returns what takes that back.
   */
  constructor(memory: number, adopt: (id: number) => () => void) {
    this.#adopt = adopt;
    const owner = {
      event: (id: number, event: number, value: number) =>
        this.#event(this.#sockets.globalId(id), event, value),
      gone: () => this.#gone(),
    };
    this.#child = new IsolatedChild(owner, undefined, memory);
    this.#sockets = new SocketTable(this.#child);
  }

  /** Settled when the process has ended. */
  get ended(): Promise<void> {
    return this.#child.ended;
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid;
  }

  id(): number {
    return this.#sockets.globalId(this.#child.stackId);
  }

  addInterface(name: string, network: NativeNetwork, mtu: number): number {
    const [ours, theirs] = pair(SOCK_SEQPACKET);
    try {
      const port = network.addPort({ kind: 'process', fd: ours, vnetHeader: true, name });
      if (port < 0) return port;
      this.#ports.push({ network, port });
      return this.#child.result('addInterface', { a: mtu, bytes: [latin1(name)] }, theirs);
    } finally {
      closeFd(theirs);
    }
  }

  socket(domain: number, type: number, protocol: number): number {
    if (!this.#child.alive) return -ENETDOWN;
    if (domain === AF.NETLINK) return this.#forNetlink().socket(domain, type, protocol);
    const { result, bytes, fd } = this.#child.call('socket', { a: domain, b: type, c: protocol });
    if (result < 0) return result;
    const kind = parseKind(bytes);
    const sound = fd >= 0 && kind?.domain === domain && kind.type === type;
    if (sound && this.#sockets.add(kind, fd)) return fd;
    if (fd >= 0) closeFd(fd);
    this.#child.giveUp('tells nonsense (a new socket)');
    return -ENETDOWN;
  }

  sockets(): number {
    return Math.max(0, this.#child.result('countSockets')) + (this.#netlink?.sockets() ?? 0);
  }

  memory(): number {
    return Math.max(0, this.#child.result('memory')) * 1024;
  }

  fail(): number {
    return this.#child.result('fail');
  }

  links(): LwipLink[] {
    return this.#list('links') ?? [];
  }

  setLink(index: number, name: string, up: boolean, mtu: number, mac: Uint8Array): number {
    const address = new Uint8Array(6);
    address.set(mac.subarray(0, 6));
    return this.#child.result('setLink', { a: index, b: Number(up), c: mtu, bytes: [address, latin1(name)] });
  }

  addresses(): LwipAddress[] {
    return this.#list('addresses') ?? [];
  }

  setAddress(index: number, address: Uint8Array, prefix: number, tentative: boolean): number {
    return this.#child.result('setAddress', { a: index, b: prefix, c: Number(tentative), bytes: [address] });
  }

  setRoute(add: boolean, route: Uint8Array): number {
    return this.#child.result('setRoute', { a: Number(add), bytes: [route] });
  }

  neighbours(): LwipNeighbour[] {
    return this.#list('neighbours') ?? [];
  }

  setNeighbour(index: number, address: Uint8Array, mac: Uint8Array | null): number {
    const bytes = mac ? [address, mac] : [address];
    return this.#child.result('setNeighbour', { a: index, b: address.length, bytes });
  }

  routers(): LwipRouter[] {
    return this.#list('routers') ?? [];
  }

  setForwarding(inet: boolean, inet6: boolean): number {
    return this.#child.result('setForwarding', { a: Number(inet), b: Number(inet6) });
  }

  connections(): LwipConnection[] {
    return this.#list('connections') ?? [];
  }

  close(): void {
    this.#child.close();
    this.#shutNetlink();
    this.#leave();
    this.#sockets.close();
  }

  #list<K extends keyof typeof LISTS>(op: K): ReturnType<(typeof LISTS)[K]> {
    const bytes = this.#child.list(op);
    if (bytes === undefined) return undefined as ReturnType<(typeof LISTS)[K]>;
    const list = LISTS[op](bytes);
    if (list === undefined) this.#child.giveUp(`tells nonsense (${op})`);
    return list as ReturnType<(typeof LISTS)[K]>;
  }

  #forNetlink(): NativeLwipStack {
    if (this.#netlink) return this.#netlink;
    this.#netlink = new (native().LwipStack!)();
    this.#forget = this.#adopt(this.#netlink.id());
    return this.#netlink;
  }

  #shutNetlink(): void {
    this.#forget();
    this.#netlink?.close();
    this.#netlink = undefined;
  }

  #leave(): void {
    for (const { network, port } of this.#ports.splice(0)) network.removePort(port);
  }

  #event(id: number, event: number, value: number): void {
    deliver(id, event, value);
    if (event === LWIP_EVENT.closed) this.#sockets.remove(id);
  }

  /**
   * The process has ended. Connections have ended with it; of the other ends of listeners and of datagram sockets the
   * kernel tells nobody, so they are shut down.
   */
  #gone(): void {
    this.#leave();
    this.#shutNetlink();
    const end = performance.now() + MOST_SEARCH;
    for (const { id } of this.#sockets.all()) {
      deliver(id, LWIP_EVENT.failed, ENETDOWN);
      const copy = performance.now() < end ? copyOf(id) : undefined;
      if (copy === undefined) continue;
      native().syscall(SYS_SHUTDOWN, copy, SHUT_RDWR);
      closeFd(copy);
    }
  }
}
