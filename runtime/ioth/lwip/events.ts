/** What stacks in user space tell of themselves and their sockets. */
import { Errno } from '../../errno.ts';
import { LWIP_EVENT, native } from '../../native.ts';
import { lwip } from './socket.ts';

const SYS = { CLOSE: 3, SENDTO: 44 } as const;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

type Waiter = (event: number, value: number) => void;
const waiters = new Map<number, Set<Waiter>>();
/** Finds a copy of the descriptor of a socket, which the caller closes; undefined where it has none. */
type Finder = (id: number) => number | undefined;
const finders = new Set<Finder>();

let listening = false;

function start(): void {
  if (!listening) native().lwip!.setEvents(deliver);
  listening = true;
}

/** Hears of sockets from now on. `finder` is asked for the descriptor of one that was reset. Idempotent. */
export function listen(finder: Finder): void {
  start();
  finders.add(finder);
}

/** Tells `waiter` what happens to one socket or stack, until the function that is returned is called. */
export function onEventOf(id: number, waiter: Waiter): () => void {
  start();
  const set = waiters.get(id) ?? new Set<Waiter>();
  waiters.set(id, set);
  set.add(waiter);
  return () => {
    set.delete(waiter);
    if (set.size === 0 && waiters.get(id) === set) waiters.delete(id);
  };
}

/** Tells those who wait for it what has happened to a socket or a stack. */
export function deliver(id: number, event: number, value: number): void {
  for (const waiter of waiters.get(id) ?? []) waiter(event, value);
  if (event === LWIP_EVENT.reset) showReset(id);
}

/**
 * A connection was reset while its owner's end had nothing unread on our side. Closing our end now would look like
 * an end of file; with one byte unread it is ECONNRESET. Only the owner's end can write that byte.
 */
function showReset(id: number): void {
  const copy = copyOf(id);
  if (copy !== undefined) {
    native().syscall(SYS.SENDTO, copy, new Uint8Array(1), 1, MSG_DONTWAIT | MSG_NOSIGNAL, null, 0);
    native().syscall(SYS.CLOSE, copy);
  }
  lwip().finishReset(id);
}

/** A copy of the descriptor of socket `id`, which the caller closes; undefined where nobody has one. */
export function copyOf(id: number): number | undefined {
  for (const find of finders) {
    const copy = find(id);
    if (copy !== undefined) return copy;
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
    const timer =
      timeout > 0 ? setTimeout(() => end(() => reject(new Errno('ETIMEDOUT'))), timeout) : undefined;
    const aborted = (): void => end(() => reject(signal.reason as Error));
    const forget = onEventOf(id, (event, value) => end(() => resolve({ event, value })));
    function end(finish: () => void): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      forget();
      finish();
    }
    signal.addEventListener('abort', aborted);
  });
}
