import { readFileSync } from 'node:fs';
import type { Stack } from '../ioth/stack.ts';
import { viewsChanged } from './epoch.ts';
import type { Mount } from './mounts.ts';
import { DEFAULT_STACK, type View } from './view.ts';

/** Effective identity of a process, for permission checks on virtual files. */
export interface Credentials {
  uid: number;
  gid: number;
  groups: number[];
}

/** Effective identity and umask, as the calls that make and open files use them. */
export interface Identity extends Credentials {
  umask: number;
}

/** How long after a change of identity was seen nothing is remembered of it, in ms: it is done after it is seen. */
const CHANGE_MS = 50;

/** What a process inherits from its parent at fork and keeps over exec. */
export interface Inherited {
  view: View;
  /** Default stack chosen by msocket(…, SOCK_DEFAULT) per address family; `null` is the host's network. */
  readonly defaults: ReadonlyMap<number, Mount | null>;
  /** Path in the view of the root directory (chroot(2)); "" for that of the kernel. */
  readonly root?: string;
  /** True when this differs from what the tree of the process started with, so that children must inherit it. */
  readonly special: boolean;
}

/** A process (thread group) of a guest. */
export class Process implements Inherited {
  readonly pid: number;
  readonly pidfd: number;
  view: View;
  defaults: ReadonlyMap<number, Mount | null>;
  root: string;
  /** True once exit_group was seen: its children know their state. */
  exiting = false;
  special: boolean;
  /** Why the last operation on the view failed, in words (VU_ERROR). */
  lastError = '';

  constructor(pid: number, pidfd: number, inherited: Inherited) {
    this.pid = pid;
    this.pidfd = pidfd;
    this.view = inherited.view;
    this.defaults = inherited.defaults;
    this.root = inherited.root ?? '';
    this.special = inherited.special;
  }

  /** The mount of the stack this process uses for `family`; undefined for the host's network. */
  stackMount(family: number): Mount | undefined {
    const chosen = this.defaults.get(family);
    if (chosen !== undefined) return chosen ?? undefined;
    return this.view.mounts.at(DEFAULT_STACK);
  }

  /** The stack this process uses for `family`; undefined for the host's network. */
  stack(family: number): Stack | undefined {
    const stack = this.stackMount(family)?.stack;
    return stack?.isHost ? undefined : stack;
  }

  #identity: Identity | undefined;
  /** Before this time (performance.now()) the identity is not remembered. */
  #changing = 0;

  /**
   * As {@link credentials}, with the umask. It is remembered until {@link identityChanges} where `told` is true,
   * that is, where the calls that change it are trapped.
   */
  identity(told: boolean): Identity | undefined {
    if (!told) return this.#readIdentity();
    if (this.#identity) return this.#identity;
    const identity = this.#readIdentity();
    if (performance.now() >= this.#changing) this.#identity = identity;
    return identity;
  }

  /** The identity, where it is remembered: then it stays what it is until {@link identityChanges}. */
  settledIdentity(): Identity | undefined {
    this.identity(true);
    return this.#identity;
  }

  /** The process is about to change its user, groups or umask. */
  identityChanges(): void {
    viewsChanged();
    this.#identity = undefined;
    this.#changing = performance.now() + CHANGE_MS;
  }

  /** Reads the effective ids (about 15 µs). Undefined when the process is gone. */
  credentials(): Credentials | undefined {
    return this.#readIdentity();
  }

  #readIdentity(): Identity | undefined {
    try {
      const text = readFileSync(`/proc/${this.pid}/status`, 'latin1');
      const line = (key: string) =>
        (new RegExp(`^${key}:(.*)$`, 'm').exec(text)?.[1] ?? '').trim().split(/\s+/);
      return {
        uid: Number(line('Uid')[1]),
        gid: Number(line('Gid')[1]),
        groups: line('Groups').filter(Boolean).map(Number),
        umask: parseInt(line('Umask')[0] ?? '22', 8),
      };
    } catch {
      return undefined;
    }
  }
}
