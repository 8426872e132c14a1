/**
 * Descriptors that this process was given beyond the standard streams: `umvu diff <(a) <(b)`, `umvu cmd 5<file`.
 * Node makes most of them close-on-exec at its start, so the guest gets them only if they are named.
 */
import type { StdioOptions } from 'node:child_process';
import { fstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

const O_CLOEXEC = 0o2000000;
const O_ACCMODE = 3;

/** A descriptor above 2: what it is, whether it is close-on-exec, and O_RDONLY, O_WRONLY or O_RDWR. */
interface Descriptor {
  fd: number;
  link: string;
  cloexec: boolean;
  mode: number;
}

function describe(fd: number): Descriptor[] {
  try {
    const text = /^flags:\s+0?(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '0';
    const flags = parseInt(text, 8);
    const link = readlinkSync(`/proc/self/fd/${fd}`);
    return [{ fd, link, cloexec: (flags & O_CLOEXEC) !== 0, mode: flags & O_ACCMODE }];
  } catch {
    // The one that read the directory, closed by now.
    return [];
  }
}

/** Kinds of files that Node and libuv open for themselves, apart from pipes; /dev/null is libuv's spare. */
const NODES_OWN = /^(anon_inode:|socket:|\/dev\/null$)/;

/**
 * The descriptors that we were given and did not open ourselves. Node's own are close-on-exec. Of those that we
 * were given, Node makes only low numbers so; a pipe among them is given if Node has not both of its ends.
 */
function givenDescriptors(): number[] {
  try {
    const all = readdirSync('/proc/self/fd')
      .map(Number)
      .filter((fd) => fd > 2)
      .flatMap(describe);
    const bothEnds = ({ link, mode }: Descriptor) =>
      all.some((other) => other.link === link && other.mode !== mode);
    const given = (descriptor: Descriptor) =>
      !descriptor.cloexec ||
      (!NODES_OWN.test(descriptor.link) && !(fstatSync(descriptor.fd).isFIFO() && bothEnds(descriptor)));
    return all.filter(given).map(({ fd }) => fd);
  } catch {
    return [];
  }
}

// At once: later this process has files of its own.
const given = givenDescriptors();

/** Streams for a guest that is to have all descriptors that this process was given at its start. */
export function inheritedStdio(): StdioOptions {
  const stdio: (number | 'inherit' | null)[] = ['inherit', 'inherit', 'inherit'];
  for (const fd of given) {
    while (stdio.length < fd) stdio.push(null);
    stdio[fd] = fd;
  }
  return stdio;
}
