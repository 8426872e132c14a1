/**
 * Which threads the addon may answer for (native/src/path_front.h). A thread is entered with its first call that
 * came to a handler, and not while that call is parked or rewritten: what comes from it then is no new call.
 */
import { devicesOf } from '../devices/table.ts';
import { native, type PathFront } from '../native.ts';
import { frontTable } from '../syscalls/path/resolve.ts';
import type { Call } from './call.ts';
import { epoch } from './epoch.ts';
import type { Process } from './process.ts';
import type { Vm } from './vm.ts';

/** What the addon has answered of one kind of call. */
export interface FrontCount {
  nr: number;
  calls: number;
  passed: number;
  failed: number;
  /** Nanoseconds. */
  time: number;
}

export class Front {
  readonly native: PathFront;
  /** Main threads that were entered, and the state of the world at that time. */
  readonly #entered = new WeakMap<Process, number>();

  constructor(measure: boolean) {
    this.native = new (native().PathFront)(epoch, measure);
  }

  /** The next call of this caller may be answered by the addon. */
  enter({ vm, process, tid }: Call): void {
    const main = tid === process.pid;
    if (main && this.#entered.get(process) === epoch[0]) return;
    if (!vm.traps('openat')) return;
    const table = frontTable(vm, process);
    if (!table) return;
    const acts = actsAsItself(vm, process);
    this.native.enter(tid, process.pid, table, acts ?? false, !devicesOf(vm).empty);
    if (main && acts !== undefined) this.#entered.set(process, epoch[0]!);
  }

  /** Calls of this process are looked at here, until one of its threads is entered again. */
  leave(process: Process): void {
    this.native.leave(process.pid);
    this.#entered.delete(process);
  }

  counts(): FrontCount[] {
    const list = this.native.counts();
    const counts: FrontCount[] = [];
    for (let i = 0; i < list.length; i += 5) {
      const [nr = 0, calls = 0, passed = 0, failed = 0, time = 0] = list.slice(i, i + 5);
      counts.push({ nr, calls, passed, failed, time });
    }
    return counts;
  }
}

/**
 * Whether the supervisor needs no other identity to act for a process, and hears of changes of that; undefined while
 * one is under way.
 */
function actsAsItself(vm: Vm, process: Process): boolean | undefined {
  if (vm.uid !== 0) return true;
  if (!vm.traps('setresuid')) return false;
  const who = process.settledIdentity();
  return who && who.uid === 0 && who.gid === 0;
}
