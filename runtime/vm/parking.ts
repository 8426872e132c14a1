/**
 * Calls that block for long are parked, so that signals interrupt them as they interrupt real ones: with EINTR,
 * or with a restart after a handler with SA_RESTART (signal(7)). How that is done is told in
 * native/src/parked_call.h; what it means for a call is decided here.
 */
import { Errno } from '../errno.ts';
import { native, type ParkingEnd, type ParkingLot } from '../native.ts';
import { Injection, Rewriting, type Outcome } from '../syscalls/outcome.ts';
import { SYS } from '../syscalls/table.ts';
import type { Call } from './call.ts';
import { discard as discardRewriting } from './rewrite.ts';

/** Milliseconds that a call may block before it is parked: most settle earlier, and parking costs about 50 µs. */
const GRACE = 2;

/** A blocked call, from its handler's promise to its end. */
export interface Blocked {
  readonly call: Call;
  /** Called when the caller was interrupted or is gone: no answer reaches it any more. */
  readonly lost: (reason: Errno) => void;
  timer: NodeJS.Timeout | undefined;
  ticket: number | undefined;
  isLost: boolean;
}

/** What became of a result; see {@link Parking.settle}. */
export type Settlement = 'notification' | 'delivered' | 'kept' | 'dropped';

/** A result that waits until its caller repeats the call. */
interface Held {
  readonly call: Call;
  readonly outcome: Outcome;
  /** Delivers the outcome; the result is for the callback of the listener. */
  readonly deliver: () => number;
}

/** Parks the blocked calls of a VM. */
export class Parking {
  #lot: ParkingLot | undefined;
  readonly #tickets = new Map<number, Blocked>();
  /** By thread: there is one blocked call in each. */
  readonly #held = new Map<number, Held>();
  #closed = false;

  /** To be called when a handler has returned a promise. `lost`: see {@link Blocked}. */
  wait(call: Call, lost: (reason: Errno) => void): Blocked {
    const blocked: Blocked = { call, lost, timer: undefined, ticket: undefined, isLost: false };
    blocked.timer = setTimeout(() => this.#park(blocked), GRACE).unref();
    return blocked;
  }

  #park(blocked: Blocked): void {
    const { call } = blocked;
    // A handler that cannot be told to give up is left alone: its caller waits killably, as for a slow disk.
    if (this.#closed || !call.abortable) return;
    this.#lot ??= new (native().ParkingLot)((number, end) => this.#ended(number, end));
    const ticket = this.#lot.park(call.listener.fd, call.id, call.tid);
    if (ticket < 0) return;
    blocked.ticket = ticket;
    this.#tickets.set(ticket, blocked);
    call.held = () => this.#lot?.holds(ticket) ?? false;
  }

  #ended(ticket: number, end: ParkingEnd): void {
    const blocked = this.#tickets.get(ticket);
    if (!blocked) return;
    this.#tickets.delete(ticket);
    blocked.ticket = undefined;
    blocked.call.held = undefined;
    if (end === 'interrupted') this.#lose(blocked, new Errno('EINTR'));
    if (end !== 'gone') return;
    this.#lose(blocked, new Errno('ESRCH'));
    const held = this.#held.get(blocked.call.tid);
    if (held?.call === blocked.call) this.#drop(blocked.call.tid, held);
  }

  #lose(blocked: Blocked, reason: Errno): void {
    blocked.isLost = true;
    blocked.lost(reason);
  }

  /**
   * To be called when the promise has settled. What became of the outcome: 'notification' when that of the call
   * still waits for it, 'delivered' when the caller returns with it, 'kept' when `deliver` will be called as
   * soon as the caller repeats the call, 'dropped' when the caller was interrupted or is gone.
   */
  settle(blocked: Blocked, outcome: Outcome, deliver: () => number): Settlement {
    clearTimeout(blocked.timer);
    const { call, ticket } = blocked;
    if (ticket === undefined && !blocked.isLost) return 'notification';
    const plain = typeof outcome === 'number' ? outcome : undefined;
    const delivery = ticket === undefined ? 'late' : (this.#lot?.settle(ticket, plain) ?? 'late');
    if (delivery === 'notification') return delivery;
    if (delivery === 'taken' && plain !== undefined) return 'delivered';
    // A descriptor that comes just after the interruption, before its handler was told, is kept too: it may be
    // an accepted connection, which the kernel would have left in the queue for the same call.
    if (delivery === 'taken' || (!blocked.isLost && outcome instanceof Injection)) {
      this.#hold({ call, outcome, deliver });
      return 'kept';
    }
    discard(outcome);
    return 'dropped';
  }

  #hold(held: Held): void {
    const { tid, process, vm } = held.call;
    const before = this.#held.get(tid);
    if (before) this.#drop(tid, before);
    // A process that has ended already will not be abandoned again.
    if (vm.processes.get(process.pid) === process) this.#held.set(tid, held);
    else discard(held.outcome);
  }

  #drop(tid: number, held: Held): void {
    this.#held.delete(tid);
    discard(held.outcome);
  }

  /** Answers a call that is the repetition of one that has a result; undefined when it is not. */
  repeated(call: Call): number | undefined {
    const held = this.#held.get(call.tid);
    if (!held || held.call.process !== call.process || held.call.spec !== call.spec) return undefined;
    // A handler of a signal may make other calls before the interrupted one is repeated.
    if (!call.words.every((word, index) => word === held.call.words[index])) return undefined;
    this.#held.delete(call.tid);
    held.call.id = call.id;
    return held.deliver();
  }

  /** Drops what waits for the threads of a process that has ended. */
  abandon(pid: number): void {
    for (const [tid, held] of this.#held) {
      if (held.call.process.pid === pid) this.#drop(tid, held);
    }
  }

  /** Parks no more calls; the callers of parked ones repeat them. */
  close(): void {
    this.#closed = true;
    this.#lot?.close();
    for (const blocked of this.#tickets.values()) {
      blocked.ticket = undefined;
      blocked.call.held = undefined;
      this.#lose(blocked, new Errno('EINTR'));
    }
    this.#tickets.clear();
    for (const held of this.#held.values()) discard(held.outcome);
    this.#held.clear();
  }
}

/** Gives up an outcome that nobody gets. */
function discard(outcome: Outcome): void {
  if (outcome instanceof Injection) native().syscall(SYS.close, outcome.fd);
  if (outcome instanceof Rewriting) discardRewriting(outcome);
}
