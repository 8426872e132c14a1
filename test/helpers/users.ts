/**
 * Who runs umvu in a test: root and, once more, an ordinary user without any privilege. Where the tests
 * themselves run as an ordinary user, only that one. And where namespaces are forbidden, as in many containers.
 */
import { chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Who = 'root' | 'an ordinary user' | 'a user without namespaces';

const isRoot = process.geteuid!() === 0;

/** For describe.each. */
export const USERS: readonly Who[] = isRoot ? ['root', 'an ordinary user'] : ['an ordinary user'];

/** Numbers of «nobody» and «nogroup». */
const UID = 65534;

/** As {@link USERS}, and once more an ordinary user who may not make namespaces, whose stacks are those in user space. */
export const ALL_USERS: readonly Who[] = [...USERS, 'a user without namespaces'];

/** The kind of stack that tests of programs use: a namespace of the kernel where `who` may have one. */
export const stackOf = (who: Who): 'vdestack' | 'lwip' =>
  who === 'a user without namespaces' ? 'lwip' : 'vdestack';

/**
 * Forbids what is run in it, which has no capability, to make user namespaces (ENOSPC), and nothing else: the limit
 * is that of a user namespace around it (namespaces(7)), which also an ordinary user can set.
 */
const CONFINE = [
  'unshare --user --map-user=$(id -u) --map-group=$(id -g) --keep-caps -- sh -c',
  `'echo 0 >/proc/sys/user/max_user_namespaces &&`,
  `exec setpriv --ambient-caps=-all --inh-caps=-all -- "$@"' confined "$@"`,
].join(' ');

/** The words before a command that make it run as `who`. */
export function becoming(who: Who): string[] {
  if (who === 'root') return [];
  const ordinary = isRoot
    ? ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', '--inh-caps=-all', '--']
    : [];
  return who === 'an ordinary user' ? ordinary : [...ordinary, 'sh', '-c', `exec ${CONFINE}`, 'confine'];
}

/** A new empty folder that belongs to `who`, as short as a socket's name needs it, and what removes it. */
export function workDir(who: Who): { path: string; remove: () => void } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'vt-')));
  mkdirSync(join(path, 'tmp'));
  if (who !== 'root' && isRoot) for (const each of [path, join(path, 'tmp')]) chownSync(each, UID, UID);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
