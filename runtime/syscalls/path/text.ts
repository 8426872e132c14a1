/** Files whose content is a text that the supervisor makes. What guests get is a sealed memfd (memfd_create(2)). */
import { check, Errno } from '../../errno.ts';
import { native } from '../../native.ts';
import type { PathRule, VirtualNode } from '../../vm/mounts.ts';
import type { Process } from '../../vm/process.ts';
import { SYS } from '../table.ts';
import { AT_FDCWD } from './resolve.ts';
import { O } from './redirect.ts';
import { decodeStat } from './structs.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE */
const ALL_SEALS = 0xf;
const AT_EMPTY_PATH = 0x1000;
/** Different texts of one file that are kept open, for processes that see different ones. */
const MOST_TEXTS = 32;

/** A descriptor of an unchangeable file with these bytes; the caller closes it. Throws Errno. */
export function sealedFile(name: string, bytes: Uint8Array, mode: number): number {
  const fd = check(native().syscall(SYS.memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  try {
    for (let done = 0; done < bytes.length;) {
      done += check(native().syscall(SYS.write, fd, bytes.subarray(done), bytes.length - done));
    }
    check(native().syscall(SYS.fchmod, fd, mode));
    check(native().syscall(SYS.fcntl, fd, F_ADD_SEALS, ALL_SEALS));
    return fd;
  } catch (error) {
    native().syscall(SYS.close, fd);
    throw error;
  }
}

/** Opens the file behind `fd` anew for reading, with an offset of its own. EROFS where `flags` ask for more. */
export function reopen(fd: number, flags: number): number {
  if (!(flags & O.PATH) && ((flags & O.ACCMODE) !== 0 || flags & O.TRUNC)) throw new Errno('EROFS');
  // The path is a link, also where the guest's was none.
  const mine = (flags & ~(O.CREAT | O.EXCL | O.NOFOLLOW)) | O.CLOEXEC;
  return check(native().syscall(SYS.openat, AT_FDCWD, `/proc/self/fd/${fd}`, mine));
}

/** A node for a sealed file; it shows what fstat(2) of an opened one shows. The caller keeps and closes `fd`. */
function nodeOf(fd: number): VirtualNode {
  const stat = Buffer.alloc(144);
  check(native().syscall(SYS.newfstatat, fd, '', stat, AT_EMPTY_PATH));
  return { attributes: decodeStat(stat), changeable: false, open: (flags) => reopen(fd, flags) };
}

/** Nodes for the texts that one file has had lately. Guests' descriptors stay good when one is dropped here. */
class Texts {
  readonly #name: string;
  readonly #mode: number;
  readonly #files = new Map<string, { fd: number; node: VirtualNode }>();

  constructor(name: string, mode: number) {
    this.#name = name;
    this.#mode = mode;
  }

  node(content: string): VirtualNode {
    const known = this.#files.get(content);
    if (known) return known.node;
    for (const [oldest, { fd }] of this.#files) {
      if (this.#files.size < MOST_TEXTS) break;
      native().syscall(SYS.close, fd);
      this.#files.delete(oldest);
    }
    const fd = sealedFile(this.#name, Buffer.from(content), this.#mode);
    const node = nodeOf(fd);
    this.#files.set(content, { fd, node });
    return node;
  }

  close(): void {
    for (const { fd } of this.#files.values()) native().syscall(SYS.close, fd);
    this.#files.clear();
  }
}

/** A rule that holds descriptors. */
export interface TextRule extends PathRule {
  /** Closes what the rule holds; descriptors that guests have stay good. */
  close(): void;
}

/**
 * Puts a file with a text of its own at `path`, for those processes for which `text` has one; the others see the
 * host's file. The text is encoded in UTF-8.
 */
export function textFile(
  path: string,
  text: (process: Process) => string | undefined,
  mode = 0o444,
): TextRule {
  const texts = new Texts(path.slice(path.lastIndexOf('/') + 1), mode);
  return {
    prefix: path,
    claim(_path, process) {
      const content = text(process);
      return content === undefined ? undefined : { kind: 'node', node: texts.node(content) };
    },
    close: () => texts.close(),
  };
}

/** A node that holds descriptors. */
export interface TextNode extends VirtualNode {
  /** Closes what the node holds; descriptors that guests have stay good. */
  close(): void;
}

/** A read-only file for a mount, whose content is what `text` gives when it is opened or looked at. */
export function textNode(text: () => string, mode = 0o444): TextNode {
  const texts = new Texts('text', mode);
  return {
    get attributes() {
      return texts.node(text()).attributes;
    },
    changeable: false,
    open: (flags, process) => texts.node(text()).open(flags, process),
    close: () => texts.close(),
  };
}
