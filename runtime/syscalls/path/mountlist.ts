/** /proc/PID/mounts, mountinfo and mountstats (proc_pid_mountinfo(5)) with the mounts of a view. */
import { readFileSync } from 'node:fs';
import { native } from '../../native.ts';
import type { Mount, PathRule, VirtualNode } from '../../vm/mounts.ts';
import type { View } from '../../vm/view.ts';
import { SYS } from '../table.ts';
import { AT_FDCWD, covering } from './resolve.ts';
import { subjectOf, type Lookup } from './subject.ts';
import { decodeStat, VIRTUAL_DEVICE } from './structs.ts';
import { reopen, sealedFile } from './text.ts';

/** Blanks, backslashes and "#" are written in octal. */
const escape = (text: string): string =>
  text.replace(/[ \t\n\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(parseInt(digits, 8)));

const sourceOf = (mount: Mount): string => escape(mount.source || 'none');
const optionsOf = (mount: Mount): string => escape(mount.options === '' ? 'rw' : `rw,${mount.options}`);

/** Mount ids of the kernel are small: these cannot meet them. */
const FIRST_ID = 0x4000_0000;
const ids = new WeakMap<Mount, number>();
let lastId = FIRST_ID;
function idOf(mount: Mount): number {
  const id = ids.get(mount) ?? ++lastId;
  ids.set(mount, id);
  return id;
}

/** The id of the mount of the kernel that `target` lies on, by the text of mountinfo. */
function parentOf(target: string, mountinfo: string): string {
  let best = { id: '1', length: -1 };
  for (const line of mountinfo.split('\n')) {
    const [id = '', , , , point = ''] = line.split(' ');
    const at = unescape(point);
    if (at !== '' && covering(at)(target) && at.length >= best.length) best = { id, length: at.length };
  }
  return best.id;
}

/** The line of a mount in each of the files. */
const LINES: Record<string, (mount: Mount, host: string) => string> = {
  mounts: (mount) =>
    `${sourceOf(mount)} ${escape(mount.target)} ${escape(mount.type)} ${optionsOf(mount)} 0 0`,
  mountinfo: (mount, host) =>
    `${idOf(mount)} ${parentOf(mount.target, host)} ${VIRTUAL_DEVICE.major}:${VIRTUAL_DEVICE.minor} / ` +
    `${escape(mount.target)} rw - ${escape(mount.type)} ${sourceOf(mount)} ${optionsOf(mount)}`,
  mountstats: (mount) =>
    `device ${sourceOf(mount)} mounted on ${escape(mount.target)} with fstype ${escape(mount.type)}`,
};

/** What the kernel has in `path` and, after it, the mounts of `view`. */
export function mountList(path: string, view: View): string {
  const host = readFileSync(path, 'latin1');
  const line = LINES[path.slice(path.lastIndexOf('/') + 1)];
  return (
    host +
    view.mounts
      .list()
      .map((mount) => `${line?.(mount, host)}\n`)
      .join('')
  );
}

/** A file of procfs whose text is made when it is opened; like all of them it shows no size. */
function procNode(path: string, view: View): VirtualNode | undefined {
  const stat = Buffer.alloc(144);
  if (native().syscall(SYS.newfstatat, AT_FDCWD, path, stat, 0) < 0) return undefined;
  const open = (flags: number): number => {
    const fd = sealedFile('mounts', Buffer.from(mountList(path, view), 'latin1'), 0o444);
    try {
      return reopen(fd, flags);
    } finally {
      native().syscall(SYS.close, fd);
    }
  };
  return { attributes: decodeStat(stat), changeable: false, open };
}

/** The lists of mounts in /proc of guests whose view has mounts of its own. */
export function mountsRule(lookup: Lookup): PathRule[] {
  const prefixes = ['/proc/*', '/proc/*/task/*'].flatMap((dir) =>
    Object.keys(LINES).map((name) => `${dir}/${name}`),
  );
  return prefixes.map((prefix) => ({
    prefix,
    claim(path) {
      const view = subjectOf(path, lookup)?.view;
      if (!view || view.mounts.list().length === 0) return undefined;
      const node = procNode(path, view);
      return node && { kind: 'node', node };
    },
  }));
}
