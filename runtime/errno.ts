import { constants } from 'node:os';

/** Names of the errors of errno(3) that Linux on this machine knows. */
export type ErrnoName =
  | keyof typeof constants.errno
  | 'EAFNOSUPPORT'
  | 'ENODEV'
  | 'ESOCKTNOSUPPORT'
  | 'EPFNOSUPPORT'
  | 'ENETDOWN'
  | 'ESHUTDOWN'
  | 'EUSERS';

/** Linux errno numbers that os.constants does not list (asm-generic/errno.h). */
const MORE: Record<string, number> = {
  ENOTBLK: 15,
  ESOCKTNOSUPPORT: 94,
  EPFNOSUPPORT: 96,
  ESHUTDOWN: 108,
  ETOOMANYREFS: 109,
  EHOSTDOWN: 112,
  EUSERS: 87,
  EREMOTE: 66,
  ENONET: 64,
  EBADFD: 77,
  ERESTART: 85,
  ENOMEDIUM: 123,
  EUCLEAN: 117,
};

/** Number of each error name. */
export const ERRNO: Readonly<Record<string, number>> = { ...constants.errno, ...MORE };

const NAMES = new Map<number, string>();
for (const [name, value] of Object.entries(ERRNO)) {
  // EWOULDBLOCK is EAGAIN and EOPNOTSUPP is ENOTSUP on Linux: the usual names win.
  if (name !== 'EWOULDBLOCK' && name !== 'ENOTSUP') NAMES.set(value, name);
}

/** The name of error number `value` (positive), or `E<value>`. */
export const errnoName = (value: number): string => NAMES.get(value) ?? `E${value}`;

/** The guest's error: thrown by a handler, it becomes the errno of the call. Any other throw is our bug (EIO). */
export class Errno extends Error {
  readonly errno: number;
  readonly code: string;
  /** `why` is for people (log, trace, the person who typed a mount command); the guest gets only the number. */
  constructor(code: ErrnoName | number, why?: string) {
    const value = typeof code === 'number' ? Math.abs(code) : ERRNO[code];
    if (value === undefined) throw new TypeError(`unknown errno ${code}`);
    const name = errnoName(value);
    // A stack trace would cost more than the whole call of the guest, and says nothing about a guest's error.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(why ?? name);
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'Errno';
    this.errno = value;
    this.code = name;
  }
}

/** Returns `result` unless it is a negated errno, which it throws. */
export function check(result: number, why?: string): number {
  if (result < 0) throw new Errno(result, why);
  return result;
}
