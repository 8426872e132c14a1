import { readFileSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { native, type ProcessWatcher } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import { viewsChanged } from './epoch.ts';
import { Process, type Inherited } from './process.ts';

/** What /proc/TID/status tells about lineage. */
interface Lineage {
  tgid: number;
  ppid: number;
}

function lineage(tid: number): Lineage | undefined {
  try {
    const text = readFileSync(`/proc/${tid}/status`, 'latin1');
    const number = (key: string) => Number(new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(text)?.[1]);
    return { tgid: number('Tgid'), ppid: number('PPid') };
  } catch {
    return undefined;
  }
}

/** Children of process `pid`, of all its threads. */
export function children(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
      readFileSync(`/proc/${pid}/task/${tid}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

/**
 * The processes of the guests that have made a trapped call, and what each inherits.
 *
 * Nothing is known of a process before its first trapped call (DESIGN §3): then it takes the state of its
 * parent. So that this is the state at the time of the fork, a process whose state is about to change, or
 * which exits, first hands its state to the children that are still unknown. A process that was killed could
 * not: its orphans are found among the children of the keeper, their subreaper.
 */
export class ProcessTable {
  readonly #processes = new Map<number, Process>();
  /** Threads that made a call, by thread id. */
  readonly #threads = new Map<number, Process>();
  /** Number of them at which those that have ended are looked for. */
  #manyThreads = MANY_THREADS;
  /** Keepers of guest trees, where lineage ends, and the state that their trees started with. */
  readonly #keepers = new Map<number, Inherited>();
  readonly #watcher: ProcessWatcher;
  readonly #root: Inherited;
  readonly #ended: (process: Process) => void;

  /** `root` is the state of a process of unknown descent; `ended` is called once for each process that ends. */
  constructor(root: Inherited, ended: (process: Process) => void) {
    this.#root = root;
    this.#ended = ended;
    this.#watcher = new (native().ProcessWatcher)((pid) => this.#end(pid));
  }

  /** The process to which thread `tid`, which waits in a trapped call, belongs; undefined if it is gone. */
  ofThread(tid: number): Process | undefined {
    const known = this.#threads.get(tid);
    // A main thread is dropped when its process ends. Another thread id may have passed to another process.
    if (known && (known.pid === tid || belongs(tid, known.pid))) return known;
    const origin = lineage(tid);
    const process = origin && this.#find(origin.tgid, origin.ppid, 0);
    if (!process) return undefined;
    this.#threads.set(tid, process);
    if (this.#threads.size >= this.#manyThreads) this.#forgetThreads();
    return process;
  }

  /** Nobody tells of the end of a single thread: a process that has many, one after the other, would fill memory. */
  #forgetThreads(): void {
    for (const [tid, { pid }] of this.#threads)
      if (tid !== pid && !belongs(tid, pid)) this.#threads.delete(tid);
    this.#manyThreads = Math.max(MANY_THREADS, 2 * this.#threads.size);
  }

  /** The process with this pid, if it has been seen. */
  get(pid: number): Process | undefined {
    return this.#processes.get(pid);
  }

  all(): IterableIterator<Process> {
    return this.#processes.values();
  }

  /** Enters process `pid` with a given state; undefined if it is gone. */
  add(pid: number, state: Inherited): Process | undefined {
    const pidfd = this.#watcher.add(pid);
    if (pidfd < 0) return undefined;
    const process = new Process(pid, pidfd, state);
    this.#processes.set(pid, process);
    return process;
  }

  /** Declares `pid` the keeper of a guest tree that starts with `state`. */
  addKeeper(pid: number, state: Inherited): void {
    this.#keepers.set(pid, state);
  }

  removeKeeper(pid: number): void {
    this.#keepers.delete(pid);
  }

  #find(pid: number, ppid: number, depth: number): Process | undefined {
    // A parent that was killed a moment ago hands over its orphans when its end is told.
    this.#watcher.flush();
    return this.#processes.get(pid) ?? this.add(pid, this.#inherited(ppid, depth));
  }

  #inherited(ppid: number, depth: number): Inherited {
    const keeper = this.#keepers.get(ppid);
    if (keeper) return keeper;
    const origin = ppid > 1 && depth < MAX_LINEAGE ? lineage(ppid) : undefined;
    return (origin && this.#find(origin.tgid, origin.ppid, depth + 1)) ?? this.#root;
  }

  /** Makes all still unknown children of `process` take its present state. */
  adoptChildren(process: Process): void {
    this.#adopt(process.pid, process);
  }

  /**
   * Makes `root` (a path in the view) the root directory of the process that thread `tid` belongs to, and of those that
   * share theirs with it (clone(2), CLONE_FS).
   */
  changeRoot(process: Process, tid: number, root: string): void {
    const sharing = (): Process[] =>
      [...this.#processes.values()].filter(
        (other) => other === process || native().syscall(SYS.kcmp, tid, other.pid, KCMP_FS, 0, 0) === 0,
      );
    // Children that were not seen yet have the old root, unless they share it themselves.
    for (const each of sharing()) this.adoptChildren(each);
    for (const each of sharing()) {
      each.root = root;
      each.view.hasRoots();
      each.special = true;
    }
    viewsChanged();
  }

  #adopt(parent: number, state: Inherited): void {
    for (const pid of children(parent)) {
      if (!this.#processes.has(pid)) this.add(pid, state);
    }
  }

  #end(pid: number): void {
    const process = this.#processes.get(pid);
    if (!process) return;
    if (!process.exiting && process.special)
      for (const keeper of this.#keepers.keys()) this.#adopt(keeper, process);
    this.#processes.delete(pid);
    for (const [tid, owner] of this.#threads) if (owner === process) this.#threads.delete(tid);
    this.#watcher.remove(pid);
    this.#ended(process);
  }

  /**
   * Kills the processes that no keeper watches over, because theirs was killed (by a guest of the same user, or for
   * want of memory). Where a keeper did its work there are none.
   */
  endStrays(): void {
    this.#watcher.flush();
    const strays = [...this.#processes.values()].filter(({ pid }) => !this.#isKept(pid));
    const seen = new Set(strays.map(({ pid }) => pid));
    // They are stopped first: whom a running one started meanwhile would be missed.
    for (const stray of strays) {
      signal(stray, constants.signals.SIGSTOP);
      this.adoptChildren(stray);
      for (const pid of children(stray.pid)) {
        const child = this.#processes.get(pid);
        if (!child || seen.has(pid)) continue;
        seen.add(pid);
        strays.push(child);
      }
    }
    for (const stray of strays) signal(stray, constants.signals.SIGKILL);
  }

  #isKept(pid: number): boolean {
    for (let at: number | undefined = pid, depth = 0; at !== undefined && depth < MAX_LINEAGE; depth++) {
      if (this.#keepers.has(at)) return true;
      at = lineage(at)?.ppid;
    }
    return false;
  }

  close(): void {
    this.#watcher.close();
    this.#processes.clear();
    this.#threads.clear();
  }
}

/** So many threads are remembered without a look at whether they are still there. */
const MANY_THREADS = 4096;

const signal = ({ pidfd }: Process, number: number): void =>
  void native().syscall(SYS.pidfd_send_signal, pidfd, number, null, 0);

/** Longer chains of unseen ancestors are cut: nobody forks that deep without one trapped call. */
const MAX_LINEAGE = 1000;

/** Whether thread `tid` is (still) one of process `pid`; a thread of another user counts as one. */
function belongs(tid: number, pid: number): boolean {
  return native().syscall(SYS.tgkill, pid, tid, 0) !== -ESRCH;
}
const ESRCH = constants.errno.ESRCH;

/** kcmp(2): working directory, root directory and umask. */
const KCMP_FS = 3;
