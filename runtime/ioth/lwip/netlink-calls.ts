/** The calls of programs on netlink sockets of stacks in user space: the server in this process answers them. */
import type { SocketCalls } from '../socket/calls.ts';
import { LwipCalls, attempt, joined } from './calls.ts';
import { type NetlinkSocket, PROGRAM, peerOf } from './netlink.ts';
import type { EmulatedSocket } from './socket.ts';

export class NetlinkCalls extends LwipCalls {
  readonly #socket: EmulatedSocket;

  constructor(socket: EmulatedSocket) {
    super(socket);
    this.#socket = socket;
  }

  override bind(name: Uint8Array): number {
    return this.#act((peer) => peer.bind(name));
  }

  override connect(name: Uint8Array): number {
    return this.#act((peer) => peer.connect(name));
  }

  override name(peer: boolean, out: Uint8Array): number {
    return this.#act((socket) => {
      const name = peer ? socket.peerName() : socket.name();
      out.set(name);
      return name.length;
    });
  }

  override send(...[data, , name]: Parameters<SocketCalls['send']>): number {
    const bytes = joined(data);
    return this.#act((peer) => {
      peer.send(bytes, PROGRAM, name ?? undefined);
      return bytes.length;
    });
  }

  override receive(...args: Parameters<SocketCalls['receive']>): number {
    const [data] = args;
    const pieces = data instanceof Uint8Array ? [data] : data;
    const lost = this.#act((peer) => peer.beforeReceive(pieces.reduce((sum, { length }) => sum + length, 0)));
    return lost < 0 ? lost : super.receive(...args);
  }

  /** The result of `action` with the peer, 0 where it has none, or the negated errno that it throws. */
  #act(action: (peer: NetlinkSocket) => number | void): number {
    return attempt(() => action(peerOf(this.#socket)!) ?? 0);
  }
}
