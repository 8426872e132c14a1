import { readlinkSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { Errno } from '../errno.ts';
import { AT_FDCWD, resolve } from '../syscalls/path/resolve.ts';
import type { Call } from './call.ts';

/** Normal form of an absolute byte-string path: no empty, `.` or `..` components, no trailing slash. */
export function normalize(path: string): string {
  const out: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') out.pop();
    else if (part !== '' && part !== '.') out.push(part);
  }
  return `/${out.join('/')}`;
}

/** As realpath(3), or undefined. Asynchronous, because a path may lead to a server that is itself a guest (FUSE). */
const real = async (path: string): Promise<string | undefined> => {
  try {
    return await realpath(Buffer.from(path, 'latin1'), 'latin1');
  } catch {
    return undefined;
  }
};

/** The absolute path that process `call.process` names, as it is written. */
export function absolutePath(call: Call, path: string): string {
  if (path === '') throw new Errno('ENOENT');
  if (path.startsWith('/')) return normalize(call.process.root + normalize(path));
  return normalize(`${readlinkSync(`/proc/${call.tid}/cwd`, 'latin1')}/${path}`);
}

/**
 * Canonical path of a mount point as process `call.process` names it. The target itself, and parents of it,
 * need not exist: a stack is mounted at a name, not on a file.
 */
export async function mountPoint(call: Call, path: string, follow: boolean): Promise<string> {
  const absolute = absolutePath(call, path);
  const target = resolve(call, AT_FDCWD, path, !follow);
  if (target) return target.path;
  if (call.process.view.mounts.at(absolute)) return absolute;
  if (follow) {
    const whole = await real(absolute);
    if (whole !== undefined) return whole;
  }
  // The deepest ancestor that exists is resolved, what lies below it is taken as it is.
  const parts = absolute.split('/').slice(1);
  for (let n = parts.length - 1; n > 0; n--) {
    const parent = await real(`/${parts.slice(0, n).join('/')}`);
    if (parent !== undefined) return normalize(`${parent}/${parts.slice(n).join('/')}`);
  }
  return absolute;
}
