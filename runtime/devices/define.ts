/**
 * The contract of devices (docs/vudev.md). A device has three scopes: what {@link defineDevice} declares is known
 * before anything runs, what `create` returns belongs to one mount, what `open` returns to one opened file.
 *
 * Every function may return a promise, which blocks the caller; may throw Errno, which the guest gets; and may find
 * nothing wrong with being left out. Anything else that is thrown is a bug: it is logged, and the guest gets EIO.
 */
import type { Logger } from '../log.ts';
import { defineModule, type ModuleDefinition } from '../modules/define.ts';
import { deviceModule } from './module.ts';
import type { Options, OptionValues } from './options.ts';

/**
 * What carries the device to guests:
 *
 * - `char`, `block`: functions that read and write at an offset;
 * - `stream`: bytes in both directions, as of a socket;
 * - `terminal`: a pseudo terminal (pty(7));
 * - `memory`: memory that all openers share;
 * - `file`: a file of the host.
 */
export type DeviceKind = 'char' | 'block' | 'stream' | 'terminal' | 'memory' | 'file';

/** What an operation knows about its caller. */
export interface DeviceCall {
  /** Aborts when a signal interrupts the caller, and when it is gone. */
  readonly signal: AbortSignal;
  /** Process of the caller; 0 where that is not known. */
  readonly pid: number;
}

/** What open was asked for. */
export interface OpenCall extends DeviceCall {
  /** Flags of open(2). */
  readonly flags: number;
  /** Number of the part that is opened (NAME1 has 1); 0 for the device itself. */
  readonly part: number;
}

/** What ioctl was asked for. */
export interface IoctlCall extends DeviceCall {
  readonly part: number;
  /** Copies `length` bytes from where the argument points. Throws EFAULT. */
  read(length: number): Buffer;
  /** Copies bytes to where the argument points. Throws EFAULT. */
  write(bytes: Uint8Array): void;
}

/** The runtime's end of a stream or of a terminal. */
export interface Port {
  /** Sends bytes to the reader. They wait in memory until the reader takes them: see {@link Port.drained}. */
  write(bytes: Uint8Array | string): void;
  /** Resolves when all that was written has been taken by the kernel; at once when nobody reads any more. */
  drained(): Promise<void>;
  /** No more bytes will come: the reader meets the end of the file. Of a terminal, its users get SIGHUP. */
  end(): void;
  /** Size of a terminal's window, in characters. */
  resize(rows: number, columns: number): void;
}

type Maybe<T> = T | Promise<T>;

/** An opened file of a device. */
export interface OpenFile {
  /**
   * `char`, `block`: fills `into` from `offset` on. The number of bytes; 0 is the end of the file. A file that is
   * read without positions (`seekable: false`) gets offset 0.
   */
  read?(into: Buffer, offset: number, call: DeviceCall): Maybe<number>;
  /** `char`, `block`: takes bytes at `offset`. How many; undefined is all of them. */
  write?(from: Buffer, offset: number, call: DeviceCall): Maybe<number | void>;
  /** `char`: false where lseek(2) fails with ESPIPE. True by default. */
  readonly seekable?: boolean;
  /** `char`: what poll(2) says, POLLIN (1), POLLOUT (4)…; both by default. See Device.wake. */
  poll?(): number;
  /** `stream`, `terminal`: bytes that the guest has written. While a promise is pending no more are taken. */
  data?(bytes: Buffer): Maybe<void>;
  /** fsync(2). */
  sync?(): Maybe<void>;
  /** The result of a request that is not a terminal's; ENOTTY by default. As Device.ioctl, asked first. */
  ioctl?(request: number, argument: number, call: IoctlCall): Maybe<number | undefined>;
  /** The last descriptor of the file was closed. */
  close?(): Maybe<void>;
}

/** A part of a device: NAME1, NAME2… */
export interface Part {
  readonly number: number;
  /** Bytes. */
  readonly size: number;
}

/** A device that is mounted. */
export interface Device {
  /** `block`, `memory`: bytes. */
  readonly size?: number;
  /** Bytes of a sector, for BLKSSZGET; 512 by default. */
  readonly sectorSize?: number;
  /** Nothing may be written: EROFS on open, and BLKROGET says so. */
  readonly readOnly?: boolean;
  /** `file`: absolute path of the file of the host. */
  readonly path?: string;
  /** `memory`: content at the start. */
  fill?(memory: { write(bytes: Uint8Array, offset: number): void }): Maybe<void>;
  /** Parts that exist now. */
  parts?(): readonly Part[];
  /** Opens it. Without this function a `char` device is empty and takes everything, as /dev/null. */
  open?(call: OpenCall, port: Port): Maybe<OpenFile>;
  /** The result of a request of ioctl(2), undefined where the device does not know it; `argument` is the third one. */
  ioctl?(request: number, argument: number, call: IoctlCall): Maybe<number | undefined>;
  /** It was unmounted. */
  close?(): Maybe<void>;
}

/** What `create` is told. */
export interface DeviceRequest<O extends Options> {
  /** Of the mount. */
  readonly source: string;
  readonly target: string;
  /** The options that the device declares, with their values. */
  readonly options: OptionValues<O>;
  /**
   * Opens the file that the source names, as the view has it: for reading, and for writing unless `-o ro` was given.
   * The descriptor is the device's; it is to be used with the functions of node:fs that do not block.
   */
  readonly openSource: () => Promise<number>;
  /** `-o ro` was given. */
  readonly readOnly: boolean;
  readonly log: Logger;
  /** `char`: tells that what poll() says may have changed. */
  readonly wake: () => void;
  /** Aborts when the caller of mount(2) is interrupted. */
  readonly signal: AbortSignal;
}

export interface DeviceDefinition<O extends Options = Options> {
  /** `vumount -t vudevNAME` mounts it. */
  readonly name: string;
  /** One line for vu_lsmod. */
  readonly summary: string;
  readonly kind: DeviceKind;
  /** Options of `-o` beside those of all devices (options.ts). */
  readonly options?: O;
  create(request: DeviceRequest<O>): Maybe<Device>;
}

/** A device that can be inserted as a module, and mounted with `-t vudevNAME`. */
export type DeviceModule<O extends Options = Options> = ModuleDefinition & {
  readonly device: DeviceDefinition<O>;
};

/** Makes a module of a device: `export default defineDevice({ name: 'counter', kind: 'char', … })`. */
export function defineDevice<const O extends Options = Record<never, never>>(
  device: DeviceDefinition<O>,
): DeviceModule<O> {
  return { ...defineModule(deviceModule(device)), device };
}
