/**
 * Block devices without FUSE: each part is copied into a memfd when it is opened, and what guests have changed is
 * written back when one of them closes it, and a moment after each write. Writes to a mapping are seen at the close.
 */
import { check, Errno } from '../errno.ts';
import { native, type Readiness } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import type { Carrier, MakeCarrier, Opening } from './carrier.ts';
import { openCall } from './carrier.ts';
import { memoryFile, writeAt } from './carriers.ts';
import type { OpenFile } from './define.ts';
import { NO_PORT } from './fuse/server.ts';
import type { MountedDevice, MountedPart } from './mounted.ts';
import { closeFd, OPEN, openAgain } from './sys.ts';

const IN_MODIFY = 2;
const IN_CLOSE_WRITE = 8;
const IN_NONBLOCK_CLOEXEC = OPEN.NONBLOCK | OPEN.CLOEXEC;
const READABLE = 1;
const F_SETLEASE = 1024;
const F_WRLCK = 1;
const F_UNLCK = 2;
/** Guests' changes are told apart by sectors. */
const SECTOR = 512;
/** Bytes that are compared and copied at once. */
const CHUNK = 64 * 1024;
/** Milliseconds from a write to its copy. */
const DELAY = 50;
/** A larger part would take too much memory. */
const MOST_BYTES = 2 ** 32;
const NO_CALL = { pid: 0, signal: new AbortController().signal };

function readAt(fd: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  check(native().syscall(SYS.pread64, fd, bytes, length, offset));
  return bytes;
}

/** Ranges of sectors, in bytes, in which two buffers of the same length differ. */
function changes(a: Buffer, b: Buffer): [number, number][] {
  const ranges: [number, number][] = [];
  for (let from = 0; from < a.length; from += SECTOR) {
    const to = Math.min(a.length, from + SECTOR);
    if (a.subarray(from, to).equals(b.subarray(from, to))) continue;
    const last = ranges.at(-1);
    if (last?.[1] === from) last[1] = to;
    else ranges.push([from, to]);
  }
  return ranges;
}

/** A part in memory. */
class Copy {
  readonly #part: MountedPart;
  readonly #file: OpenFile;
  readonly #size: number;
  readonly fd: number;
  /** What the device has, as far as we know: the difference is what guests have written. */
  readonly #base: number;
  readonly identity: string;
  readonly #inotify: number;
  readonly #readiness: Readiness;
  #dirty = false;
  #timer: NodeJS.Timeout | undefined;
  /** One copying after another. */
  #work: Promise<void> = Promise.resolve();

  constructor(part: MountedPart, file: OpenFile) {
    this.#part = part;
    this.#file = file;
    this.#size = part.size;
    if (part.size > MOST_BYTES) throw new Errno('EFBIG', 'too large to be copied into memory');
    // What memfd_create(2) gives is not counted as an opener, which would confuse leases.
    const made = memoryFile(part.owner.definition.name, part.size);
    this.fd = openAgain(made, OPEN.RDWR);
    closeFd(made);
    this.#base = memoryFile('base', part.size);
    this.identity = part.owner.table.add(this.fd, { part, exclusive: true });
    this.#inotify = check(native().syscall(SYS.inotify_init1, IN_NONBLOCK_CLOEXEC));
    const path = `/proc/self/fd/${this.fd}`;
    check(native().syscall(SYS.inotify_add_watch, this.#inotify, path, IN_MODIFY | IN_CLOSE_WRITE));
    this.#readiness = new (native().Readiness)(this.#inotify, () => this.#changed());
    this.#readiness.want(READABLE, false);
  }

  /** Takes what inotify has to tell. */
  #hadEvents(): boolean {
    const events = Buffer.alloc(4096);
    let had = false;
    while (native().syscall(SYS.read, this.#inotify, events, events.length) > 0) had = true;
    return had;
  }

  #changed(): void {
    this.#dirty = this.#hadEvents() || this.#dirty;
    this.#timer ??= setTimeout(() => void this.writeBack(), DELAY).unref();
  }

  /** A descriptor for a guest. While nobody else has the copy open it is made anew. */
  open(flags: number): Promise<number> {
    return this.#next(async () => {
      await this.#writeBack();
      if (this.#alone()) await this.#refresh();
      return openAgain(this.fd, flags);
    });
  }

  /** Only our own descriptor allows a lease, which excludes all others (fcntl(2)). */
  #alone(): boolean {
    const alone = native().syscall(SYS.fcntl, this.fd, F_SETLEASE, F_WRLCK) >= 0;
    if (alone) native().syscall(SYS.fcntl, this.fd, F_SETLEASE, F_UNLCK);
    return alone;
  }

  async #refresh(): Promise<void> {
    for (let offset = 0; offset < this.#size; offset += CHUNK) {
      const theirs = Buffer.alloc(Math.min(CHUNK, this.#size - offset));
      const got = (await this.#file.read?.(theirs, offset, NO_CALL)) ?? 0;
      this.#part.owner.count(got, theirs.length);
      for (const fd of [this.fd, this.#base]) {
        if (!readAt(fd, offset, theirs.length).equals(theirs)) writeAt(fd, theirs, offset);
      }
    }
    // These changes were ours.
    this.#hadEvents();
  }

  writeBack(): Promise<void> {
    return this.#next(() => this.#writeBack());
  }

  async #writeBack(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#hadEvents() && !this.#dirty) return;
    this.#dirty = false;
    for (let offset = 0; offset < this.#size; offset += CHUNK) {
      const length = Math.min(CHUNK, this.#size - offset);
      const [ours, before] = [readAt(this.fd, offset, length), readAt(this.#base, offset, length)];
      for (const [from, to] of ours.equals(before) ? [] : changes(ours, before)) {
        const bytes = ours.subarray(from, to);
        await this.#file.write?.(bytes, offset + from, NO_CALL);
        writeAt(this.#base, bytes, offset + from);
      }
    }
    await this.#file.sync?.();
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(() => this.#part.owner.ask(work));
    this.#work = done.then(
      () => undefined,
      (error: unknown) => this.#part.owner.log.error(`a copy of a device failed: ${String(error)}`),
    );
    return done;
  }

  async close(): Promise<void> {
    this.#changed();
    await this.writeBack().catch(() => undefined);
    this.#part.owner.table.remove(this.identity);
    this.#readiness.close();
    closeFd(this.#inotify);
    closeFd(this.fd);
    closeFd(this.#base);
    await this.#part.owner.tell('close', () => this.#file.close?.());
  }
}

export const copyCarrier: MakeCarrier = (device: MountedDevice): Carrier => {
  const copies = new Map<number, Promise<Copy>>();
  const start = async (part: MountedPart, opening: Opening): Promise<Copy> => {
    const call = { ...openCall(part, opening), flags: device.readOnly ? 0 : OPEN.RDWR };
    return new Copy(part, (await device.device.open?.(call, NO_PORT)) ?? {});
  };
  return {
    async open(part, opening) {
      let copy = copies.get(part.number);
      if (!copy) {
        copies.set(part.number, (copy = device.ask(() => start(part, opening))));
        copy.catch(() => copies.delete(part.number));
      }
      // What was written to other parts may be in this one too.
      for (const other of copies.values())
        if (other !== copy) await (await other.catch(() => undefined))?.writeBack();
      return (await copy).open(opening.flags);
    },
    async close() {
      for (const copy of copies.values()) await (await copy.catch(() => undefined))?.close();
    },
  };
};
