/**
 * Sockets of a stack: the Berkeley calls (ioth_socket(3) and its like) on a real descriptor. Calls that may have to wait
 * return promises and take an AbortSignal; the others act at once. All throw Errno.
 */
import { ADDRESS_ROOM, type SocketAddress, parseSocketAddress, serializeSocketAddress } from './address.ts';
import { BasicSocket, bytesOf } from './basic.ts';
import { SO, SOL } from './constants.ts';
import { parseControl, serializeControl } from './control.ts';
import type { CallOptions } from './queue.ts';
import type { IncomingMessage, OutgoingMessage, ReceiveOptions, SendOptions } from './types.ts';

/** Room for control messages that {@link Socket.recvmsg} makes unless told otherwise, in bytes. */
const CONTROL_ROOM = 1024;
const EINPROGRESS = -115;
const EAGAIN = -11;

/** A socket of a stack; see IothStack.msocket. */
export class Socket extends BasicSocket {
  /** Connects; a datagram socket only notes its peer. When it is called off, only close() is of use any more. */
  async connect(address: SocketAddress, options: CallOptions = {}): Promise<void> {
    const name = serializeSocketAddress(address);
    let started = false;
    await this.queue.run(
      'write',
      'connect',
      () => {
        if (started) return this.#connectResult();
        started = true;
        const result = this.open().connect(name);
        return result === EINPROGRESS ? EAGAIN : result;
      },
      options,
    );
  }

  /** The next connection, with the address of its peer. */
  async accept(options: CallOptions = {}): Promise<{ socket: Socket; address?: SocketAddress }> {
    const name = new Uint8Array(ADDRESS_ROOM);
    const length = new Uint32Array(1);
    const fd = await this.queue.run('read', 'accept', () => this.open().accept(name, length), options);
    const socket = new Socket(fd, this.domain, this.type, this.protocol, this.owner);
    this.owner.onAccept?.(socket);
    const address = parseSocketAddress(name.subarray(0, length[0]));
    return { socket, ...(address ? { address } : {}) };
  }

  /** Sends on a connected socket; the number of bytes taken, which of a stream may be fewer than given. */
  send(data: string | Uint8Array, options: SendOptions = {}): Promise<number> {
    return this.#send('send', bytesOf(data), options, null, null);
  }

  /** As {@link send}, again and again until a stream has taken all of `data`. */
  async sendAll(data: string | Uint8Array, options: SendOptions = {}): Promise<void> {
    let rest = bytesOf(data);
    do rest = rest.subarray(await this.send(rest, options));
    while (rest.length > 0);
  }

  sendto(data: string | Uint8Array, address: SocketAddress, options: SendOptions = {}): Promise<number> {
    return this.#send('sendto', bytesOf(data), options, serializeSocketAddress(address), null);
  }

  sendmsg({ data, address, control }: OutgoingMessage, options: SendOptions = {}): Promise<number> {
    const name = address ? serializeSocketAddress(address) : null;
    return this.#send('sendmsg', data, options, name, control?.length ? serializeControl(control) : null);
  }

  write(data: string | Uint8Array, options: CallOptions = {}): Promise<number> {
    return this.send(data, options);
  }

  writev(pieces: readonly Uint8Array[], options: CallOptions = {}): Promise<number> {
    return this.#send('writev', pieces, options, null, null);
  }

  /** At most `size` bytes, or one datagram; empty at the end of a stream. */
  async recv(size = 65536, options: ReceiveOptions = {}): Promise<Buffer> {
    const room = Buffer.allocUnsafe(size);
    const length = await this.#receive('recv', room, options, null, null, new Int32Array(3));
    return room.subarray(0, Math.min(length, size));
  }

  /** As {@link recv}, with the sender's address. */
  async recvfrom(
    size = 65536,
    options: ReceiveOptions = {},
  ): Promise<{ data: Buffer; address?: SocketAddress }> {
    const { data, address } = await this.recvmsg(size, { ...options, control: 0 });
    return { data, ...(address ? { address } : {}) };
  }

  /** As {@link recv}, with all that came with the message. `control` is the room for control messages, in bytes. */
  async recvmsg(size = 65536, options: ReceiveOptions & { control?: number } = {}): Promise<IncomingMessage> {
    const room = Buffer.allocUnsafe(size);
    const name = new Uint8Array(ADDRESS_ROOM);
    const control = new Uint8Array(options.control ?? CONTROL_ROOM);
    const lengths = new Int32Array(3);
    const length = await this.#receive('recvmsg', room, options, name, control, lengths);
    const [nameLength = 0, controlLength = 0, flags = 0] = lengths;
    const address = parseSocketAddress(name.subarray(0, nameLength));
    return {
      data: room.subarray(0, Math.min(length, size)),
      ...(address ? { address } : {}),
      control: parseControl(control.subarray(0, controlLength)),
      flags,
    };
  }

  read(size = 65536, options: CallOptions = {}): Promise<Buffer> {
    return this.recv(size, options);
  }

  /** Fills `pieces` one after the other; the number of bytes received, 0 at the end of a stream. */
  readv(pieces: readonly Uint8Array[], options: ReceiveOptions = {}): Promise<number> {
    return this.#receive('readv', pieces, options, null, null, new Int32Array(3));
  }

  #connectResult(): number {
    return -this.getsockopt(SOL.SOCKET, SO.ERROR).readInt32LE(0);
  }

  async #send(
    what: string,
    data: Uint8Array | readonly Uint8Array[],
    { flags = 0, ...options }: SendOptions,
    name: Uint8Array | null,
    control: Uint8Array | null,
  ): Promise<number> {
    const calls = this.open();
    return this.queue.run('write', what, () => calls.send(data, flags, name, control), options);
  }

  async #receive(
    what: string,
    data: Uint8Array | readonly Uint8Array[],
    { flags = 0, ...options }: ReceiveOptions,
    name: Uint8Array | null,
    control: Uint8Array | null,
    lengths: Int32Array,
  ): Promise<number> {
    const calls = this.open();
    return this.queue.run('read', what, () => calls.receive(data, flags, name, control, lengths), options);
  }
}
