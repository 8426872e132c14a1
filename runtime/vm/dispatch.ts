import { Errno } from '../errno.ts';
import { logger } from '../log.ts';
import { native, NATIVE_ANSWERED, NATIVE_PASS, NATIVE_PENDING, SLOT, type Listener } from '../native.ts';
import type { Handler } from '../syscalls/handler.ts';
import { Injection, PASS, Rewriting, type Outcome } from '../syscalls/outcome.ts';
import { byNumber, SYS, type SyscallSpec } from '../syscalls/table.ts';
import { Call } from './call.ts';
import { Front } from './front.ts';
import { Parking } from './parking.ts';
import { Rewrites } from './rewrite.ts';
import type { Vm } from './vm.ts';

const log = logger('vm');

/** What happened to the calls of one kind. */
export interface CallStats {
  calls: number;
  passed: number;
  failed: number;
  /** Nanoseconds in handlers; measured only when statistics were asked for. */
  time: number;
}

/** Follows the calls of a VM (`--trace`). */
export interface Tracer {
  /** A call is about to be handled; what is returned gets the outcome, and the number of an injected descriptor. */
  enter(call: Call): ((result: number | typeof PASS | Injection, injected?: number) => void) | undefined;
}

/** Asks the handlers, and sees to it that every call of a guest gets exactly one answer. */
export class Dispatcher {
  readonly #vm: Vm;
  readonly #handlers: (Handler | undefined)[] = [];
  /** By system call number, those that handlers were asked for. */
  readonly #stats = new Map<number, CallStats>();
  /** Calls whose handlers have not settled. */
  readonly #pending = new Set<Call>();
  readonly #parking = new Parking();
  readonly #rewrites = new Rewrites();
  readonly #measure: boolean;
  readonly #tracer: Tracer | undefined;
  /** Answers what needs no handler; not where every call is to be seen. */
  readonly #front: Front | undefined;

  constructor(
    vm: Vm,
    handlers: Partial<Record<string, Handler>>,
    options: { measure: boolean; tracer?: Tracer | undefined },
  ) {
    this.#vm = vm;
    this.#measure = options.measure;
    this.#tracer = options.tracer;
    const fast = handlers.openat !== undefined && !options.tracer;
    this.#front = fast ? new Front(options.measure) : undefined;
    for (const [name, handler] of Object.entries(handlers)) {
      this.#handlers[SYS[name as keyof typeof SYS]] = handler;
      if (handler)
        this.#stats.set(SYS[name as keyof typeof SYS], { calls: 0, passed: 0, failed: 0, time: 0 });
    }
  }

  /** Listens on a seccomp listener; `ended` is called when the last process of its tree has gone. */
  listen(fd: number, ended: () => void): Listener {
    const slot = new Uint32Array(SLOT.words);
    const ids = new BigUint64Array(slot.buffer, 0, 1);
    const listener: Listener = new (native().Listener)(
      fd,
      slot,
      () => this.#handle(listener, slot, ids),
      ended,
      this.#front?.native,
    );
    return listener;
  }

  /** What happened to the calls so far, by system call number. */
  stats(): Map<number, CallStats> {
    const all = new Map([...this.#stats].map(([nr, stats]) => [nr, { ...stats }]));
    for (const { nr, calls, passed, failed, time } of this.#front?.counts() ?? []) {
      const stats = all.get(nr);
      if (!stats) continue;
      stats.calls += calls;
      stats.passed += passed;
      stats.failed += failed;
      stats.time += time;
    }
    return all;
  }

  /** Handles the notification in `slot`; the result is what runtime/native.ts says of callbacks. */
  #handle(listener: Listener, slot: Uint32Array, ids: BigUint64Array): number {
    const started = this.#measure ? process.hrtime.bigint() : 0n;
    const nr = slot[SLOT.nr]!;
    const handler = this.#handlers[nr];
    const spec = byNumber.get(nr);
    if (!handler || !spec) return NATIVE_PASS;
    const tid = slot[SLOT.tid]!;
    if (this.#rewrites.runs(tid)) return NATIVE_PASS;
    const caller = this.#vm.processes.ofThread(tid);
    // A caller that is gone already needs no answer, but one that cannot be looked at still waits for it.
    if (!caller) return -EIO;
    const call = new Call(this.#vm, listener, ids[0]!, tid, spec, caller, words(slot));
    const repeated = this.#parking.repeated(call);
    if (repeated !== undefined) return repeated;
    const stats = this.#stats.get(nr)!;
    stats.calls++;
    const trace = this.#tracer?.enter(call);
    let answer: ReturnType<Handler>;
    try {
      answer = handler(call);
    } catch (error) {
      answer = -this.#errno(error, spec);
    }
    const result =
      answer instanceof Promise
        ? this.#wait(call, answer, stats, trace)
        : this.#now(call, answer, stats, trace);
    if (result === NATIVE_PENDING) this.#front?.leave(caller);
    else this.#front?.enter(call);
    if (this.#measure) stats.time += Number(process.hrtime.bigint() - started);
    return result;
  }

  /** Result of the callback for an answer that is there; injections are done here. */
  #now(call: Call, answer: Outcome, stats: CallStats, trace: ReturnType<Tracer['enter']>): number {
    if (answer instanceof Rewriting) {
      return this.#rewrites.start(call, answer, (result = -ESRCH) =>
        this.#account(result, undefined, stats, trace),
      );
    }
    const result = answer instanceof Injection ? this.#inject(call, answer) : answer;
    const injected =
      answer instanceof Injection && typeof result === 'number' && result >= 0 ? result : undefined;
    this.#account(injected === undefined ? result : answer, injected, stats, trace);
    if (result === PASS) return NATIVE_PASS;
    // An injection that worked has answered already; one that failed (EMFILE) has not.
    return answer instanceof Injection && result >= 0 ? NATIVE_ANSWERED : result;
  }

  #inject(call: Call, { fd, cloexec }: Injection): number {
    const result = call.listener.inject(call.id, fd, cloexec);
    native().syscall(SYS.close, fd);
    return result;
  }

  #account(
    result: number | typeof PASS | Injection,
    injected: number | undefined,
    stats: CallStats,
    trace: ReturnType<Tracer['enter']>,
  ): void {
    if (result === PASS) stats.passed++;
    else if (typeof result === 'number' && result < 0) stats.failed++;
    trace?.(result, injected);
  }

