/** Calls about processes that the runtime needs to see to keep lineage and to stay able to look at guests. */
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

/** Handlers of the calls that trees of files need to see, beside those with paths. */
export const identityHandlers = {
  umask: changesIdentity,
  setuid: changesIdentity,
  setgid: changesIdentity,
  setreuid: changesIdentity,
  setregid: changesIdentity,
  setresuid: changesIdentity,
  setresgid: changesIdentity,
  setfsuid: changesIdentity,
  setfsgid: changesIdentity,
  setgroups: changesIdentity,
} as const;

export const processHandlers = { exit_group, prctl } as const;
