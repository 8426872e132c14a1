/**
 * Calls that the caller does itself, but not as it made them: a working directory or a program that the view has
 * elsewhere. How the caller is made to do another call is told in native/src/rewritten_call.h.
 */
import { native, NATIVE_PENDING, type RewriteEnd, type Rewriter } from '../native.ts';
import type { Rewriting } from '../syscalls/outcome.ts';
import { SYS } from '../syscalls/table.ts';
import type { Call } from './call.ts';

/** A rewriting that is under way. */
interface Pending {
  readonly call: Call;
  readonly refused: number;
  /** Gets the result of the call; undefined when its caller has ended. */
  readonly done: (result: number | undefined) => void;
}

/** Rewrites the calls of a VM. */
export class Rewrites {
  #rewriter: Rewriter | undefined;
  readonly #pending = new Map<number, Pending>();

  /**
   * Starts to let the caller of `call` do what `rewriting` says. The result is for the callback of the listener:
   * the call stays pending, or gets an errno at once.
   */
  start(call: Call, rewriting: Rewriting, done: Pending['done']): number {
    this.#rewriter ??= new (native().Rewriter)((ticket, end, result) => this.#ended(ticket, end, result));
    const { substitute, refused } = rewriting;
    const ticket = this.#rewriter.start(call.listener.fd, call.id, call.tid, substitute);
    discard(rewriting);
    if (ticket < 0) {
      done(ticket);
      return ticket;
    }
    this.#pending.set(ticket, { call, refused, done });
    return NATIVE_PENDING;
  }

  /** Whether a notification of thread `tid` is about the call that we make it do, which is to be let pass. */
  runs(tid: number): boolean {
    return this.#pending.size > 0 && this.#rewriter!.runs(tid);
  }

  #ended(ticket: number, end: RewriteEnd, result: number): void {
    const pending = this.#pending.get(ticket);
    if (!pending) return;
    this.#pending.delete(ticket);
    const { call, refused, done } = pending;
    if (end === 'refused') call.listener.sendValue(call.id, refused);
    done(end === 'gone' ? undefined : end === 'refused' ? refused : result);
  }

  /** Ends the callers whose calls are being rewritten. */
  close(): void {
    this.#rewriter?.close();
    this.#rewriter = undefined;
    for (const { done } of this.#pending.values()) done(undefined);
    this.#pending.clear();
  }
}

/** Gives up what a rewriting holds. */
export function discard({ substitute: { fd, program } }: Rewriting): void {
  if (fd >= 0) native().syscall(SYS.close, fd);
  if (typeof program?.path === 'number') native().syscall(SYS.close, program.path);
}

/** Argument `index` of a call with all its 64 bits. */
export const wholeArgument = (call: Call, index: number): bigint =>
  (BigInt(call.words[2 * index + 1] ?? 0) << 32n) | BigInt(call.words[2 * index] ?? 0);
