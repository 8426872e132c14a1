/** Rules about paths that modules use; see PathRule. */
import type { Stack } from '../../ioth/stack.ts';
import type { Claim, PathRule } from '../../vm/mounts.ts';
import type { Process } from '../../vm/process.ts';
import { AT_FDCWD } from './resolve.ts';
import { stackClaim } from './stackfiles.ts';
import { subjectOf, type Lookup } from './subject.ts';

export { mountsRule } from './mountlist.ts';
export type { Lookup } from './subject.ts';
export { textFile, type TextRule } from './text.ts';

/** The stack whose network a process sees; undefined for the host's. */
export type StackOf = (process: Process) => Stack | undefined;

/** A real directory: `path` (byte string, may be "") relative to the directory `dirfd`, or absolute with -100. */
export interface Place {
  dirfd: number;
  path: string;
}

/**
 * Shows another directory in the place of `prefix`: the one that `place` gives for a process. Undefined leaves the
 * host's there, null shows that there is none.
 */
export function directoryRedirect(
  prefix: string,
  place: (process: Process) => Place | null | undefined,
): PathRule {
  return { prefix, claim: (path, process) => below(place(process), path.slice(prefix.length)) };
}

/** The claim on what lies at `rest` ("" or "/…") below a place. */
function below(place: Place | null | undefined, rest: string): Claim | undefined {
  if (place === undefined) return undefined;
  if (place === null) return { kind: 'deny', errno: 'ENOENT' };
  const path = place.path === '' ? rest.slice(1) : place.path + rest;
  return { kind: 'redirect', dirfd: place.dirfd, path };
}

/**
 * /proc/PID/net and /proc/PID/task/TID/net of guests show the network of their stack: that of the process which
 * the path is about, whoever looks. A stack that has nothing to show there has no such directory.
 */
export function procNetRule(lookup: Lookup, stackOf: StackOf): PathRule[] {
  return ['/proc/*/net', '/proc/*/task/*/net'].map((prefix) => ({
    prefix,
    claim(path) {
      const subject = subjectOf(path, lookup);
      const stack = subject && stackOf(subject);
      if (!stack) return undefined;
      const { procNet } = stack.view;
      const rest = path.split('/').slice(prefix.split('/').length);
      if (stack.view.file) return stackClaim(stack, ['/proc/net', ...rest].join('/'));
      const place = procNet === undefined ? null : { dirfd: AT_FDCWD, path: procNet };
      return below(place, rest.map((name) => `/${name}`).join(''));
    },
  }));
}

/** /sys/class/net and /sys/devices/virtual/net show the devices of the stack of the process that looks. */
export function sysClassNetRule(stackOf: StackOf): PathRule[] {
  return ['/sys/class/net', '/sys/devices/virtual/net'].map((prefix) => ({
    prefix,
    claim(path, process) {
      const stack = stackOf(process);
      if (!stack) return undefined;
      const { sysfs } = stack.view;
      if (stack.view.file) return stackClaim(stack, path);
      const place = sysfs === undefined ? null : { dirfd: sysfs, path: prefix.slice('/sys/'.length) };
      return below(place, path.slice(prefix.length));
    },
  }));
}

/** /proc/sys/net shows the settings of stacks that have some of their own to show; else those of the host. */
export function sysctlNetRule(stackOf: StackOf): PathRule {
  return {
    prefix: '/proc/sys/net',
    claim(path, process) {
      const stack = stackOf(process);
      return stack?.view.file ? stackClaim(stack, path) : undefined;
    },
  };
}
