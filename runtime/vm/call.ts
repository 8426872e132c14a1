import { native, type Listener } from '../native.ts';
import { Errno, check } from '../errno.ts';
import type { SyscallSpec } from '../syscalls/table.ts';
import type { Process } from './process.ts';
import type { Vm } from './vm.ts';

/** A trapped system call of a guest, until it is answered. */
export class Call {
  readonly vm: Vm;
  readonly listener: Listener;
  /** Of the notification; a parked call that is repeated gets a new one. */
  id: bigint;
  /** Thread that made the call; trusted only while {@link stillThere}. */
  readonly tid: number;
  readonly spec: SyscallSpec;
  readonly process: Process;
  /** The six arguments, low and high 32 bits in turn. */
  readonly words: readonly number[];

  constructor(
    vm: Vm,
    listener: Listener,
    id: bigint,
    tid: number,
    spec: SyscallSpec,
    process: Process,
    words: readonly number[],
  ) {
    this.vm = vm;
    this.listener = listener;
    this.id = id;
    this.tid = tid;
    this.spec = spec;
    this.process = process;
    this.words = words;
  }

  /** Argument `index` as a pointer, size or other 64-bit value: signed, exact up to 53 bits. */
  arg(index: number): number {
    return ((this.words[2 * index + 1] ?? 0) | 0) * 2 ** 32 + (this.words[2 * index] ?? 0);
  }

  /** Argument `index` as the kernel takes an int: its low 32 bits, signed. */
  int(index: number): number {
    return (this.words[2 * index] ?? 0) | 0;
  }

  /** True while the caller waits for this call. Check after reading its memory, before acting on what was read. */
  stillThere(): boolean {
    return this.listener.alive(this.id) || (this.held?.() ?? false);
  }

  /** Tells whether the caller waits without a notification; set by parking.ts. */
  held: (() => boolean) | undefined;

  /** Reads exactly `length` bytes at `address` of the guest, or throws EFAULT. */
  read(address: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    if (length > 0 && check(native().readMemory(this.tid, address, bytes)) < length)
      throw new Errno('EFAULT');
    this.#verify();
    return bytes;
  }

  /** Reads a NUL-terminated byte string. A path longer than `max` is ENAMETOOLONG. */
  readString(address: number, max = 4095): string {
    const text = native().readString(this.tid, address, max);
    if (typeof text === 'number') throw new Errno(text);
    this.#verify();
    return text;
  }

  /** Writes all of `bytes` at `address` of the guest, or throws EFAULT. */
  write(address: number, bytes: Uint8Array): void {
    this.#verify();
    if (check(native().writeMemory(this.tid, address, bytes)) < bytes.length) throw new Errno('EFAULT');
  }

  /** A caller that died meanwhile may have given its thread id to another: what was read is then worthless. */
  #verify(): void {
    if (!this.stillThere()) throw new Errno('ESRCH');
  }

  #abort: AbortController | undefined;
  /** Aborts when a signal interrupts the blocked caller, and when it is killed or exits. */
  get signal(): AbortSignal {
    return (this.#abort ??= new AbortController()).signal;
  }
  /** Fires {@link signal}. */
  abort(reason: Errno): void {
    this.#abort?.abort(reason);
  }
  get abortable(): boolean {
    return this.#abort !== undefined;
  }
}
