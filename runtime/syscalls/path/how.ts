import { Errno } from '../../errno.ts';
import type { Call } from '../../vm/call.ts';

export const RESOLVE = {
  NO_XDEV: 0x01,
  NO_MAGICLINKS: 0x02,
  NO_SYMLINKS: 0x04,
  BENEATH: 0x08,
  IN_ROOT: 0x10,
} as const;

/** Flags of open(2) that there are. */
const VALID_FLAGS = 0o37777703n;
const PAGE = 4096;

/** EINVAL and E2BIG as openat2(2) has them for a struct that it does not know. */
export function requireKnownHow(call: Call): void {
  const size = call.arg(3);
  if (size < 24) throw new Errno('EINVAL');
  if (size > PAGE || call.read(call.arg(2) + 24, size - 24).some((byte) => byte !== 0))
    throw new Errno('E2BIG');
  if (call.read(call.arg(2), 8).readBigUInt64LE(0) & ~VALID_FLAGS) throw new Errno('EINVAL');
}

/** struct open_how (openat2(2)): flags, mode, and RESOLVE_* bits. */
export function openHow(call: Call): { flags: number; mode: number; resolve: number } {
  // A size that the kernel refuses is left to it.
  if (call.arg(3) < 24) return { flags: 0, mode: 0, resolve: RESOLVE.IN_ROOT };
  const how = call.read(call.arg(2), 24);
  return {
    flags: Number(BigInt.asIntN(32, how.readBigUInt64LE(0))),
    mode: Number(how.readBigUInt64LE(8)),
    resolve: how.readUInt32LE(16),
  };
}
