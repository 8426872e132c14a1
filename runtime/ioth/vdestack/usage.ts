/** Counts the sockets of a network namespace, from what its /proc/net says. */
import { readFileSync } from 'node:fs';
import { native } from '../../native.ts';

const SYS_MEMBARRIER = 324;
const MEMBARRIER_CMD_GLOBAL = 1;
/** How often {@link socketsInUse} looks again. */
const LOOKS = 3;

/** TCP states (include/net/tcp_states.h) whose entries are not sockets that the kernel counts as such. */
const TIME_WAIT = '06';
const SYN_RECV = '03';

/** TCP connections that their owner closed and that have yet to send the rest. */
function orphans(table: string): number {
  const rows = table.split('\n').slice(1);
  return rows.filter((row) => {
    const columns = row.trim().split(/\s+/);
    return columns[9] === '0' && columns[3] !== TIME_WAIT && columns[3] !== SYN_RECV;
  }).length;
}

/**
 * True when more than `fewest` sockets exist in the namespace that `procNet` shows. The kernel frees a closed netlink
 * socket some milliseconds later (after an RCU grace period, which membarrier(2) waits for), so a "yes" is checked.
 */
export function moreSocketsThan(fewest: number, procNet: string): boolean {
  for (let look = 1; socketsInUse(procNet) > fewest; look++) {
    if (look === LOOKS) return true;
    native().syscall(SYS_MEMBARRIER, MEMBARRIER_CMD_GLOBAL, 0, 0);
  }
  return false;
}

/** How many sockets somebody holds in the namespace that `procNet` shows; 0 when it is gone. */
export function socketsInUse(procNet: string): number {
  try {
    const [, used = '0'] = /^sockets: used (\d+)/.exec(readFileSync(`${procNet}/sockstat`, 'latin1')) ?? [];
    if (used === '0') return 0;
    const closing = ['tcp', 'tcp6'].map((name) => orphans(readFileSync(`${procNet}/${name}`, 'latin1')));
    return Number(used) - closing.reduce((sum, count) => sum + count, 0);
  } catch {
    return 0;
  }
}
