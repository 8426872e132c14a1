/** What stacks tell of their sockets, and waiting for it. */
import { readdirSync } from 'node:fs';
import { Errno } from '../../errno.ts';
import { LWIP_EVENT, native } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import type { Vm } from '../../vm/vm.ts';
import { SYS } from '../table.ts';

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Sockets of which it is remembered who used them last. */
const REMEMBERED = 4096;

type Waiter = (event: number, value: number) => void;
const waiters = new Map<number, Set<Waiter>>();
/** Where a socket was seen last, newest last. */
const seen = new Map<number, { pidfd: number; fd: number }>();
/** VMs whose guests have such sockets. */
const vms = new Set<Vm>();
let listening = false;

/** Notes which descriptor of the caller socket `id` is. */
export function remember(id: number, call: Call, fd: number): void {
  if (!listening) {
    listening = true;
    native().lwip!.setEvents(onEvent);
  }
  seen.delete(id);
  seen.set(id, { pidfd: call.process.pidfd, fd });
  vms.add(call.vm);
  if (seen.size > REMEMBERED) seen.delete(seen.keys().next().value!);
}

function onEvent(id: number, event: number, value: number): void {
  for (const waiter of waiters.get(id) ?? []) waiter(event, value);
  if (event === LWIP_EVENT.reset) showReset(id);
}

/**
 * A connection was reset while the guest's end had nothing unread on our side. Closing our end now would look like
 * an end of file; with one byte unread it is ECONNRESET. Only the guest's end can write that byte.
 */
function showReset(id: number): void {
  const lwip = native().lwip!;
  const copy = findCopy(id);
  if (copy !== undefined) {
    native().syscall(SYS.sendto, copy, new Uint8Array(1), 1, MSG_DONTWAIT | MSG_NOSIGNAL, null, 0);
    native().syscall(SYS.close, copy);
  }
  lwip.finishReset(id);
  seen.delete(id);
}

/** A copy of a guest's descriptor of socket `id`, or undefined where no guest has one. */
function findCopy(id: number): number | undefined {
  const last = seen.get(id);
  const out = new Int32Array(4);
  const tryOne = (pidfd: number, fd: number): boolean => {
    const got = native().lwip!.open(pidfd, fd, out);
    if (got > 0 && got !== id) native().syscall(SYS.close, out[0]!);
    return got === id;
  };
  if (last && tryOne(last.pidfd, last.fd)) return out[0]!;
  // A connection that was accepted without asking for the peer's address has not been seen yet.
  for (const { pid, pidfd } of [...vms].flatMap((vm) => [...vm.processes.all()])) {
    let names: string[];
    try {
      names = readdirSync(`/proc/${pid}/fd`);
    } catch {
      continue; // it has ended
    }
    for (const name of names) if (tryOne(pidfd, Number(name))) return out[0]!;
  }
  return undefined;
}

/** The next event of socket `id`; rejects when `signal` aborts, and with ETIMEDOUT after `timeout` ms. */
export function nextEvent(
  id: number,
  signal: AbortSignal,
  timeout = 0,
): Promise<{ event: number; value: number }> {
  return new Promise((resolve, reject) => {
    const set = waiters.get(id) ?? new Set<Waiter>();
    waiters.set(id, set);
    const timer =
      timeout > 0 ? setTimeout(() => end(() => reject(new Errno('ETIMEDOUT'))), timeout) : undefined;
    const aborted = (): void => end(() => reject(signal.reason as Error));
    const waiter: Waiter = (event, value) => end(() => resolve({ event, value }));
    function end(finish: () => void): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      set.delete(waiter);
      if (set.size === 0 && waiters.get(id) === set) waiters.delete(id);
      finish();
    }
    set.add(waiter);
    signal.addEventListener('abort', aborted);
  });
}

/** Waits until `fd` is readable, not longer than `timeout` ms (0: for ever); false when the time is over. */
export function readable(fd: number, signal: AbortSignal, timeout = 0): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = timeout > 0 ? setTimeout(() => end(() => resolve(false)), timeout) : undefined;
    const aborted = (): void => end(() => reject(signal.reason as Error));
    const watch = new (native().lwip!.Readable)(fd, () => end(() => resolve(true)));
    let ended = false;
    function end(finish: () => void): void {
      if (ended) return;
      ended = true;
      watch.stop();
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      finish();
    }
    signal.addEventListener('abort', aborted);
  });
}
