/**
 * Permissions that no call of the kernel checks, because what happens is only noted: a name of the lower tree that is
 * gone. Needed where root's supervisor acts for a guest that is another user.
 */
import { Errno } from '../../runtime/errno.ts';
import { actingAs } from '../../runtime/files/identity.ts';
import { directoryOf, modeOf, STAT_SIZE } from '../../runtime/files/place.ts';
import { W_OK, X_OK } from '../../runtime/vm/access.ts';
import type { FileTree } from '../../runtime/vm/mounts.ts';

const S_ISVTX = 0o1000;
const ownerOf = (stat: Buffer): number => stat.readUInt32LE(28);

function allows(stat: Buffer, wanted: number): boolean {
  const who = actingAs();
  if (!who || who.uid === 0) return true;
  const mode = modeOf(stat);
  const group = stat.readUInt32LE(32);
  const shift = ownerOf(stat) === who.uid ? 6 : who.gid === group || who.groups.includes(group) ? 3 : 0;
  return ((mode >> shift) & wanted) === wanted;
}

/** EACCES unless the guest may write the file. */
export function requireWritable(stat: Buffer): void {
  if (!allows(stat, W_OK)) throw new Errno('EACCES');
}

/** EACCES or EPERM unless the guest may remove the name `path` (unlink(2)). */
export function requireRemovable(tree: FileTree, path: string): void {
  const who = actingAs();
  if (!who || who.uid === 0) return;
  const [directory, file] = [Buffer.alloc(STAT_SIZE), Buffer.alloc(STAT_SIZE)];
  if (typeof tree.find(directoryOf(path), directory) === 'number') return;
  if (!allows(directory, W_OK | X_OK)) throw new Errno('EACCES');
  if (!(modeOf(directory) & S_ISVTX) || ownerOf(directory) === who.uid) return;
  if (typeof tree.find(path, file) !== 'number' && ownerOf(file) !== who.uid) throw new Errno('EPERM');
}
