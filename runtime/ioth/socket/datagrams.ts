/**
 * A connected datagram socket for who sends many small requests: what comes is handed to a function as it comes, with no
 * promise between the kernel and the listener. Everybody else is better served by {@link Socket}.
 */
import { READY, type Readiness, native } from '../../native.ts';
import { type InetAddress, serializeSocketAddress } from './address.ts';
import { type SocketCalls, callsOf } from './calls.ts';
import { SYS } from './constants.ts';
import { failed } from './queue.ts';

const EAGAIN = -11;
const EINTR = -4;
/** Datagrams that are taken before other things get their turn. */
const BURST = 64;

/** What a {@link DatagramChannel} calls. */
export interface DatagramListener {
  /** A datagram came; `bytes` are valid during the call. False when no more is expected now. */
  onMessage(bytes: Buffer): boolean;
  /** A call on the socket failed, with this Errno: ECONNREFUSED says that nobody listens at the other end. */
  onError(error: Error): void;
}

export class DatagramChannel {
  readonly #listener: DatagramListener;
  readonly #calls: SocketCalls;
  readonly #readiness: Readiness;
  readonly #room: Buffer;
  readonly #lengths = new Int32Array(3);
  /** What the socket had no room for yet. */
  readonly #unsent: Uint8Array[] = [];
  #fd: number;
  #keepsAlive = false;

  /** Owns `fd`, a nonblocking datagram socket. Datagrams that are longer than `size` are cut. */
  constructor(fd: number, size: number, listener: DatagramListener) {
    this.#fd = fd;
    this.#listener = listener;
    this.#room = Buffer.allocUnsafe(size);
    this.#calls = callsOf(fd);
    this.#readiness = new (native().Readiness)(fd, (events) => this.#ready(events));
  }

  /** Sets the peer. Throws Errno. */
  connect(address: InetAddress): void {
    const result = this.#calls.connect(serializeSocketAddress(address));
    if (result < 0) throw failed('connect', result);
    this.#want();
  }

  /** Sends now, or a copy when there is room. Throws Errno. */
  send(bytes: Uint8Array): void {
    if (this.#unsent.length === 0 && this.#send(bytes)) return;
    this.#unsent.push(Uint8Array.from(bytes));
    this.#want();
  }

  /** Whether waiting for datagrams keeps the program alive; at first it does not. */
  set keepsAlive(yes: boolean) {
    if (this.#keepsAlive === yes) return;
    this.#keepsAlive = yes;
    this.#want();
  }

  /** Idempotent. Nothing is called any more. */
  close(): void {
    if (this.#fd < 0) return;
    this.#readiness.close();
    native().syscall(SYS.CLOSE, this.#fd);
    this.#fd = -1;
    this.#calls.closed();
  }

  #want(): void {
    const events = READY.READ | (this.#unsent.length > 0 ? READY.WRITE : 0);
    this.#readiness.want(events, this.#keepsAlive);
  }

  /** False when there is no room. */
  #send(bytes: Uint8Array): boolean {
    let result: number;
    do result = this.#calls.send(bytes, 0, null, null);
    while (result === EINTR);
    if (result < 0 && result !== EAGAIN) throw failed('send', result);
    return result >= 0;
  }

  #ready(events: number): void {
    if ((events & READY.READ) !== 0) this.#receive();
    if ((events & READY.WRITE) !== 0 && this.#fd >= 0) this.#flush();
  }

  /** Takes what came. It stops where no more is expected: to ask the socket once more would cost a call. */
  #receive(): void {
    for (let i = 0; i < BURST && this.#fd >= 0; i++) {
      const length = this.#calls.receive(this.#room, 0, null, null, this.#lengths);
      if (length === EAGAIN) return;
      if (length === EINTR) continue;
      if (length < 0) this.#listener.onError(failed('recv', length));
      else if (!this.#listener.onMessage(this.#room.subarray(0, length))) return;
    }
  }

  #flush(): void {
    try {
      while (this.#unsent.length > 0 && this.#send(this.#unsent[0]!)) this.#unsent.shift();
    } catch (error) {
      this.#unsent.shift();
      this.#listener.onError(error as Error);
    }
    if (this.#fd >= 0) this.#want();
  }
}
