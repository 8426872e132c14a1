/**
 * Random file operations on views and, at the same time, on a plain directory that models them (guests/tap/fs-random.c).
 * A failing sequence is made shorter before it is shown. UMVU_TEST_SEED and UMVU_TEST_OPERATIONS choose others.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { tapProgram } from '../helpers/tap.ts';
import { umvuCommand, umvuEnvironment } from '../helpers/umvu.ts';
import { snapshot } from '../helpers/snapshot.ts';

const PROGRAM = tapProgram('fs-random');
const SEEDS = process.env['UMVU_TEST_SEED']?.split(',').map(Number) ?? [1, 2, 3];
const OPERATIONS = Number(process.env['UMVU_TEST_OPERATIONS'] ?? 1500);
/** Runs that are spent on making a failing sequence shorter. */
const MOST_TRIES = Number(process.env['UMVU_TEST_TRIES'] ?? 25);

type Kind = 'bind' | 'merge' | 'cow';

/** Mounts, in the guest's shell: the tree is at $W/low, or $W/seen for a bind. */
const MOUNT: Record<Kind, string> = {
  bind: 'vumount -t vufs $W/low $W/seen',
  merge: 'vumount -t vufs -o merge $W/up $W/low && cp -a $W/low/. $W/model',
  cow: 'vumount -t vufs -o cow $W/up $W/low',
};

/** One run in new directories: what the program printed, and whether the lower tree is as it was. */
async function run(
  kind: Kind,
  seed: number,
  skip: readonly string[],
): Promise<{ out: string; kept: boolean }> {
  const work = fs.mkdtempSync(join(tmpdir(), 'umvu-random-'));
  for (const name of ['low', 'up', 'seen', 'model', 'tmp']) fs.mkdirSync(join(work, name));
  const prepare = (tree: string, model: string, from: number): void =>
    void spawnSync(PROGRAM, [join(work, tree), join(work, model), String(from), '150'], {
      encoding: 'latin1',
    });
  try {
    prepare('low', kind === 'merge' ? 'seen' : 'model', 1000 + seed);
    if (kind === 'merge') prepare('up', 'tmp', 2000 + seed);
    const before = snapshot(join(work, 'low'));
    const tree = join(work, kind === 'bind' ? 'seen' : 'low');
    const words = (from: number) =>
      [PROGRAM, tree, join(work, 'model'), String(from), String(OPERATIONS)].join(' ');
    const again = `vuumount $W/low && ${MOUNT.cow} && ${words(3000 + seed)}`;
    const script = `W=${work}; ${MOUNT[kind]} && ${words(seed)} ${skip.join(' ')}${kind === 'cow' && skip.length === 0 ? ` && ${again}` : ''}`;
    const [command, ...args] = umvuCommand(['-m', 'vufs', '--', 'sh', '-c', script]);
    const { stdout, stderr } = await exec(command!, args, {
      cwd: work,
      env: umvuEnvironment(work),
      timeout: 60_000,
    });
    return { out: stdout + stderr, kept: kind !== 'cow' || snapshot(join(work, 'low')) === before };
  } finally {
    fs.rmSync(work, { recursive: true });
  }
}

/** Leaves out parts of a failing sequence as long as its last operation still fails. */
async function shorten(kind: Kind, seed: number, last: number): Promise<string> {
  let skip: [number, number][] = [[last + 1, OPERATIONS]];
  let shown = '';
  let tries = 0;
  const words = (ranges: [number, number][]) => ranges.map(([from, to]) => `${from}-${to}`);
  for (
    let size = Math.ceil(last / 2);
    size >= 1 && tries < MOST_TRIES;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let from = 0; from < last && tries < MOST_TRIES; from += size, tries++) {
      const candidate: [number, number][] = [...skip, [from, Math.min(from + size, last) - 1]];
      const { out } = await run(kind, seed, words(candidate));
      if (!out.includes(`not ok 1 - operation ${last}:`)) continue;
      skip = candidate;
      shown = out;
    }
  }
  return `${kind}, seed ${seed}, without ${words(skip).join(' ')}\n${shown}`;
}

describe.each<Kind>(['bind', 'merge', 'cow'])('%s', (kind) => {
  test.each(SEEDS)('seed %i', { timeout: 300_000 }, async (seed) => {
    const { out, kept } = await run(kind, seed, []);
    const [, failed] = /^not ok 1 - operation (\d+)/m.exec(out) ?? [];
    if (failed !== undefined) expect.fail(`${out}\n${await shorten(kind, seed, Number(failed))}`);
    expect(out).toMatch(/^ok 1 - the trees are the same[^]*1\.\.1\n$/);
    expect(kept, 'the lower tree is as it was').toBe(true);
  });
});
