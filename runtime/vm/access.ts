import { Errno } from '../errno.ts';
import type { NodeAttributes } from './mounts.ts';
import type { Process } from './process.ts';

/** Permissions of access(2). */
export const R_OK = 4;
export const W_OK = 2;
export const X_OK = 1;

/**
 * Whether `process` has permissions `wanted` (R_OK | W_OK | X_OK) on a virtual file, by its owner and mode as
 * path_resolution(7) has it. Reads the identity of the process only when the mode alone does not say yes.
 */
export function mayUse(file: NodeAttributes, process: Process, wanted: number): boolean {
  const [user, group, other] = [(file.mode >> 6) & 7, (file.mode >> 3) & 7, file.mode & 7];
  if ((user & group & other & wanted) === wanted) return true;
  const who = process.credentials();
  if (!who) return false;
  // CAP_DAC_OVERRIDE, as root has it; execution needs at least one x bit.
  if (who.uid === 0) return (wanted & X_OK) === 0 || (file.mode & 0o111) !== 0;
  const bits =
    who.uid === file.uid ? user : who.gid === file.gid || who.groups.includes(file.gid) ? group : other;
  return (bits & wanted) === wanted;
}

/**
 * Whether `process` acts for root or for the user who runs the VM. These own what a view has (network namespaces
 * among it) and may configure it; a guest that has changed to another user may not.
 */
export function mayConfigure(process: Process, owner: number): boolean {
  const uid = process.credentials()?.uid;
  return uid === 0 || uid === owner;
}

/** Throws EPERM unless {@link mayConfigure}. */
export function requireOwner(process: Process, owner: number): void {
  if (!mayConfigure(process, owner)) throw new Errno('EPERM');
}
