import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { QUOTED, umvu } from './command.ts';

const scratch = mkdtempSync(join(tmpdir(), 'umvu-seccomp-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe('umvu seccomp dump', () => {
  it('shows the filter in lines, with names', async () => {
    const { code, stdout, stderr } = await umvu(['seccomp', 'dump']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^ 0000: 0x20 0x00 0x00 0x00000004 {2}A = arch$/m);
    expect(stdout).toContain('return USER_NOTIF');
    expect(stdout).toContain('return ERRNO(ENOSYS)');
  });

  it('traps for a module what it asks for, and no more', async () => {
    const module = join(scratch, 'mine.js');
    writeFileSync(
      module,
      "export default { name: 'mine', summary: 's', syscalls: ['socket'], create: () => ({}) };",
    );
    const lines = async (...words: string[]) =>
      (await umvu(['seccomp', 'dump', ...words])).stdout.split('\n').length;
    const [mine, all] = [await lines('-m', module), await lines('-m', module, '--all')];
    expect(mine).toBeLessThan(all);
    expect(all).toBe(await lines());
    expect((await umvu(['-m', module, 'seccomp', 'dump'])).stdout.split('\n').length).toBe(mine);
  });

  it('writes the array itself with --raw', async () => {
    const file = join(scratch, 'filter');
    expect(spawnSync('sh', ['-c', `${QUOTED} seccomp dump --raw >${file}`]).status).toBe(0);
    const text = (await umvu(['seccomp', 'dump'])).stdout;
    const raw = readFileSync(file);
    expect(raw.length / 8).toBe(text.trimEnd().split('\n').length - 2);
    expect(raw.readUInt32LE(4)).toBe(4);
  });

  it('has a clear word for an unknown module', async () => {
    expect(await umvu(['seccomp', 'dump', '-m', 'nosuch'])).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/^umvu: module nosuch: no module «nosuch»\n/) as string,
    });
  });
});
