/** Calls about processes that the runtime needs to see to keep lineage and to stay able to look at guests. */
import { readFileSync } from 'node:fs';
import type { Call } from '../vm/call.ts';
import { PASS } from './outcome.ts';
import type { Handler } from './handler.ts';

const PR_SET_DUMPABLE = 4;

/** exit_group(2): the last moment at which children that are still unknown can be found through their parent. */
const exit_group: Handler = ({ process, vm }) => {
  if (process.special) vm.processes.adoptChildren(process);
  process.exiting = true;
  return PASS;
};

/**
 * prctl(PR_SET_DUMPABLE, 0) would hide the guest's memory from an unprivileged supervisor, which could then no
 * longer read the paths and addresses it passes. It is answered with success and not done (docs/limitations.md).
 */
const prctl: Handler = (call) => (call.int(0) === PR_SET_DUMPABLE && call.arg(1) === 0 ? 0 : PASS);

/** Calls after which files are opened and made with another identity or umask. */
const changesIdentity: Handler = ({ process }) => {
  process.identityChanges();
  return PASS;
};

/**
 * Whether setresuid(2) or setresgid(2) gives the caller only ids that all of its own are anyway. make(1) does that in each
 * of its children, and everybody would have to be looked at anew for it.
 */
function changesNothing(call: Call, key: 'Uid' | 'Gid'): boolean {
  try {
    const text = readFileSync(`/proc/${call.tid}/status`, 'latin1');
    const own = (new RegExp(`^${key}:(.*)$`, 'm').exec(text)?.[1] ?? '').trim().split(/\s+/).map(Number);
    const wanted = [0, 1, 2].map((i) => call.int(i)).filter((id) => id !== -1);
    return [...own, ...wanted.map((id) => id >>> 0)].every((id) => id === own[0]);
  } catch {
    return false;
  }
}

const changesOne =
  (key: 'Uid' | 'Gid'): Handler =>
  (call) =>
    changesNothing(call, key) ? PASS : changesIdentity(call);

/** Handlers of the calls that trees of files need to see, beside those with paths. */
export const identityHandlers = {
  umask: changesIdentity,
  setuid: changesIdentity,
  setgid: changesIdentity,
  setreuid: changesIdentity,
  setregid: changesIdentity,
  setresuid: changesOne('Uid'),
  setresgid: changesOne('Gid'),
  setfsuid: changesIdentity,
  setfsgid: changesIdentity,
  setgroups: changesIdentity,
} as const;

export const processHandlers = { exit_group, prctl } as const;
