/** The files of stacks that the kernel knows nothing of (StackView.file), as guests find them in /proc and /sys. */
import { check, Errno } from '../../errno.ts';
import type { Stack, StackFile } from '../../ioth/stack.ts';
import { logger } from '../../log.ts';
import { native } from '../../native.ts';
import { mayConfigure } from '../../vm/access.ts';
import type { Claim, NodeAttributes, VirtualNode } from '../../vm/mounts.ts';
import { SYS } from '../table.ts';
import { O } from './redirect.ts';
import { AT_FDCWD } from './resolve.ts';
import { reopen, sealedFile } from './text.ts';

const log = logger('ioth');
const S_IFREG = 0o100000;
const SOCK_STREAM = 1;
const SHUT_WR = 1;
const MSG_DONTWAIT = 0x40;
/** Longest text that is taken from a writer. */
const LONGEST = 4096;

const inodes = new Map<string, number>();
/** A number for the file at `path`, always the same. */
function inodeOf(path: string): number {
  const known = inodes.get(path) ?? inodes.size + 1;
  inodes.set(path, known);
  return known;
}

/** What was written to files and has not been looked at yet. */
const writers = new Set<() => void>();

/**
 * A descriptor for writing to `file`: a stream socket, whose other end takes each write(2) as one text. What is wrong with
 * a text the writer does not get to know.
 */
function writer(file: StackFile, path: string): number {
  const pair = native().socketPair(SOCK_STREAM);
  if (typeof pair === 'number') throw new Errno(pair);
  const [guest, far] = pair;
  // Whoever reads gets the end of the file.
  native().syscall(SYS.shutdown, far, SHUT_WR);
  const buffer = new Uint8Array(LONGEST);
  const take = (): void => {
    for (;;) {
      const size = native().syscall(SYS.recvfrom, far, buffer, LONGEST, MSG_DONTWAIT, null, null);
      if (size < 0 && new Errno(size).code === 'EAGAIN') return;
      if (size <= 0) return end();
      try {
        file.write!(Buffer.from(buffer.subarray(0, size)).toString('latin1'));
      } catch (error) {
        if (!(error instanceof Errno)) throw error;
        log.info(`${path}: what was written was refused: ${error.message}`);
      }
    }
  };
  let watch: { stop(): void };
  try {
    watch = new (native().lwip!.Readable)(far, take);
  } catch {
    // This process has no descriptor left for it.
    for (const fd of pair) native().syscall(SYS.close, fd);
    throw new Errno('ENFILE');
  }
  function end(): void {
    writers.delete(take);
    watch.stop();
    native().syscall(SYS.close, far);
  }
  writers.add(take);
  return guest;
}

function reader(file: StackFile, path: string, flags: number): number {
  for (const take of writers) take();
  const name = path.slice(path.lastIndexOf('/') + 1);
  const fd = sealedFile(name, Buffer.from(file.read(), 'latin1'), 0o444);
  try {
    return reopen(fd, flags & ~O.TRUNC);
  } finally {
    native().syscall(SYS.close, fd);
  }
}

function nodeOf(file: StackFile, path: string): VirtualNode {
  const attributes: NodeAttributes = {
    mode: S_IFREG | (file.write ? 0o644 : 0o444),
    uid: process.geteuid!(),
    gid: process.getegid!(),
    ino: inodeOf(path),
    time: Math.floor(Date.now() / 1000),
    size: 0,
  };
  return {
    attributes,
    changeable: false,
    open: (flags, who) => {
      if (flags & O.PATH || (flags & O.ACCMODE) === 0) return reader(file, path, flags);
      if (!file.write || !mayConfigure(who, process.geteuid!())) throw new Errno('EACCES');
      const fd = writer(file, path);
      if ((flags & O.NONBLOCK) !== 0) check(native().syscall(SYS.fcntl, fd, 4, O.NONBLOCK));
      return fd;
    },
  };
}

/** The claim of a stack on `path` (such as /proc/net/dev, whatever the guest called it). */
export function stackClaim({ view }: Stack, path: string): Claim {
  const found = view.file?.(path);
  if (found === undefined) return { kind: 'deny', errno: 'ENOENT' };
  if ('read' in found) return { kind: 'node', node: nodeOf(found, path) };
  const place = view.directory?.(path);
  if (place === undefined) return { kind: 'deny', errno: 'ENOENT' };
  return { kind: 'redirect', dirfd: AT_FDCWD, path: place };
}
