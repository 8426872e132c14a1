/**
 * Serves one file of a device by FUSE. The kernel asks for every read and write, so positions, several openers,
 * signals and errors are as for a driver in the kernel. What needs no device is answered in a thread of the addon
 * (native/src/fuse_front.cc), so that this thread may open, close and look at the file as any other.
 */
import { existsSync, fsync } from 'node:fs';
import { Errno, ERRNO } from '../../errno.ts';
import { native, type FuseFront } from '../../native.ts';
import { SYS } from '../../syscalls/table.ts';
import { openCall, type Opening } from '../carrier.ts';
import type { DeviceCall, OpenFile } from '../define.ts';
import type { MountedPart } from '../mounted.ts';
import { closeFd, OPEN, openAgain } from '../sys.ts';
import { mountFuse } from './mount.ts';
import * as wire from './wire.ts';

const ANY_EVENT = 0x0145; // POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM
const EINTR = -ERRNO['EINTR']!;

/** What the kernel has a handle of. */
interface Handle {
  /** What the device returned, once it has. */
  file: OpenFile | undefined;
  readonly opened: Promise<OpenFile>;
}

/** See the file. */
export class FuseServer {
  readonly #part: MountedPart;
  readonly #server: number;
  readonly #front: FuseFront;
  /** The file, opened with O_PATH, for telling which descriptors are of it. */
  readonly file: number;
  readonly #handles = new Map<number, Handle>();
  /** Files that we have opened for guests and whose handles are not told yet. */
  readonly #expected: OpenFile[] = [];
  /** Requests that are being answered. */
  readonly #pending = new Map<bigint, AbortController>();
  /** Poll handles of the kernel that wait for wake(). */
  readonly #waiting = new Set<bigint>();
  #closed = false;
  /** Gets the file of the next fsync(2) that a thread of ours makes. */
  #sought: ((file: OpenFile) => void) | undefined;
  #seeking: Promise<unknown> = Promise.resolve();

  /** Throws Errno where FUSE cannot be used. */
  constructor(part: MountedPart) {
    this.#part = part;
    const { server, file } = mountFuse(part.owner.mounter);
    this.#server = server;
    this.file = file;
    this.#front = new (native().FuseFront)(server, (request, handle) => this.#handle(request, handle));
    this.#front.set(part.size, wire.FOPEN_DIRECT_IO);
  }

