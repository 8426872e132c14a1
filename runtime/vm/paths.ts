import { readlinkSync, realpathSync } from 'node:fs';
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

const real = (path: string): string | undefined => {
  try {
    return realpathSync(Buffer.from(path, 'latin1'), 'latin1');
  } catch {
    return undefined;
  }
};

/**
 * Canonical path of a mount point as process `call.process` names it. The target itself, and parents of it,
 * need not exist: a stack is mounted at a name, not on a file.
 */
export function mountPoint(call: Call, path: string, follow: boolean): string {
  if (path === '') throw new Errno('ENOENT');
  const target = resolve(call, AT_FDCWD, path, !follow);
  if (target) return target.path;
  const base = path.startsWith('/') ? '' : readlinkSync(`/proc/${call.tid}/cwd`, 'latin1');
  const absolute = normalize(`${base}/${path}`);
  if (call.process.view.mounts.at(absolute)) return absolute;
  if (follow) {
    const whole = real(absolute);
    if (whole !== undefined) return whole;
  }
  // The deepest ancestor that exists is resolved, what lies below it is taken as it is.
  const parts = absolute.split('/').slice(1);
  for (let n = parts.length - 1; n > 0; n--) {
    const parent = real(`/${parts.slice(0, n).join('/')}`);
    if (parent !== undefined) return normalize(`${parent}/${parts.slice(n).join('/')}`);
  }
  return absolute;
}
