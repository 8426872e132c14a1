/** execve(2) of programs, scripts and loaders that only the view has: guests/tap/exec.c and real programs. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectRoot } from '../../../runtime/native.ts';
import { exec, type ExecResult } from '../../helpers/exec.ts';
import { expectTap, tapProgram } from '../../helpers/tap.ts';
import { umvu } from '../../helpers/umvu.ts';
import { USERS, type Who } from '../../helpers/users.ts';

const VIRTUAL = '/umvu-elsewhere/deep';
let real: string;
let module: string;

function put(name: string, text: string, mode = 0o755): void {
  writeFileSync(join(real, name), text);
  chmodSync(join(real, name), mode);
}

/** What exec.c wants to find in `dir`, as it is named there. */
function fill(dir: string): void {
  copyFileSync(tapProgram('exec'), join(real, 'program'));
  put('script', `#! ${dir}/program an argument \n`);
  put('second', `#!${dir}/script more\nignored\n`);
  put('counting', `#!${dir}/program descriptors\n`);
  put('lost', `#!${dir}/none\n`);
  put('endless', `#!${dir}/endless\n`);
  put('plain', 'plain text\n');
  put('forbidden', 'not executable\n', 0o644);
}

beforeAll(() => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'umvu-exec-')));
  chmodSync(root, 0o755);
  real = join(root, 'real');
  mkdirSync(real);
  module = join(root, 'elsewhere.mjs');
  copyFileSync(join(projectRoot, 'test/syscalls/exec/elsewhere.mjs'), module);
});
afterAll(() => rmSync(join(real, '..'), { recursive: true, force: true }));

/** Runs a command in a VM that shows `real` at VIRTUAL. */
const inside = (command: readonly string[], as: Who = USERS[0]!, timeout = 20_000): Promise<ExecResult> =>
  umvu(['-m', module, '--', ...command], { as, timeout, env: { ELSEWHERE: VIRTUAL, ELSEWHERE_REAL: real } });

describe('guests/tap/exec.c', () => {
  it('natively', async () => {
    fill(real);
    expectTap(await exec(tapProgram('exec'), [real]));
  });

  it.each(USERS)('in umvu, as %s', async (who) => {
    fill(VIRTUAL);
    expectTap(await inside([tapProgram('exec'), VIRTUAL], who));
  });
});

describe('programs that need more than a path', () => {
  const C = `#include <stdio.h>
    int main(int c, char **v) { for (int i = 0; i < c; i++) printf("%s|", v[i]); puts("ran"); return 5; }`;
  const compile = (name: string, ...flags: string[]): void => {
    writeFileSync(join(real, 'main.c'), C);
    execFileSync('gcc', ['-o', join(real, name), join(real, 'main.c'), ...flags]);
  };

  it('static ones', async () => {
    compile('static', '-static');
    expect(await inside([`${VIRTUAL}/static`, 'a'])).toMatchObject({
      code: 5,
      stdout: `${VIRTUAL}/static|a|ran\n`,
    });
  });

  it('those whose loader only the view has', async () => {
    copyFileSync('/lib64/ld-linux-x86-64.so.2', join(real, 'ld.so'));
    chmodSync(join(real, 'ld.so'), 0o755);
    compile('loaded', `-Wl,--dynamic-linker=${VIRTUAL}/ld.so`);
    const run = await inside([
      'sh',
      '-c',
      `${VIRTUAL}/loaded a 'b c'; echo $?; cp ${VIRTUAL}/loaded l; ./l x; rm l`,
    ]);
    expect(run.stdout).toBe(`${VIRTUAL}/loaded|a|b c|ran\n5\n./l|x|ran\n`);
  });

  it('unreadable ones', async () => {
    compile('secret');
    chmodSync(join(real, 'secret'), 0o711);
    for (const who of USERS) expect(await inside([`${VIRTUAL}/secret`], who)).toMatchObject({ code: 5 });
  });
});

describe('callers with another identity than the supervisor', () => {
  it('execute what they may, and nothing else', async () => {
    fill(VIRTUAL);
    mkdirSync(join(real, 'private'), { recursive: true });
    copyFileSync('/bin/true', join(real, 'private/true'));
    chmodSync(join(real, 'private'), 0o700);
    put('mine', '#!/bin/sh\nexit 3\n', 0o700);
    put('ours', `#!${VIRTUAL}/program descriptors\n`);
    const nobody = 'setpriv --reuid=65534 --regid=65534 --clear-groups';
    const script = ['private/true', 'mine', 'ours', 'program descriptors', '../deep/lost']
      .map((name) => `${nobody} ${VIRTUAL}/${name} >/dev/null 2>&1; echo $((($? > 100) ? $? : 0))`)
      .join('\n');
    const { stdout, stderr } = await inside(['sh', '-c', script]);
    expect(stdout, stderr).toBe(USERS.length > 1 ? '126\n126\n0\n0\n127\n' : stdout);
  });
});

describe('callers with a tracer', () => {
  it('get EPERM, and only for what the view has elsewhere', async () => {
    put('traced', '#!/bin/sh\necho ran\n');
    const run = await inside([
      'strace',
      '-o',
      '/dev/null',
      '-f',
      'sh',
      '-c',
      `${VIRTUAL}/traced; echo $?; /bin/echo fine`,
    ]);
    expect(run.stdout).toBe('126\nfine\n');
    expect(run.stderr).toContain('Operation not permitted');
  });
});

it('a caller that is killed at any moment leaves nothing behind', async () => {
  put('quick', '#!/bin/true\n');
  const loop = `while :; do ${VIRTUAL}/quick; done`;
  const script = `for i in $(seq 30); do sh -c '${loop}' & p=$!; sleep 0.0$((i % 10)); kill -9 $p; wait $p; done 2>/dev/null; echo end`;
  expect(await inside(['bash', '-c', script])).toMatchObject({ code: 0, stdout: 'end\n' });
});