  /** Keeps a blocked call until its handler settles, the caller is gone, or a signal interrupts it. */
  #wait(call: Call, answer: Promise<Outcome>, stats: CallStats, trace: ReturnType<Tracer['enter']>): number {
    this.#pending.add(call);
    const blocked = this.#parking.wait(call, (reason) => {
      this.#pending.delete(call);
      this.#account(-reason.errno, undefined, stats, trace);
      call.abort(reason);
    });
    answer
      .catch((error: unknown) => -this.#errno(error, call.spec))
      .then((outcome) => {
        this.#pending.delete(call);
        const deliver = (): number => this.#now(call, outcome, stats, trace);
        const settlement = this.#parking.settle(blocked, outcome, deliver);
        if (settlement === 'delivered' && typeof outcome === 'number')
          this.#account(outcome, undefined, stats, trace);
        if (settlement !== 'notification') return;
        const result = deliver();
        if (result === NATIVE_PASS) call.listener.sendContinue(call.id);
        else if (result !== NATIVE_ANSWERED && result !== NATIVE_PENDING)
          call.listener.sendValue(call.id, result);
      })
      .catch((error: unknown) => log.error(`${call.spec.name}: ${String(error)}`));
    return NATIVE_PENDING;
  }

  /** Gives up the blocked calls of a process that has ended. */
  abandon(pid: number): void {
    this.#front?.native.leave(pid);
    for (const call of this.#pending) if (call.process.pid === pid) call.abort(new Errno('ESRCH'));
    this.#parking.abandon(pid);
  }

  /** Gives up all blocked calls, before the listeners are closed. */
  close(): void {
    this.#parking.close();
    this.#rewrites.close();
    for (const call of this.#pending) call.abort(new Errno('ESHUTDOWN'));
  }

  /** The guest's errno for what a handler threw; anything but an Errno is our bug: logged, and EIO. */
  #errno(error: unknown, spec: SyscallSpec): number {
    if (error instanceof Errno) return error.errno;
    const number = errnoOfNode(error);
    if (number !== undefined) return number;
    log.error(
      `internal error in ${spec.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    return EIO;
  }
}

const EIO = new Errno('EIO').errno;
const ESRCH = new Errno('ESRCH').errno;

/**
 * The errno of a failed node:fs call, as on /proc of a caller that has just been killed; undefined for other errors.
 * These are no bugs, and guests may not fill the log with them.
 */
function errnoOfNode(error: unknown): number | undefined {
  const { errno, syscall } = (error instanceof Error ? error : {}) as NodeJS.ErrnoException;
  return typeof errno === 'number' && errno < 0 && syscall !== undefined ? -errno : undefined;
}

function words(slot: Uint32Array): number[] {
  const a = SLOT.args;
  return [
    slot[a]!,
    slot[a + 1]!,
    slot[a + 2]!,
    slot[a + 3]!,
    slot[a + 4]!,
    slot[a + 5]!,
    slot[a + 6]!,
    slot[a + 7]!,
    slot[a + 8]!,
    slot[a + 9]!,
    slot[a + 10]!,
    slot[a + 11]!,
  ];
}
