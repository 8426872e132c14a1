/** Links of procfs (proc(5)), which lead the supervisor elsewhere than the guest that it follows them for. */

/** Where `self` and `thread-self` lead process `pid` and its thread `tid`; undefined for other paths. */
export function procTarget(path: string, pid: number, tid: number): string | undefined {
  if (path === '/proc/self') return String(pid);
  if (path === '/proc/thread-self') return `${pid}/task/${tid}`;
  return undefined;
}

/** Links that lead to an object, whatever their text says: cwd, root, exe, fd, ns, map_files. */
export const isMagic = (path: string, text: string): boolean =>
  path.startsWith('/proc/') && (text.startsWith('/') || text.includes(':['));
