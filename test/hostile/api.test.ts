/** Many short guests in one VM of the TypeScript API: the process that serves them stays as it was. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { processesOf } from '../helpers/leaks.ts';
import { sanitized, tree } from '../helpers/tree.ts';
import { nodeCommand, umvuEnvironment } from '../helpers/umvu.ts';
import { becoming, USERS, workDir, type Who } from '../helpers/users.ts';

const PRELUDE = `
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startVm } from '${join(tree(), 'dist/runtime/index.js')}';
const descriptors = () => readdirSync('/proc/self/fd').length;
const print = (result) => console.log(JSON.stringify(result));
`;

/** Runs a program that uses the API, which must end by itself. What it prints. */
async function program(who: Who, text: string): Promise<Record<string, unknown>> {
  const work = workDir(who);
  try {
    const file = join(work.path, 'program.mjs');
    writeFileSync(file, PRELUDE + text);
    const [command, ...args] = [...becoming(who), ...nodeCommand(), file];
    const env = umvuEnvironment(work.path, { UMVU_TEST_RUN: work.path });
    const { code, stdout, stderr, timedOut } = await exec(command, args, {
      cwd: work.path,
      env,
      timeout: 30_000,
    });
    expect({ code, stderr, timedOut, left: processesOf(`UMVU_TEST_RUN=${work.path}`) }).toEqual({
      code: 0,
      stderr: '',
      timedOut: false,
      left: [],
    });
    return JSON.parse(stdout) as Record<string, unknown>;
  } finally {
    work.remove();
  }
}

describe.each(USERS)('as %s', (who) => {
  it('runs hundreds of guests, one after the other and some at once', async () => {
    const result = await program(
      who,
      `const vm = await startVm({ net: 'stack=vdestack,vnl=null://' });
       let good = 0;
       const round = async () => {
         let left = 100;
         const worker = async () => {
           while (left-- > 0) {
             const guest = await vm.spawn('/bin/true', [], { stdio: 'ignore' });
             const { code } = await guest.exited;
             good += code === 0;
           }
         };
         await Promise.all([worker(), worker(), worker(), worker()]);
         // The listener of the last one may still be about to report its end.
         await sleep(100);
       };
       await round();
       const [fds, memory] = [descriptors(), process.memoryUsage.rss()];
       for (let i = 0; i < 3; i++) await round();
       print({ good, fds: descriptors() - fds, processes: vm.stats().processes, memory: process.memoryUsage.rss() - memory });
       await vm.close();`,
    );
    const { memory, fds, ...rest } = result;
    expect(rest).toEqual({ good: 400, processes: 0 });
    expect(fds).toBeLessThanOrEqual(1);
    expect(memory).toBeLessThan(sanitized ? 1 << 30 : 48 << 20);
  }, 40_000);

  it('gives everything back when it is closed, whatever its guests are doing', async () => {
    const result = await program(
      who,
      `const refused = [];
       const cycle = async () => {
         const vm = await startVm({ net: 'stack=vdestack,vnl=hub://' });
         const busy = 'trap "" TERM; while :; do ls /dev/net /proc/net >/dev/null; done';
         for (let n = 0; n < 3; n++) await vm.spawn('bash', ['-c', busy], { stdio: 'ignore' });
         const closing = [vm.close(), vm.close()];
         await vm.spawn('true').catch((error) => refused.push(error.code));
         await Promise.all(closing);
       };
       await cycle();
       const fds = descriptors();
       for (let i = 0; i < 4; i++) await cycle();
       print({ fds: descriptors() - fds, refused });`,
    );
    const { fds, ...rest } = result;
    expect(rest).toEqual({ refused: Array(5).fill('ESHUTDOWN') });
    // The list of mounts (served_mounts.h) is opened once, when a path is first looked at closely.
    expect(fds).toBeLessThanOrEqual(1);
  }, 40_000);
});
