/**
 * Which sockets of isolated stacks descriptors are: one is known by its inode, or, when it was accepted by the guest
 * itself, by the name of its peer.
 */
import { native } from '../../../native.ts';
import type { IsolatedChild } from './child.ts';
import { type Kind, parseKind } from './protocol.ts';

const SYS_GETPEERNAME = 52;
/** Ids of one stack; those of stacks in this process are smaller (native/src/lwip/host.h counts them). */
const IDS = 2 ** 32;
const S_IFMT = 0o170000;
const S_IFSOCK = 0o140000;
/** In struct stat of x86_64. */
const STAT = { size: 144, ino: 8, mode: 24 } as const;
const SOCKADDR_UN = 110;
const AF_UNIX = 1;
const AF_INET = 2;
const SOCK_STREAM = 1;

/** A socket that is known. */
export interface Known extends Omit<Kind, 'id'> {
  /** Unique in this process. */
  readonly id: number;
  readonly inode: number;
}

const stacks = new Map<number, SocketTable>();
const byInode = new Map<number, Known>();
let lastStack = 0;

const stat = Buffer.alloc(STAT.size);
const peer = Buffer.alloc(SOCKADDR_UN);

/** Inode of descriptor `fd` where it is a socket; 0 otherwise. */
function inodeOf(fd: number): number {
  if (native().look(fd, '', stat) < 0 || (stat.readUInt32LE(STAT.mode) & S_IFMT) !== S_IFSOCK) return 0;
  return Number(stat.readBigUInt64LE(STAT.ino));
}

/** The abstract name of the peer of `fd`. */
function peerName(fd: number): string {
  const length = Buffer.from(Uint32Array.of(SOCKADDR_UN).buffer);
  if (native().syscall(SYS_GETPEERNAME, fd, peer, length) < 0 || peer.readUInt16LE(0) !== AF_UNIX) return '';
  const size = Math.min(length.readUInt32LE(0), SOCKADDR_UN);
  return peer[2] === 0 ? peer.toString('latin1', 3, Math.max(3, size)) : '';
}

/** The sockets of one isolated stack. */
export class SocketTable {
  readonly #child: IsolatedChild;
  readonly #base = ++lastStack * IDS;
  readonly #known = new Map<number, Known>();

  constructor(child: IsolatedChild) {
    this.#child = child;
    stacks.set(this.#base, this);
  }

  get child(): IsolatedChild {
    return this.#child;
  }

  /** The id in this process of what the process of the stack calls `id`. */
  globalId(id: number): number {
    return this.#base + id;
  }

  all(): Known[] {
    return [...this.#known.values()];
  }

  /** Notes that `fd` is the guest's end of a socket; undefined where it cannot be. */
  add({ id, ...kind }: Kind, fd: number): Known | undefined {
    const inode = inodeOf(fd);
    if (inode === 0 || (byInode.has(inode) && byInode.get(inode)!.id !== this.globalId(id))) return undefined;
    const known = { ...kind, id: this.globalId(id), inode };
    this.#known.set(known.id, known);
    byInode.set(inode, known);
    return known;
  }

  remove(id: number): void {
    const known = this.#known.get(id);
    if (!known) return;
    this.#known.delete(id);
    byInode.delete(known.inode);
  }

  /** The connection that its peer calls number `id`; the guest has accepted it without asking for an address. */
  accepted(id: number, fd: number): Known | undefined {
    const answer = this.#child.call('identify', {}, fd);
    const kind = parseKind(answer.bytes);
    // Where the stack is down, what is left of it is that.
    if (answer.result < 0)
      return this.#child.alive
        ? undefined
        : this.add({ id, domain: AF_INET, type: SOCK_STREAM, protocol: 0 }, fd);
    const known = kind?.id === id ? this.add(kind, fd) : undefined;
    if (!known) this.#child.giveUp('tells nonsense (a socket)');
    return known;
  }

  close(): void {
    for (const { id } of this.all()) this.remove(id);
    stacks.delete(this.#base);
  }
}

/** The socket that descriptor `fd` of this process is; undefined where it is of no isolated stack. */
export function findSocket(fd: number): Known | undefined {
  const known = byInode.get(inodeOf(fd));
  if (known) return known;
  const name = /^(umvu-\d{1,20}-)(\d{1,9})$/.exec(peerName(fd));
  if (!name) return undefined;
  for (const table of stacks.values())
    if (table.child.prefix === name[1]) return table.accepted(Number(name[2]), fd);
  return undefined;
}

/** The process that has socket `id`, and what it calls it; undefined where that is one of this process. */
export function placeOf(id: number): { child: IsolatedChild | undefined; local: number } | undefined {
  if (id < IDS) return undefined;
  const local = id % IDS;
  return { child: stacks.get(id - local)?.child, local };
}

/** Whether some isolated stack is down. */
export const anyDown = (): boolean => [...stacks.values()].some(({ child }) => !child.alive);
