/** Where guests' sockets of stacks in user space are, and waiting for them. */
import { readdirSync } from 'node:fs';
import { listen } from '../../ioth/lwip/events.ts';
import { lwip } from '../../ioth/lwip/socket.ts';
import { native } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import type { Vm } from '../../vm/vm.ts';
import { SYS } from '../table.ts';

export { nextEvent } from '../../ioth/lwip/events.ts';

/** Sockets of which it is remembered who used them last. */
const REMEMBERED = 4096;

/** Where a socket was seen last, newest last. */
const seen = new Map<number, { pidfd: number; fd: number }>();
/** VMs whose guests have such sockets. */
const vms = new Set<Vm>();

/** Notes which descriptor of the caller socket `id` is. */
export function remember(id: number, call: Call, fd: number): void {
  listen(findCopy);
  seen.delete(id);
  seen.set(id, { pidfd: call.process.pidfd, fd });
  vms.add(call.vm);
  if (seen.size > REMEMBERED) seen.delete(seen.keys().next().value!);
}

/** A copy of a guest's descriptor of socket `id`, or undefined where no guest has one. */
function findCopy(id: number): number | undefined {
  const last = seen.get(id);
  seen.delete(id);
  const out = new Int32Array(4);
  const tryOne = (pidfd: number, fd: number): boolean => {
    const got = lwip().open(pidfd, fd, out);
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

/** How often a descriptor is looked at that cannot be watched, in ms. */
const LOOK = 20;
const POLLIN = 1;

/** Calls `ready` when `fd` is readable, until it is stopped. */
function watchReadable(fd: number, ready: () => void): { stop(): void } {
  try {
    return new (native().lwip!.Readable)(fd, ready);
  } catch {
    // Guests have taken all descriptors that this process may have: then without one of its own.
    const entry = Buffer.alloc(8);
    entry.writeInt32LE(fd);
    entry.writeInt16LE(POLLIN, 4);
    const timer = setInterval(() => {
      if (native().syscall(SYS.poll, entry, 1, 0) > 0) ready();
    }, LOOK);
    return { stop: () => clearInterval(timer) };
  }
}

/** Waits until `fd` is readable, not longer than `timeout` ms (0: for ever); false when the time is over. */
export function readable(fd: number, signal: AbortSignal, timeout = 0): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => end(() => reject(signal.reason as Error));
    const watch = watchReadable(fd, () => end(() => resolve(true)));
    const timer = timeout > 0 ? setTimeout(() => end(() => resolve(false)), timeout) : undefined;
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
