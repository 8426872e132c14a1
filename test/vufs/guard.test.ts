/** Files of read-only and lower trees must not change, whatever a guest tries (guests/tap/fs-guard.c). */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { expectTap, tapProgram } from '../helpers/tap.ts';
import { umvu } from '../helpers/umvu.ts';
import { USERS, workDir, type Who } from '../helpers/users.ts';

const PROGRAM = tapProgram('fs-guard');
let work: { path: string; remove: () => void };

/** The directories w (writable), p (with the protected file) and up, for `who`. */
function prepare(who: Who): { path: string; file: string } {
  work = workDir(who);
  const { path } = work;
  const { uid, gid } = fs.statSync(path);
  for (const name of ['w', 'p', 'up']) fs.mkdirSync(join(path, name));
  fs.writeFileSync(join(path, 'p/file'), 'content\n');
  for (const name of ['w', 'p', 'p/file', 'up']) fs.chownSync(join(path, name), uid, gid);
  return { path, file: join(path, 'p/file') };
}

const state = (file: string) => {
  const { mode, uid, ino, ctimeNs, nlink } = fs.statSync(file, { bigint: true });
  return [mode, uid, ino, ctimeNs, nlink, fs.readFileSync(file, 'latin1'), fs.readdirSync(join(file, '..'))];
};

afterEach(() => work.remove());

describe.each<Who>(USERS)('as %s', (who) => {
  let at: { path: string; file: string };
  beforeEach(() => void (at = prepare(who)));

  test('a read-only mount', { timeout: 60_000 }, async () => {
    const { path, file } = at;
    const before = state(file);
    const script = `vumount -t vufs -o ro ${path}/p ${path}/p && exec ${PROGRAM} ${file} ${who === 'root' ? 10000 : 2000}`;
    expectTap(
      await umvu(['-m', 'vufs', '--', 'sh', '-c', script], {
        as: who,
        cwd: join(path, 'w'),
        timeout: 50_000,
      }),
    );
    expect(state(file)).toEqual(before);
  });

  test('what is below a cow mount of everything', { timeout: 60_000 }, async () => {
    const { path, file } = at;
    const before = state(file);
    // The tries succeed, on copies; a second mount makes these read-only.
    const script = `vumount -t vufs -o cow ${path}/up / && vumount -t vufs -o ro ${path}/p ${path}/p && exec ${PROGRAM} ${file} 1000`;
    expectTap(
      await umvu(['-m', 'vufs', '--', 'sh', '-c', script], {
        as: who,
        cwd: join(path, 'w'),
        timeout: 50_000,
      }),
    );
    expect(state(file)).toEqual(before);
  });
});

test('the kernel does the same on a read-only mount of its own', { timeout: 60_000 }, async () => {
  const { path, file } = prepare('root');
  const mount = `mount --bind ${path}/p ${path}/p && mount -o remount,ro,bind ${path}/p`;
  const args = ['-rm', 'sh', '-c', `${mount} && exec ${PROGRAM} ${file} 1000`];
  expectTap(await exec('unshare', args, { cwd: join(path, 'w'), timeout: 50_000 }));
});
