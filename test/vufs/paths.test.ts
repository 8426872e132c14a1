/** What names mean in views (guests/tap/fs-paths.c): the same as natively. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { expectTap, tapProgram } from '../helpers/tap.ts';
import { umvu } from '../helpers/umvu.ts';
import { USERS, workDir, type Who } from '../helpers/users.ts';

const PROGRAM = tapProgram('fs-paths');
let work: ReturnType<typeof workDir>;
afterEach(() => work.remove());

test('natively', async () => {
  work = workDir('root');
  fs.mkdirSync(join(work.path, 'empty'));
  expectTap(await exec(PROGRAM, [], { cwd: join(work.path, 'empty') }));
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

describe.each<Who>(USERS)('as %s', (who) => {
  beforeEach(() => {
    work = workDir(who);
    const { uid, gid } = fs.statSync(work.path);
    for (const name of ['low', 'up', 'at']) {
      fs.mkdirSync(join(work.path, name));
      fs.chownSync(join(work.path, name), uid, gid);
    }
  });

  test.each(Object.entries(VIEWS))('%s', async (_name, [mount, directory]) => {
    const script = `cd ${work.path} && ${mount} && cd ${directory} && exec ${PROGRAM}`;
    expectTap(await umvu(['-m', 'vufs', '--', 'sh', '-c', script], { as: who }));
  });

  test.each(['/unreal', '/unreal/unreal'])('%s', async (prefix) => {
    const script = `cd ${prefix}${work.path}/at && exec ${prefix}${PROGRAM}`;
    expectTap(await umvu(['-m', 'unreal', '--', 'sh', '-c', script], { as: who }));
  });
});
