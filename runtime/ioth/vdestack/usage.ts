/** Counts the sockets of a network namespace, from what its /proc/net says. */
import { readFileSync } from 'node:fs';
import { native } from '../../native.ts';

const SYS_MEMBARRIER = 324;
const MEMBARRIER_CMD_GLOBAL = 1;
/** How often {@link moreSocketsThan} looks. */
const LOOKS = 3;
/** TCP states (include/net/tcp_states.h) of entries that the kernel does not count as sockets. */
const TIME_WAIT = '06';
const SYN_RECV = '03';

function readTable(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // the namespace is gone
  }
}

/** How many sockets exist in the namespace that `procNet` shows; 0 when it is gone. */
export function countSockets(procNet: string): number {
  const [, used = '0'] = /^sockets: used (\d+)/.exec(readTable(`${procNet}/sockstat`)) ?? [];
  return Number(used);
}

/**
 * How many of them are TCP connections that nobody holds any more and that have yet to send the rest. This takes
 * milliseconds: the kernel looks through the connections of all namespaces.
 */
function countOrphans(procNet: string): number {
  const rows = ['tcp', 'tcp6'].flatMap((name) => readTable(`${procNet}/${name}`).split('\n').slice(1));
  return rows.filter((row) => {
    const columns = row.trim().split(/\s+/);
    return columns[9] === '0' && columns[3] !== TIME_WAIT && columns[3] !== SYN_RECV;
  }).length;
}

/**
 * True when somebody holds more than `fewest` sockets of the namespace. The kernel frees a closed netlink socket
 * some milliseconds later (after an RCU grace period, which membarrier(2) waits for), so a "yes" is checked.
 */
export function moreSocketsThan(fewest: number, procNet: string): boolean {
  for (let look = 1; countSockets(procNet) > fewest; look++) {
    if (look === LOOKS) return countSockets(procNet) - countOrphans(procNet) > fewest;
    native().syscall(SYS_MEMBARRIER, MEMBARRIER_CMD_GLOBAL, 0, 0);
  }
  return false;
}
