/** A device in a view: its files, what they show, and its operations with their errors. */
import { Errno } from '../errno.ts';
import type { Mounter } from '../files/mounter.ts';
import type { Logger } from '../log.ts';
import { mayUse, R_OK, W_OK } from '../vm/access.ts';
import type { NodeAttributes, VirtualNode } from '../vm/mounts.ts';
import type { Process } from '../vm/process.ts';
import type { Vm } from '../vm/vm.ts';
import type { Carrier } from './carrier.ts';
import type { Device, DeviceDefinition } from './define.ts';
import type { CommonOptions } from './options.ts';
import { OPEN } from './sys.ts';
import { devicesOf, type DeviceTable } from './table.ts';

const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const DEFAULT_MODE = 0o600;
const MOST_MINORS = 2 ** 20;

/** st_rdev (makedev(3)). */
export const deviceNumber = (major: number, minor: number): number =>
  ((minor & 0xff) | ((major & 0xfff) << 8)) + (minor & 0xfff00) * 2 ** 12;

let lastInode = 0;

/** One file of a device: NAME has number 0, NAME1 has 1. */
export class MountedPart implements VirtualNode {
  readonly owner: MountedDevice;
  readonly number: number;
  readonly attributes: NodeAttributes;
  readonly changeable = true;

  constructor(owner: MountedDevice, number: number, attributes: NodeAttributes) {
    this.owner = owner;
    this.number = number;
    this.attributes = attributes;
  }

  /** Bytes. */
  get size(): number {
    const { owner, number } = this;
    if (number === 0) return owner.size;
    return owner.device.parts?.().find((part) => part.number === number)?.size ?? 0;
  }

  open(flags: number, process: Process, call?: { readonly signal: AbortSignal }): number | Promise<number> {
    const writes = (flags & OPEN.ACCMODE) !== 0 || (flags & OPEN.TRUNC) !== 0;
    if (writes && this.owner.readOnly && this.owner.isBlock) throw new Errno('EROFS');
    if (flags & OPEN.PATH) throw new Errno('EOPNOTSUPP', 'O_PATH of a device');
    const { signal } = call ?? new AbortController();
    return this.owner.carrier!.open(this, { flags, pid: process.pid, signal });
  }
}

/** See the file. */
export class MountedDevice {
  readonly definition: DeviceDefinition;
  readonly log: Logger;
  readonly table: DeviceTable;
  readonly mounter: Mounter;
  readonly #readOnly: boolean;
  /** What `create` returned, and what carries it: there from the end of the mount on. */
  device: Device = {};
  carrier: Carrier | undefined;
  readonly #common: CommonOptions;
  readonly #owner: { uid: number; gid: number };
  readonly #parts = new Map<number, MountedPart>();

  constructor(
    vm: Vm,
    definition: DeviceDefinition,
    common: CommonOptions,
    owner: { uid: number; gid: number },
    log: Logger,
  ) {
    this.definition = definition;
    this.table = devicesOf(vm);
    this.mounter = vm.mounter;
    this.log = log;
    this.#readOnly = common.readOnly;
    this.#common = common;
    this.#owner = owner;
  }

  /** Nothing may be written. */
  get readOnly(): boolean {
    return this.#readOnly || this.device.readOnly === true;
  }

  get isBlock(): boolean {
    const { kind } = this.definition;
    return (this.#common.type ?? (kind === 'block' || kind === 'memory' ? 'block' : 'char')) === 'block';
  }

  /** It has an end, and nothing is beyond it. */
  get isSized(): boolean {
    return this.definition.kind === 'block' || this.definition.kind === 'memory';
  }

  /** Bytes of the device itself. */
  get size(): number {
    return this.device.size ?? 0;
  }

  /** The file with a number, made when it is asked for first. */
  readonly part = (number: number): MountedPart => {
    let part = this.#parts.get(number);
    if (!part) this.#parts.set(number, (part = new MountedPart(this, number, this.#attributes(number))));
    return part;
  };

  #attributes(number: number): NodeAttributes {
    const {
      mode = DEFAULT_MODE,
      uid = this.#owner.uid,
      gid = this.#owner.gid,
      major = 0,
      minor = 0,
    } = this.#common;
    return {
      mode: (this.isBlock ? S_IFBLK : S_IFCHR) | mode,
      uid,
      gid,
      ino: ++lastInode,
      time: Math.floor(Date.now() / 1000),
      size: 0,
      rdev: deviceNumber(major, (minor + number) % MOST_MINORS),
    };
  }

  /** `count`, a number of bytes that a function of the device returned for a buffer of `length`. Else it is a bug. */
  count(count: unknown, length: number): number {
    if (typeof count === 'number' && Number.isInteger(count) && count >= 0 && count <= length) return count;
    throw new TypeError(`${String(count)} bytes were returned for ${length}`);
  }

  /** Does an operation of the device for a guest: what it throws becomes an Errno. */
  async ask<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.errno(error);
    }
  }

  /** Does an operation of the device whose errors reach nobody. */
  async tell(what: string, work: () => unknown): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { code } = this.errno(error);
      if (error instanceof Errno) this.log.info(`${what}: ${code}`);
    }
  }

  /** The guest's errno for what a device threw; anything but an Errno is a bug of the device: said, and EIO. */
  errno(error: unknown): Errno {
    if (error instanceof Errno) return error;
    // A device works with files of the host: disk full, input/output error.
    const { errno, syscall } = (error instanceof Error ? error : {}) as NodeJS.ErrnoException;
    if (typeof errno === 'number' && errno < 0 && syscall !== undefined) return new Errno(errno);
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.log.error(`internal error in device «${this.definition.name}»: ${text}`);
    return new Errno('EIO');
  }
}

/** Whether a process may use a device for what flags of open(2) ask. */
export function mayOpen(part: MountedPart, process: Process, flags: number): boolean {
  const access = flags & OPEN.ACCMODE;
  return mayUse(part.attributes, process, (access === OPEN.WRONLY ? 0 : R_OK) | (access === 0 ? 0 : W_OK));
}
