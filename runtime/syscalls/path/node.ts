/** Calls on files that exist only in a view: each is like a file that something is mounted on. */
import { Errno } from '../../errno.ts';
import { mayUse, requireOwner, R_OK, W_OK, X_OK } from '../../vm/access.ts';
import type { Call } from '../../vm/call.ts';
import type { VirtualNode } from '../../vm/mounts.ts';
import { inject, type Answer, type Outcome } from '../outcome.ts';
import { O } from './redirect.ts';
import { S_IFREG, typeOf } from './structs.ts';

const PERMISSIONS = 0o7777;
/** Nanoseconds of utimensat(2) with a meaning of their own. */
const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;

export function openNode(call: Call, node: VirtualNode, flags: number): Answer {
  if (flags & O.CREAT && flags & O.EXCL) throw new Errno('EEXIST');
  if (flags & O.DIRECTORY) throw new Errno('ENOTDIR');
  if (!(flags & O.PATH)) {
    const writes = (flags & O.ACCMODE) !== 0 || (flags & O.TRUNC) !== 0;
    const reads = (flags & O.ACCMODE) !== 1;
    const wanted = (reads ? R_OK : 0) | (writes ? W_OK : 0);
    if (!mayUse(node.attributes, call.process, wanted)) throw new Errno('EACCES');
  }
  const cloexec = (flags & O.CLOEXEC) !== 0;
  const fd = node.open(flags, call.process, call);
  return typeof fd === 'number' ? inject(fd, cloexec) : fd.then((opened) => inject(opened, cloexec));
}

export function accessNode(call: Call, node: VirtualNode, mode: number): Outcome {
  if (mode & ~(R_OK | W_OK | X_OK)) throw new Errno('EINVAL');
  if (!mayUse(node.attributes, call.process, mode)) throw new Errno('EACCES');
  return 0;
}

function requireChangeable(call: Call, node: VirtualNode): void {
  if (!node.changeable) throw new Errno('EPERM');
  requireOwner(call.process, node.attributes.uid);
}

export function chmodNode(call: Call, node: VirtualNode, mode: number): Outcome {
  requireChangeable(call, node);
  node.attributes.mode = (node.attributes.mode & ~PERMISSIONS) | (mode & PERMISSIONS);
  return 0;
}

/** As chown(2): root may do all, the owner may give the file to a group of his. -1 leaves an id as it is. */
export function chownNode(call: Call, node: VirtualNode, uid: number, gid: number): Outcome {
  requireChangeable(call, node);
  const who = call.process.credentials();
  if (!who) throw new Errno('ESRCH');
  const file = node.attributes;
  if (who.uid !== 0) {
    if (uid !== -1 && uid >>> 0 !== file.uid) throw new Errno('EPERM');
    if (gid !== -1 && gid >>> 0 !== who.gid && !who.groups.includes(gid >>> 0)) throw new Errno('EPERM');
  }
  if (uid !== -1) file.uid = uid >>> 0;
  if (gid !== -1) file.gid = gid >>> 0;
  return 0;
}

/** Where the time of modification lies in what a call of the utime family takes. */
export interface TimeFormat {
  /** Offsets of the seconds and of the fraction; no fraction for utime(2). */
  seconds: number;
  fraction?: number;
  /** Fractions per second. */
  unit: number;
  length: number;
}

/** utimensat(2) and its older forms: a virtual file has one time, that of its modification. */
export function touchNode(call: Call, node: VirtualNode, times: number, format: TimeFormat): Outcome {
  const bytes = times === 0 ? undefined : call.read(times, format.length);
  const fraction = bytes && format.fraction !== undefined ? Number(bytes.readBigInt64LE(format.fraction)) : 0;
  const special = format.unit === 1e9;
  if (special && bytes && fraction === UTIME_OMIT) return 0;
  const now = !bytes || (special && fraction === UTIME_NOW);
  if (!node.changeable) throw new Errno('EPERM');
  // Whoever may write a file may also set its time, but only to the present.
  if (!now || !mayUse(node.attributes, call.process, W_OK)) requireOwner(call.process, node.attributes.uid);
  node.attributes.time = now
    ? Date.now() / 1000
    : Number(bytes.readBigInt64LE(format.seconds)) + fraction / format.unit;
  return 0;
}

export function truncateNode(node: VirtualNode): never {
  throw new Errno(typeOf(node.attributes.mode) === S_IFREG ? 'EROFS' : 'EINVAL');
}
