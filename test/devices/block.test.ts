/** guests/tap/block.c: a device is read and written as a file of the same size is, whatever carries it. */
import { describe, expect, it } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { expectTap, tapProgram } from '../helpers/tap.ts';
import { umvu } from '../helpers/umvu.ts';
import { USERS, workDir } from '../helpers/users.ts';

const SIZE = 3 << 20;
const BLOCK = tapProgram('block');

it('natively', async () => {
  const work = workDir('root');
  expect(await exec('truncate', ['-s', String(SIZE), `${work.path}/file`])).toMatchObject({ code: 0 });
  expectTap(await exec(BLOCK, [`${work.path}/file`, String(SIZE)]));
  work.remove();
});

describe.each(USERS)('in umvu, as %s', (as) => {
  it.each([
    ['in memory', `vumount -t vudevramdisk -o size=3m none $PWD/d`, 'd'],
    ['as a whole disk', `truncate -s 3M image; vumount -t vudevpartx $PWD/image $PWD/d`, 'd'],
    [
      'as a partition',
      `truncate -s 8M image; echo 'start=2048,size=6144' | /sbin/sfdisk -q image; vumount -t vudevpartx $PWD/image $PWD/d`,
      'd1',
    ],
  ])('%s', async (_what, mount, name) => {
    const script = `${mount} && exec ${BLOCK} $PWD/${name} ${SIZE}`;
    expectTap(await umvu(['-m', 'vudev', '--', 'bash', '-c', script], { as, timeout: 60_000 }));
  });
});
