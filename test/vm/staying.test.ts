/**
 * While guests make calls, the supervisor waits for them in place of the event loop (native/src/staying_poller.h). Whatever
 * else the loop has to do must be done all the same, and an idle supervisor must sleep.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { umvu } from '../helpers/umvu.ts';
import { workDir } from '../helpers/users.ts';

/** Milliseconds for each kind of event. */
const EACH = 100;

/**
 * A module that does one thing after another for a while, each of which is done when an event has come, and counts: at
 * no time is there any other event that could bring the loop on. Then it ends the storm and counts how often its process
 * is woken up.
 */
const MODULE = `
import { execFile } from 'node:child_process';
import { readFile, writeFileSync } from 'node:fs';
const kinds = {
  timer: (done) => setTimeout(done, 2),
  immediate: (done) => setImmediate(done),
  file: (done) => readFile('/etc/passwd', done),
  child: (done) => execFile('/bin/true', done),
  signal: (done) => (process.once('SIGURG', done), process.kill(process.pid, 'SIGURG')),
};
async function count() {
  const counts = {};
  for (const [name, start] of Object.entries(kinds)) {
    counts[name] = 0;
    for (const end = performance.now() + ${EACH}; performance.now() < end; counts[name]++) await new Promise(start);
  }
  writeFileSync('done', '');
  await new Promise((resolve) => setTimeout(resolve, 400));
  const wakeUps = () => process.resourceUsage().voluntaryContextSwitches;
  const before = wakeUps();
  await new Promise((resolve) => setTimeout(resolve, 500));
  counts.idle = wakeUps() - before;
  writeFileSync('counts', JSON.stringify(counts));
}
export default {
  name: 'counter', summary: 'Counts events.', syscalls: [], create: () => (setTimeout(count, 50), {}),
};
`;

test('a storm of calls keeps no event of the loop waiting, and afterwards all is quiet', async () => {
  const { path, remove } = workDir('root');
  try {
    fs.writeFileSync(join(path, 'counter.mjs'), MODULE);
    // Two guests that make nothing but calls, and then one that makes none.
    const storm = 'storm() { while ! [ -e done ]; do :; done; }; storm & storm; wait; exec sleep 1.2';
    const args = ['-m', 'vufs', '-m', './counter.mjs', '--', 'sh', '-c', storm];
    const { code, stderr, timedOut } = await umvu(args, { cwd: path, timeout: 15_000 });
    expect({ code, stderr, timedOut }).toEqual({ code: 0, stderr: '', timedOut: false });
    const { idle, ...counts } = JSON.parse(fs.readFileSync(join(path, 'counts'), 'utf8')) as Record<
      string,
      number
    >;
    for (const [kind, times] of Object.entries(counts)) expect(times, kind).toBeGreaterThan(3);
    expect(idle).toBeLessThan(40);
  } finally {
    remove();
  }
});
