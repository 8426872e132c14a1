/** Reading and writing packets in network byte order, with every bound checked. */
import { WireError } from './netlink/wire.ts';

/** Reads a packet from its start to its end. Throws {@link WireError} where it ends too early. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly #protocol: string;
  readonly #end: number;
  /** Where the next byte is read, counted from the start of `bytes`. */
  at: number;

  /** Reads `bytes` from `start` up to `end`; `protocol` names them in errors. */
  constructor(bytes: Uint8Array, protocol: string, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.#protocol = protocol;
    this.at = start;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.at;
  }

  error(what: string, at = this.at): WireError {
    return new WireError(at, what, this.#protocol);
  }

  // By hand, because a DataView for each packet costs more than its numbers.
  u8(): number {
    return this.bytes[this.#take(1)]!;
  }

  u16(): number {
    const at = this.#take(2);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  u32(): number {
    const { bytes } = this;
    const at = this.#take(4);
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }

  /** The next `length` bytes, a view into the packet. */
  take(length: number): Uint8Array {
    const start = this.#take(length);
    return this.bytes.subarray(start, start + length);
  }

  /** All that is left. */
  rest(): Uint8Array {
    return this.take(this.left);
  }

  /** A reader of the next `length` bytes, which this one skips. Its offsets are those of the whole packet. */
  part(length: number): ByteReader {
    const start = this.#take(length);
    return new ByteReader(this.bytes, this.#protocol, start, start + length);
  }

  /** Complains about bytes that are left. */
  done(what: string): void {
    if (this.left > 0) throw this.error(`${this.left} bytes too many in ${what}`);
  }

  #take(length: number): number {
    if (length > this.left) throw this.error(`${length} bytes wanted, ${this.left} are left`);
    const start = this.at;
    this.at += length;
    return start;
  }
}

/** Writes a packet; it grows as needed. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  /** The number of bytes written. */
  length = 0;

  constructor(room = 512) {
    this.#bytes = new Uint8Array(room);
  }

  u8(value: number): this {
    const at = this.#make(1); // may replace the bytes
    this.#bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    this.patch16(this.#make(2), value);
    return this;
  }

  u32(value: number): this {
    return this.u16(value >>> 16).u16(value & 0xffff);
  }

  put(bytes: ArrayLike<number>): this {
    const start = this.#make(bytes.length);
    this.#bytes.set(bytes, start);
    return this;
  }

  /** `count` bytes that are 0. */
  zeros(count: number): this {
    this.#make(count);
    return this;
  }

  /** Writes what `write` writes behind its length, a word of 16 bits. */
  counted(write: () => void): this {
    const at = this.#make(2);
    write();
    this.patch16(at, this.length - at - 2);
    return this;
  }

  /** Changes a byte that was written before. */
  patch8(at: number, value: number): void {
    this.#bytes[at] = value;
  }

  /** Changes a word of 16 bits that was written before. */
  patch16(at: number, value: number): void {
    this.#bytes[at] = value >> 8;
    this.#bytes[at + 1] = value;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.length);
  }

  #make(count: number): number {
    const start = this.length;
    this.length += count;
    if (this.length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return start;
  }
}

/** The Internet checksum (RFC 1071) of the words of `parts`, each of which but the last has an even length. */
export function internetChecksum(...parts: Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) sum += (part[i]! << 8) | (part[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
