/**
 * What names mean in views (guests/tap/fs-paths.c) and are used for (fs-objects.c), what root directories do (fs-chroot.c) and what is told of changes
 * (fs-watch.c): the same as natively.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { expectTap, tapProgram, umvuSections } from '../helpers/tap.ts';
import { USERS, workDir, type Who } from '../helpers/users.ts';

const PROGRAMS = ['fs-paths', 'fs-objects', 'static-fs-chroot'].map(tapProgram);
const WATCH = tapProgram('fs-watch');
let work: ReturnType<typeof workDir>;
afterEach(() => work.remove());

/** New directories below the work folder, for whoever it belongs to. */
function makeDirectories(...names: string[]): void {
  const { uid, gid } = fs.statSync(work.path);
  for (const name of names) {
    const path = join(work.path, name);
    fs.mkdirSync(path, { recursive: true });
    fs.chownSync(path, uid, gid);
  }
}

test('natively', async () => {
  work = workDir('root');
  makeDirectories('empty', 'watched');
  const cwd = join(work.path, 'empty');
  for (const program of PROGRAMS) expectTap(await exec('unshare', ['-r', program], { cwd }));
  const watched = { cwd: join(work.path, 'watched') };
  await exec(WATCH, ['prepare'], watched);
  expectTap(await exec(WATCH, [], watched));
});

/** What is mounted, and where the program runs then. */
const VIEWS: Record<string, [mount: string, directory: string]> = {
  'nothing mounted': [':', 'at'],
  'something protected elsewhere': ['vumount -t vufs -o ro up up', 'at'],
  bind: ['vumount -t vufs low at', 'at'],
  merge: ['vumount -t vufs -o merge up low', 'low'],
  cow: ['vumount -t vufs -o cow up low', 'low'],
  mincow: ['vumount -t vufs -o mincow up low', 'low'],
  'cow on cow': ['vumount -t vufs -o cow up low && vumount -t vufs -o cow at low', 'low'],
};

/** Takes everything away that is mounted, the newest first. */
const UNMOUNT =
  'cd /; for at in $(vumount | tac | cut -d" " -f2); do vuumount "$at" || exit 9; done; exit $status';

describe.each<Who>(USERS)('as %s', (who) => {
  beforeEach(() => {
    work = workDir(who);
  });

  test('in the views of vufs', { timeout: 60_000 }, async () => {
    const sections = Object.entries(VIEWS).flatMap(([name, [mount, directory]]) =>
      [...PROGRAMS, WATCH].map((program, i) => {
        const at = `${name.replaceAll(' ', '-')}-${i}`;
        makeDirectories(at, ...['low', 'up', 'at'].map((each) => join(at, each)));
        // A bind has nothing of its own.
        const watched = name === 'bind' ? 'low' : directory;
        const prepare = program === WATCH ? `(cd ${watched} && ${WATCH} prepare) &&` : '';
        const script = `cd ${work.path}/${at} && ${prepare} ${mount} && cd ${directory} && ${program}; status=$?; ${UNMOUNT}`;
        return { name: `${name} ${program}`, script };
      }),
    );
    const results = await umvuSections(['-m', 'vufs'], sections, { as: who, timeout: 50_000 });
    expect(results.size).toBe((PROGRAMS.length + 1) * Object.keys(VIEWS).length);
    for (const [name, result] of results) expectTap(result, name);
  });

  test('below /unreal', async () => {
    const sections = ['/unreal', '/unreal/unreal'].flatMap((prefix, n) =>
      [...PROGRAMS, WATCH].map((program, i) => {
        const at = `at${n}${i}`;
        makeDirectories(at);
        const prepare = program === WATCH ? `${prefix}${WATCH} prepare &&` : '';
        return {
          name: prefix + program,
          script: `cd ${prefix}${work.path}/${at} && ${prepare} ${prefix}${program}`,
        };
      }),
    );
    const results = await umvuSections(['-m', 'unreal'], sections, { as: who });
    for (const [name, result] of results) expectTap(result, name);
  });
});
