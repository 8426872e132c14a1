/** Layers: real directory trees (or single files) of which the trees of a view are made. */
import { readlinkSync } from 'node:fs';
import { Errno } from '../errno.ts';
import { once, logger } from '../log.ts';
import { native } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import type { Mounter } from './mounter.ts';

const log = logger('files');
const AT_FDCWD = -100;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const O_NOFOLLOW = 0o400000;
const O_DIRECTORY = 0o200000;

/** A real tree below one root. */
export interface Layer {
  /** Descriptor (O_PATH) of the root. */
  readonly fd: number;
  /** Canonical path of the root in the host's tree, "" for "/". */
  readonly source: string;
  /** How /proc/PID/cwd and /proc/PID/fd name the root; shared with the host where there is no private mount. */
  readonly prefix: string;
  /** The kernel refuses changes through this layer. */
  readonly readOnly: boolean;
  close(): void;
}

/** Closes a descriptor of the supervisor. */
export const closeFd = (fd: number): void => void native().syscall(SYS.close, fd);

/** The host's own tree, as the supervisor sees it. */
let hostLayer: Layer | undefined;
export function hostRoot(): Layer {
  if (hostLayer) return hostLayer;
  const fd = native().syscall(SYS.openat, AT_FDCWD, '/', O_PATH | O_CLOEXEC | O_DIRECTORY);
  if (fd < 0) throw new Errno(fd);
  return (hostLayer = { fd, source: '', prefix: '', readOnly: false, close: () => undefined });
}

/**
 * A layer for `source`, a canonical path of the host (byte string). Where no private mount can be made (user
 * namespaces are forbidden) directories of the layer are told from others by their paths alone.
 */
export function openLayer(mounter: Mounter, source: string, readOnly: boolean): Layer {
  const root = source === '/' ? '' : source;
  try {
    const added = mounter.add(source, readOnly);
    const { fd } = added;
    let open = true;
    const close = (): void => {
      if (open) closeFd(fd);
      if (open) added.remove();
      open = false;
    };
    return { fd, source: root, prefix: linkOf(fd), readOnly, close };
  } catch (error) {
    if (!(error instanceof Errno) || error.code === 'ENOENT' || error.code === 'EACCES') throw error;
    once(log, 'mounter', `no private mounts: ${error.message}`);
  }
  const fd = native().syscall(SYS.openat, AT_FDCWD, source, O_PATH | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) throw new Errno(fd);
  return { fd, source: root, prefix: root, readOnly: false, close: () => closeFd(fd) };
}

const linkOf = (fd: number): string => readlinkSync(`/proc/self/fd/${fd}`, 'latin1');
