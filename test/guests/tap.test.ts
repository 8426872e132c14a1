/** The self-checking guests of guests/tap, natively and under umvu, in their glibc, static and musl builds. */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { tapProgram, tapTests } from '../helpers/tap.ts';

const PROGRAMS = [
  'sockets-basic',
  'wild-pointers',
  'threads',
  'forks',
  'signals',
  'io_uring',
  'own-seccomp',
  'x32',
  'race',
];

describe('with a module whose calls are trapped', () => {
  for (const name of PROGRAMS) tapTests(name, { umvuArgs: ['-m', 'vunetioth'], timeout: 60_000 });
  for (const name of ['static-sockets-basic', 'static-wild-pointers', 'static-threads', 'static-forks'])
    tapTests(name, { umvuArgs: ['-m', 'vunetioth'] });
});

it('musl builds exist where musl-gcc does', async () => {
  const { code } = await exec('sh', ['-c', 'command -v musl-gcc']);
  for (const name of ['sockets-basic', 'wild-pointers', 'threads', 'forks', 'signals'])
    expect(existsSync(tapProgram(`musl-${name}`))).toBe(code === 0);
});
