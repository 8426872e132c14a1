/** What the source of a mount is in a view. */
import { realpathSync } from 'node:fs';
import { Errno } from '../errno.ts';
import { claimAt } from '../syscalls/path/compiled.ts';
import type { FileTree } from '../vm/mounts.ts';
import { normalize } from '../vm/paths.ts';
import type { Process } from '../vm/process.ts';
import type { View } from '../vm/view.ts';

/** A real path of the host, or a path in a tree of the view. */
export interface Source {
  readonly path: string;
  readonly tree?: FileTree;
}

/**
 * The file or directory `text` (absolute, a byte string) of the view of `process`. ENOENT where there is none.
 * Symbolic links of the host are followed.
 */
export function sourceIn(view: View, text: string, process: Process | undefined): Source {
  if (!text.startsWith('/')) throw new Errno(text === '' ? 'EINVAL' : 'ENOENT', `source «${text}»`);
  const path = normalize(text);
  const claim = process && claimAt(view, path, process);
  const mount = claim ? undefined : view.mounts.covering(path);
  if (claim?.kind === 'tree') return { tree: claim.tree, path: claim.path };
  if (mount?.tree)
    return { tree: mount.tree, path: path === mount.target ? '' : path.slice(mount.target.length + 1) };
  if (claim && claim.kind !== 'redirect') throw new Errno('EINVAL', `${text} is a single virtual file`);
  try {
    return { path: realpathSync(Buffer.from(path, 'latin1'), 'latin1') };
  } catch (error) {
    throw new Errno((error as NodeJS.ErrnoException).errno ?? 'ENOENT', `source ${text}`);
  }
}
