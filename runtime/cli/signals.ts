/**
 * What umvu does with signals. The guest is to see what it would see without umvu: a signal from the terminal
 * reaches it directly, because it is in our process group or has the terminal itself; one that is sent to umvu
 * alone is passed on.
 */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/** The root guest, as far as signals are concerned. */
export interface SignalTarget {
  readonly pid: number;
  /** Sends a signal, unless the guest got it already with our process group. */
  relay(signal: NodeJS.Signals): void;
  /** Continues it after a stop, and gives it back the terminal that it had. */
  resume(): void;
  /** Called when it was stopped by a signal. */
  set onStopped(listener: ((signal: number) => void) | undefined);
}

const RELAYED = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGTSTP'] as const;

/**
 * Two SIGTERMs that are closer together are one request to end: timeout(1) sends it to us and then to our
 * group, service managers to all processes that they know.
 */
const IMPATIENCE_MS = 250;

/** Relays signals to `guest`. `kill` is called at the second SIGTERM. */
export function relaySignals(guest: SignalTarget, kill: () => void): void {
  let firstTerm: number | undefined;
  for (const signal of RELAYED) process.on(signal, () => relay(signal));
  guest.onStopped = (signal) => {
    if (!stopsUs(guest.pid, signal)) return;
    stop(signal);
    guest.resume();
  };

  function relay(signal: NodeJS.Signals): void {
    if (signal === 'SIGTERM') {
      const now = performance.now();
      if (firstTerm !== undefined && now - firstTerm > IMPATIENCE_MS) return kill();
      firstTerm ??= now;
    }
    guest.relay(signal);
  }
}

/** Stops this process by the signal that stopped the guest; returns when it is continued, by `fg` or `bg`. */
function stop(signal: number): void {
  const handlers = signal === constants.signals.SIGTSTP ? process.listeners('SIGTSTP') : [];
  for (const handler of handlers) process.off('SIGTSTP', handler);
  process.kill(process.pid, signal);
  for (const handler of handlers) process.on('SIGTSTP', handler);
}

/**
 * Whether umvu has to stop as well, so that the shell that started it notices. A SIGSTOP is only taken for job
 * control when it comes to a guest that has the terminal (the command `suspend` of a shell): any other may be
 * the play of guests with each other, who need a supervisor to go on.
 */
function stopsUs(pid: number, signal: number): boolean {
  try {
    // Fields of /proc/PID/stat after the name in parentheses: state, ppid, pgrp, session, tty_nr, tpgid.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [, , group, , tty, foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return tty !== '0' && (signal !== constants.signals.SIGSTOP || group === foreground);
  } catch {
    return false;
  }
}
