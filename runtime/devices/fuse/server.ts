/**
 * Serves one file of a device by FUSE. The kernel asks for every read and write, so positions, several openers,
 * signals and errors are as for a driver in the kernel. Nothing here may touch the file in a way that waits for an
 * answer: it would be our own.
 */
import { close, existsSync, fsync, open } from 'node:fs';
import { Errno, ERRNO } from '../../errno.ts';
import { native, type Readiness } from '../../native.ts';
import { SYS } from '../../syscalls/table.ts';
import { openCall, type Opening } from '../carrier.ts';
import type { DeviceCall, OpenFile } from '../define.ts';
import type { MountedPart } from '../mounted.ts';
import { closeFd, OPEN } from '../sys.ts';
import { mountFuse } from './mount.ts';
import * as wire from './wire.ts';

const READABLE = 1;
/** Requests that are taken before other events get their turn. */
const BATCH = 32;
const ANY_EVENT = 0x0145; // POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM
const EINTR = -ERRNO['EINTR']!;
const ENOSYS = -ERRNO['ENOSYS']!;
const ENODEV = -ERRNO['ENODEV']!;

/** A request that is being answered. */
interface Pending {
  readonly abort: AbortController;
}

/** See the file. */
export class FuseServer {
  readonly #part: MountedPart;
  readonly #server: number;
  readonly #file: number;
  readonly #readiness: Readiness;
  readonly #files = new Map<number, OpenFile>();
  /** Files whose descriptor is being made. */
  readonly #expected: OpenFile[] = [];
  readonly #pending = new Map<bigint, Pending>();
  /** Poll handles of the kernel that wait for wake(). */
  readonly #waiting = new Set<bigint>();
  readonly #room = Buffer.allocUnsafe(wire.REQUEST_ROOM);
  #lastHandle = 0;
  #opening: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** Gets the file of the next fsync(2) that a thread of ours makes. */
  #sought: ((file: OpenFile) => void) | undefined;

  /** Throws Errno where FUSE cannot be used. Use {@link FuseServer.start}. */
  private constructor(part: MountedPart) {
    this.#part = part;
    const { server, file } = mountFuse(part.owner.mounter);
    this.#server = server;
    this.#file = file;
    this.#readiness = new (native().Readiness)(server, () => this.#serve());
    this.#readiness.want(READABLE, false);
  }

  static async start(part: MountedPart): Promise<FuseServer> {
    const made = new FuseServer(part);
    // The first close(2) of a file asks us whether we want to know of it, and waits: later ones must not.
    const fd = await made.#descriptor({}, OPEN.RDWR);
    await new Promise<void>((resolve) => close(fd, () => resolve()));
    return made;
  }

  /** The file, for telling which descriptors are of it. */
  get file(): number {
    return this.#file;
  }

