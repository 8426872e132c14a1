/**
 * Who runs umvu in a test: root and, once more, an ordinary user without any privilege. Where the tests
 * themselves run as an ordinary user, only that one.
 */
import { chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Who = 'root' | 'an ordinary user';

const isRoot = process.geteuid!() === 0;

/** For describe.each. */
export const USERS: readonly Who[] = isRoot ? ['root', 'an ordinary user'] : ['an ordinary user'];

/** Numbers of «nobody» and «nogroup». */
const UID = 65534;

/** The words before a command that make it run as `who`. */
export function becoming(who: Who): string[] {
  if (who === 'root' || !isRoot) return [];
  return ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', '--inh-caps=-all', '--'];
}

/** A new empty folder that belongs to `who`, as short as a socket's name needs it, and what removes it. */
export function workDir(who: Who): { path: string; remove: () => void } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'vt-')));
  mkdirSync(join(path, 'tmp'));
  if (who !== 'root' && isRoot) for (const each of [path, join(path, 'tmp')]) chownSync(each, UID, UID);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
