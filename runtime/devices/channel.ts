/** The supervisor's end of a stream or terminal: reads what guests write, and writes what they read. */
import { ERRNO } from '../errno.ts';
import { native, type Readiness } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import type { Port } from './define.ts';
import { closeFd } from './sys.ts';

const READABLE = 1;
const WRITABLE = 2;
/** Never happens to a socket or terminal; but while something is watched, so is the hangup. */
const PRIORITIZED = 8;
const EAGAIN = -ERRNO['EAGAIN']!;
const EINTR = -ERRNO['EINTR']!;
const SHUT_WR = 1;
const TIOCSWINSZ = 0x5414;
/** Bytes that are taken from a guest at once. */
const CHUNK = 64 * 1024;
/** Bytes that a device may have waiting for a reader; more is a bug of the device, and is refused. */
const MOST_WAITING = 64 * 2 ** 20;

/** What a channel tells. */
export interface Listener {
  /** Bytes came; while a promise is pending no more are taken. */
  data(bytes: Buffer): void | Promise<void>;
  /** The other end is closed. */
  closed(): void;
}

/** See the file. Owns the descriptor, which does not block. */
export class Channel implements Port {
  readonly #fd: number;
  readonly #readiness: Readiness;
  readonly #listener: Listener;
  readonly #terminal: boolean;
  readonly #queue: Buffer[] = [];
  #waiting = 0;
  #paused = false;
  /** The other end sends no more. */
  #heard = false;
  #ending = false;
  #closed = false;
  #drained: (() => void)[] = [];

  constructor(fd: number, terminal: boolean, listener: Listener) {
    this.#fd = fd;
    this.#terminal = terminal;
    this.#listener = listener;
    this.#readiness = new (native().Readiness)(fd, (events) => this.#ready(events));
    this.#watch();
  }

  #watch(): void {
    if (this.#closed) return;
    const reading = this.#paused || this.#heard ? 0 : READABLE;
    this.#readiness.want(PRIORITIZED | reading | (this.#waiting > 0 ? WRITABLE : 0), false);
  }

  #ready(events: number): void {
    // Nothing else makes this event come alone.
    if (events === PRIORITIZED) return this.#hungUp();
    if (events & WRITABLE || this.#waiting > 0) this.#flush();
    if (!this.#closed && events & READABLE) this.#take();
    this.#watch();
  }

  /** Both directions are shut: the other end is closed. What it wrote before is still there. */
  #hungUp(): void {
    // The device is still busy with the last bytes, and told afterwards.
    if (this.#paused) this.#readiness.want(0, false);
    else this.close();
  }

  #take(): void {
    const bytes = Buffer.allocUnsafe(CHUNK);
    const got = native().syscall(SYS.read, this.#fd, bytes, CHUNK);
    if (got === EAGAIN || got === EINTR) return;
    if (got === 0 && !this.#terminal) {
      this.#heard = true;
      return;
    }
    if (got <= 0) return this.close();
    const taken = this.#listener.data(bytes.subarray(0, got));
    if (!(taken instanceof Promise)) return;
    this.#paused = true;
    void taken.finally(() => {
      this.#paused = false;
      this.#watch();
    });
  }

  write(data: Uint8Array | string): void {
    const bytes = Buffer.from(data);
    if (this.#closed || this.#ending || bytes.length === 0) return;
    if (this.#waiting + bytes.length > MOST_WAITING)
      throw new RangeError('a device writes faster than it is read');
    this.#queue.push(bytes);
    this.#waiting += bytes.length;
    this.#flush();
    this.#watch();
  }

  #flush(): void {
    for (let first = this.#queue[0]; first; first = this.#queue[0]) {
      const sent = native().syscall(SYS.write, this.#fd, first, first.length);
      if (sent === EAGAIN || sent === EINTR) return;
      if (sent < 0) return this.close();
      this.#waiting -= sent;
      if (sent === first.length) this.#queue.shift();
      else this.#queue[0] = first.subarray(sent);
    }
    for (const resolve of this.#drained.splice(0)) resolve();
    if (this.#ending) this.#finish();
  }

  drained(): Promise<void> {
    if (this.#closed || this.#waiting === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  end(): void {
    this.#ending = true;
    if (this.#waiting === 0) this.#finish();
  }

  #finish(): void {
    if (this.#terminal) this.close();
    else if (!this.#closed) native().syscall(SYS.shutdown, this.#fd, SHUT_WR);
  }

  resize(rows: number, columns: number): void {
    if (!this.#terminal || this.#closed) return;
    native().syscall(
      SYS.ioctl,
      this.#fd,
      TIOCSWINSZ,
      new Uint8Array(Uint16Array.of(rows, columns, 0, 0).buffer),
    );
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#readiness.close();
    closeFd(this.#fd);
    for (const resolve of this.#drained.splice(0)) resolve();
    this.#listener.closed();
  }
}