  /** A new opened file; the caller closes the descriptor, which does not wait. */
  async open(opening: Opening): Promise<number> {
    const { owner } = this.#part;
    const file = (await owner.ask(() => owner.device.open?.(openCall(this.#part, opening), NO_PORT))) ?? {};
    try {
      return await this.#descriptor(file, opening.flags & (OPEN.ACCMODE | OPEN.NONBLOCK));
    } catch (error) {
      await owner.tell('close', () => file.close?.());
      throw error;
    }
  }

  /** Opened in another thread, since opening waits for our answer; one after another, so that we know for whom. */
  #descriptor(file: OpenFile, flags: number): Promise<number> {
    const opened = this.#opening.then(() => {
      if (this.#closed) throw new Errno('ENODEV');
      this.#expected.push(file);
      return new Promise<number>((resolve, reject) =>
        open(`/proc/self/fd/${this.#file}`, flags, (error, fd) => {
          this.#expected.length = 0;
          if (error) reject(error);
          else resolve(fd);
        }),
      );
    });
    this.#opening = opened.catch(() => undefined);
    return opened;
  }

  /**
   * The opened file behind a descriptor of ours. The kernel names it in requests only, so one is made: an fsync(2) in
   * another thread, which is answered here and not passed on.
   */
  fileOf(fd: number): Promise<OpenFile | undefined> {
    if (![...this.#files.values()].some((file) => file.ioctl)) return Promise.resolve(undefined);
    const found = this.#opening.then(
      () =>
        new Promise<OpenFile | undefined>((resolve) => {
          this.#sought = resolve;
          fsync(fd, () => resolve(undefined));
        }),
    );
    this.#opening = found;
    return found.finally(() => (this.#sought = undefined));
  }

  // -- Requests ------------------------------------------------------------------------------------------------

  #serve(): void {
    for (let i = 0; i < BATCH && !this.#closed; i++) {
      const length = native().syscall(SYS.read, this.#server, this.#room, this.#room.length);
      if (length === ENODEV) return this.#end();
      // EAGAIN: no more. ENOENT: the request was interrupted before it was read.
      if (length < 0) return;
      const request = wire.decodeRequest(this.#room.subarray(0, length));
      if (request) this.#handle(request);
    }
  }

  #handle(request: wire.Request): void {
    const { opcode, body, unique } = request;
    switch (opcode) {
      case wire.OPCODE.FORGET:
      case wire.OPCODE.BATCH_FORGET:
        return;
      case wire.OPCODE.INTERRUPT:
        return this.#interrupt(body.readBigUInt64LE(0));
      case wire.OPCODE.INIT:
        return this.#reply(unique, wire.initReply(body));
      case wire.OPCODE.DESTROY:
        return this.#reply(unique);
      case wire.OPCODE.GETATTR:
        return this.#reply(unique, wire.attributesReply(this.#part.size));
      case wire.OPCODE.SETATTR:
        // ftruncate(2); the other attributes are those of the name, which the view has.
        if (body.readUInt32LE(0) & wire.FATTR_SIZE) return this.#fail(unique, new Errno('EINVAL'));
        return this.#reply(unique, wire.attributesReply(this.#part.size));
      case wire.OPCODE.STATFS:
        return this.#reply(unique, Buffer.alloc(80));
      case wire.OPCODE.RELEASE:
        return this.#release(request);
      case wire.OPCODE.OPEN:
      case wire.OPCODE.READ:
      case wire.OPCODE.WRITE:
      case wire.OPCODE.FSYNC:
      case wire.OPCODE.POLL:
        return this.#ask(request);
      default:
        // The kernel does without: flush, extended attributes, ioctl, fallocate, lseek of holes.
        return this.#answer(unique, ENOSYS);
    }
  }

  /** Asks the device; the answer may take its time. */
  #ask(request: wire.Request): void {
    const { unique } = request;
    const pending: Pending = { abort: new AbortController() };
    this.#pending.set(unique, pending);
    // The buffer is used again for the next request.
    const kept = { ...request, body: Buffer.from(request.body) };
    const call: DeviceCall = { pid: request.pid, signal: pending.abort.signal };
    this.#part.owner
      .ask(() => this.#operation(kept, call))
      .then(
        (reply) => this.#pending.delete(unique) && this.#reply(unique, reply),
        (error: unknown) => this.#pending.delete(unique) && this.#fail(unique, error as Errno),
      );
  }

  #operation(request: wire.Request, call: DeviceCall): Promise<Buffer | undefined> {
    const { opcode, body } = request;
    if (opcode === wire.OPCODE.OPEN) return this.#opened(request, call);
    const file = this.#files.get(Number(body.readBigUInt64LE(0)));
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
        return Promise.resolve(this.#poll(file, body));
      default:
        if (this.#sought && isOurs(request.pid))
          return Promise.resolve(this.#sought(file)).then(() => undefined);
        return Promise.resolve(file.sync?.()).then(() => undefined);
    }
  }

  async #opened({ pid, body }: wire.Request, { signal }: DeviceCall): Promise<Buffer> {
    const { owner } = this.#part;
    const flags = body.readUInt32LE(0);
    // A thread of ours opens it for a guest; else a guest has opened /proc/self/fd/N.
    const expected = isOurs(pid) ? this.#expected.pop() : undefined;
    const file =
      expected ?? (await owner.device.open?.(openCall(this.#part, { flags, pid, signal }), NO_PORT)) ?? {};
    const handle = ++this.#lastHandle;
    this.#files.set(handle, file);
    return wire.openReply(
      handle,
      wire.FOPEN_DIRECT_IO | (file.seekable === false ? wire.FOPEN_NONSEEKABLE : 0),
    );
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
    const pending = this.#pending.get(unique);
    if (!pending) return;
    this.#pending.delete(unique);
    this.#answer(unique, EINTR);
    pending.abort.abort(new Errno('EINTR'));
  }

  #release({ unique, body }: wire.Request): void {
    const handle = Number(body.readBigUInt64LE(0));
    const file = this.#files.get(handle);
    this.#files.delete(handle);
    this.#reply(unique);
    if (file) void this.#part.owner.tell('close', () => file.close?.());
  }

  // -- Answers -------------------------------------------------------------------------------------------------

  #reply(unique: bigint, body: Buffer = Buffer.alloc(0)): void {
    const out = Buffer.allocUnsafe(wire.HEADER_OUT + body.length);
    wire.replyHeader(out, unique, 0, body.length);
    body.copy(out, wire.HEADER_OUT);
    this.#send(out);
  }

  #fail(unique: bigint, { errno }: Errno): void {
    this.#answer(unique, -errno);
  }

  #answer(unique: bigint, error: number): void {
    const out = Buffer.alloc(wire.HEADER_OUT);
    wire.replyHeader(out, unique, error, 0);
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
    closeFd(this.#file);
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#readiness.close();
    closeFd(this.#server);
    for (const { abort } of this.#pending.values()) abort.abort(new Errno('ENODEV'));
    this.#pending.clear();
    for (const file of this.#files.values()) void this.#part.owner.tell('close', () => file.close?.());
    this.#files.clear();
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