  /** A new opened file; the caller closes the descriptor. */
  async open(opening: Opening): Promise<number> {
    const { owner } = this.#part;
    const file = (await owner.ask(() => owner.device.open?.(openCall(this.#part, opening), NO_PORT))) ?? {};
    try {
      if (this.#closed) throw new Errno('ENODEV');
      const seeking = file.seekable === false ? wire.FOPEN_NONSEEKABLE : 0;
      this.#front.set(this.#part.size, wire.FOPEN_DIRECT_IO | seeking);
      const fd = openAgain(this.file, opening.flags & (OPEN.ACCMODE | OPEN.NONBLOCK));
      this.#front.set(this.#part.size, wire.FOPEN_DIRECT_IO);
      this.#expected.push(file);
      return fd;
    } catch (error) {
      await owner.tell('close', () => file.close?.());
      throw error;
    }
  }

  /**
   * The opened file behind a descriptor of ours. The kernel names it in requests only, so one is made: an fsync(2) in
   * another thread, which is answered here and not passed on.
   */
  fileOf(fd: number): Promise<OpenFile | undefined> {
    const files = [...this.#expected, ...[...this.#handles.values()].map(({ file }) => file)];
    if (!files.some((file) => file?.ioctl !== undefined)) return Promise.resolve(undefined);
    const found = this.#seeking.then(
      () =>
        new Promise<OpenFile | undefined>((resolve) => {
          this.#sought = resolve;
          fsync(fd, () => resolve(undefined));
        }),
    );
    this.#seeking = found;
    return found.finally(() => (this.#sought = undefined));
  }

  // -- Requests ------------------------------------------------------------------------------------------------

  #handle(bytes: Buffer | null, handle: number): void {
    const request = bytes && wire.decodeRequest(bytes);
    if (!request) return this.#end();
    const { opcode, body, unique, pid } = request;
    if (opcode === wire.OPCODE.OPEN) this.#opened(handle, body.readUInt32LE(0), pid);
    else if (opcode === wire.OPCODE.RELEASE) this.#released(Number(body.readBigUInt64LE(0)));
    else if (opcode === wire.OPCODE.INTERRUPT) this.#interrupt(body.readBigUInt64LE(0));
    else this.#ask(request, unique);
  }

  /** The kernel has a handle: of a file that we opened for a guest, or of /proc/self/fd/N that a guest opened. */
  #opened(number: number, flags: number, pid: number): void {
    const { owner } = this.#part;
    const expected = pid === process.pid ? this.#expected.shift() : undefined;
    const { signal } = new AbortController();
    const call = openCall(this.#part, { flags, pid, signal });
    const opened = expected
      ? Promise.resolve(expected)
      : owner.ask(async () => (await owner.device.open?.(call, NO_PORT)) ?? {});
    const handle: Handle = { file: expected, opened };
    // Where it fails, so does what is done with the handle.
    opened.then(
      (file) => (handle.file = file),
      () => undefined,
    );
    this.#handles.set(number, handle);
  }

  #released(number: number): void {
    const handle = this.#handles.get(number);
    this.#handles.delete(number);
    if (handle) this.#close(handle);
  }

  #close({ opened }: Handle): void {
    void opened.then(
      (file) => this.#part.owner.tell('close', () => file.close?.()),
      () => undefined,
    );
  }

  /** Asks the device; the answer may take its time. */
  #ask(request: wire.Request, unique: bigint): void {
    const abort = new AbortController();
    this.#pending.set(unique, abort);
    const call: DeviceCall = { pid: request.pid, signal: abort.signal };
    this.#part.owner
      .ask(() => this.#operation(request, call))
      .then(
        (reply) => this.#pending.delete(unique) && this.#reply(unique, 0, reply),
        (error: unknown) => this.#pending.delete(unique) && this.#reply(unique, -(error as Errno).errno),
      );
  }

  async #operation(request: wire.Request, call: DeviceCall): Promise<Buffer | undefined> {
    const { opcode, body } = request;
    const file = await this.#handles.get(Number(body.readBigUInt64LE(0)))?.opened;
    if (!file) throw new Errno('EBADF');
    switch (opcode) {
      case wire.OPCODE.READ:
        return this.#read(file, Number(body.readBigUInt64LE(8)), body.readUInt32LE(16), call);
      case wire.OPCODE.WRITE:
        return this.#write(
          file,
          Number(body.readBigUInt64LE(8)),
          body.subarray(40, 40 + body.readUInt32LE(16)),
          call,
        );
      case wire.OPCODE.POLL:
        return this.#poll(file, body);
      default:
        if (this.#sought && isOurs(request.pid)) this.#sought(file);
        else await file.sync?.();
        return undefined;
    }
  }

  async #read(file: OpenFile, offset: number, length: number, call: DeviceCall): Promise<Buffer> {
    const { owner, size } = this.#part;
    const most = owner.isSized ? Math.max(0, Math.min(length, size - offset)) : length;
    const into = Buffer.alloc(Math.min(most, wire.MOST_BYTES));
    if (into.length === 0) return into;
    return into.subarray(0, owner.count((await file.read?.(into, offset, call)) ?? 0, into.length));
  }

  async #write(file: OpenFile, offset: number, bytes: Buffer, call: DeviceCall): Promise<Buffer> {
    const { owner, size } = this.#part;
    if (owner.readOnly) throw new Errno('EPERM');
    const from = owner.isSized ? bytes.subarray(0, Math.max(0, size - offset)) : bytes;
    if (from.length === 0 && bytes.length > 0) throw new Errno('ENOSPC');
    const done = (await file.write?.(from, offset, call)) ?? from.length;
    return wire.numberReply(owner.count(done, from.length));
  }

  #poll(file: OpenFile, body: Buffer): Buffer {
    const events = file.poll?.() ?? ANY_EVENT;
    if (body.readUInt32LE(16) & wire.POLL_SCHEDULE_NOTIFY) this.#waiting.add(body.readBigUInt64LE(8));
    return wire.numberReply(events);
  }

  /** What poll() says may have changed. */
  wake(): void {
    for (const handle of this.#waiting) this.#send(wire.pollNotification(handle));
    this.#waiting.clear();
  }

  /** A signal came for the caller. It waits for our answer whatever happens to it: it gets one at once. */
  #interrupt(unique: bigint): void {
    const abort = this.#pending.get(unique);
    if (!abort) return;
    this.#pending.delete(unique);
    this.#reply(unique, EINTR);
    abort.abort(new Errno('EINTR'));
  }

  #reply(unique: bigint, error: number, body: Buffer = Buffer.alloc(0)): void {
    const out = Buffer.allocUnsafe(wire.HEADER_OUT + body.length);
    wire.replyHeader(out, unique, error, body.length);
    body.copy(out, wire.HEADER_OUT);
    this.#send(out);
  }

  /** ENOENT, that the caller is gone, needs no care. */
  #send(bytes: Buffer): void {
    if (!this.#closed) native().syscall(SYS.write, this.#server, bytes, bytes.length);
  }

  /** Descriptors that guests have get ENOTCONN from now on, callers that wait ECONNABORTED. */
  close(): void {
    if (this.#closed) return;
    this.#end();
    closeFd(this.file);
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#front.close();
    closeFd(this.#server);
    for (const abort of this.#pending.values()) abort.abort(new Errno('ENODEV'));
    this.#pending.clear();
    for (const handle of this.#handles.values()) this.#close(handle);
    this.#handles.clear();
  }
}

/** Whether a thread of this process made a request. */
const isOurs = (tid: number): boolean => existsSync(`/proc/self/task/${tid}`);

/** Devices of these kinds have no port. */
export const NO_PORT = {
  write: () => undefined,
  drained: () => Promise.resolve(),
  end: () => undefined,
  resize: () => undefined,
};
