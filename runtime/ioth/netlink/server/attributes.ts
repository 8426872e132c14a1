/** Building and reading lists of attributes, below the codecs of the objects. */
import { Errno } from '../../../errno.ts';
import { type Attribute, WireError, parseAttributes, serializeAttributes, viewOf } from '../wire.ts';

/** A list of attributes under construction. Values that are undefined are left out. */
export class AttributeList {
  readonly items: Attribute[] = [];

  bytes(type: number, data: Uint8Array | undefined): this {
    if (data !== undefined) this.items.push({ type, data });
    return this;
  }

  byte(type: number, value: number | undefined): this {
    return value === undefined ? this : this.bytes(type, Uint8Array.of(value));
  }

  word(type: number, value: number | undefined): this {
    return value === undefined ? this : this.bytes(type, words(value));
  }

  text(type: number, value: string | undefined): this {
    return value === undefined
      ? this
      : this.bytes(type, Uint8Array.from(Buffer.from(`${value}\0`, 'latin1')));
  }

  nested(type: number, inner: readonly Attribute[] | undefined): this {
    return inner === undefined || inner.length === 0 ? this : this.bytes(type, serializeAttributes(inner));
  }

  serialize(header: Uint8Array): Uint8Array {
    return serializeAttributes(this.items, header);
  }
}

/** 32-bit words one after another. */
export function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  values.forEach((value, i) => viewOf(bytes).setUint32(4 * i, value, true));
  return bytes;
}

/** The kernel's refusal of attributes that do not have the size that their type has. */
const unsound = (): Errno => new Errno('ERANGE', 'Attribute failed policy validation');

/** The attributes of a request by type, the last one of a type winning as in the kernel. */
export class AttributeMap {
  readonly #map: ReadonlyMap<number, Uint8Array>;
  /** The attributes in their order, for lists of equal types. */
  readonly items: readonly Attribute[];

  /** Reads the attributes in `bytes` from `start` on; WireError when they are damaged. */
  constructor(bytes: Uint8Array, start = 0) {
    this.items = parseAttributes(bytes, start);
    this.#map = new Map(this.items.map(({ type, data }) => [type, data]));
  }

  has(type: number): boolean {
    return this.#map.has(type);
  }

  /** The value; ERANGE unless it has one of the lengths `sizes`, where any is given. */
  bytes(type: number, ...sizes: number[]): Uint8Array | undefined {
    const data = this.#map.get(type);
    if (data !== undefined && sizes.length > 0 && !sizes.includes(data.length)) {
      throw unsound();
    }
    // A copy: the request's bytes belong to the caller, and what is read here may be kept.
    return data?.slice();
  }

  byte(type: number): number | undefined {
    return this.bytes(type, 1)?.[0];
  }

  word(type: number): number | undefined {
    const data = this.bytes(type, 4);
    return data && viewOf(data).getUint32(0, true);
  }

  /** The text up to its NUL, shorter than `limit` bytes. */
  text(type: number, limit: number): string | undefined {
    const data = this.#map.get(type);
    return data && textOf(data, limit);
  }

  nested(type: number): AttributeMap | undefined {
    const data = this.#map.get(type);
    return data && new AttributeMap(data);
  }
}

/** The text in `data` up to its NUL; ERANGE unless it is shorter than `limit` bytes. */
export function textOf(data: Uint8Array, limit: number): string {
  const end = data.indexOf(0);
  const length = end < 0 ? data.length : end;
  if (length >= limit) throw unsound();
  return Buffer.from(data.subarray(0, length)).toString('latin1');
}

/** The fixed header in front of the attributes; WireError when `payload` is shorter. */
export function headerOf(payload: Uint8Array, size: number): DataView {
  if (payload.length < size) throw new WireError(0, 'a header is cut short');
  return viewOf(payload);
}

/** Bytes in an address of `family`. */
export const addressSize = (family: number): number => (family === 2 ? 4 : 16);

export const sameBytes = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && Buffer.compare(a, b) === 0);

/** A plain view of bytes that may be a Buffer, whose slice() would not copy. */
export const plain = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** `object` without the member `name`. */
export function without<T extends object, K extends keyof T>(object: T, name: K): Omit<T, K> {
  const copy = { ...object };
  delete copy[name];
  return copy;
}

/** `object` without its members that are undefined. */
export function defined<T extends object>(object: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}
