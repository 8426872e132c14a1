/**
 * Acting on a guest's behalf: with its umask, and, where root's supervisor serves a guest that has become another
 * user, with its identity. The calls used here change the calling thread alone (setfsuid(2), nptl(7)).
 */
import { native } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import type { Call } from '../vm/call.ts';
import type { Identity } from '../vm/process.ts';

const identityOf = ({ process, vm }: Call): Identity | undefined => process.identity(vm.traps('setresuid'));

/** Runs `work` with the file identity of the caller. */
export function asCaller<T>(call: Call, work: () => T): T {
  if (call.vm.uid !== 0 || current) return work();
  const who = identityOf(call);
  if (!who || (who.uid === 0 && who.gid === 0)) return work();
  become(who);
  try {
    return work();
  } finally {
    unbecome();
  }
}

let current: Identity | undefined;
let ownGroups: Uint8Array | undefined;

function groups(list: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(list).buffer);
}

function become(who: Identity): void {
  ownGroups ??= groups(process.getgroups!());
  const list = groups(who.groups);
  native().syscall(SYS.setgroups, list.length / 4, list);
  native().syscall(SYS.setfsgid, who.gid);
  native().syscall(SYS.setfsuid, who.uid);
  current = who;
}

function unbecome(): void {
  native().syscall(SYS.setfsuid, process.geteuid!());
  native().syscall(SYS.setfsgid, process.getegid!());
  native().syscall(SYS.setgroups, ownGroups!.length / 4, ownGroups!);
  current = undefined;
}

/** Runs `work` with the supervisor's own identity, also inside of {@link asCaller}. */
export function asSelf<T>(work: () => T): T {
  const who = current;
  if (!who) return work();
  unbecome();
  try {
    return work();
  } finally {
    become(who);
  }
}

/** The identity that {@link asCaller} has taken; undefined for the supervisor's own. */
export const actingAs = (): Identity | undefined => current;

/** Runs `work`, which makes new files, with the umask of the caller. */
export function withUmask<T>(call: Call, work: () => T): T {
  const mask = identityOf(call)?.umask ?? 0o022;
  const before = native().syscall(SYS.umask, mask);
  try {
    return work();
  } finally {
    native().syscall(SYS.umask, before);
  }
}
