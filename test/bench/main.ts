/**
 * `npm run bench [-- NAME…]`: measures umvu beside what it is compared with, in one run of some seven minutes, and
 * prints a table. The figures that are asked for, and what was found, are in docs/design/performance.md.
 */
import { cpus, loadavg, release } from 'node:os';
import { bulk } from './bulk.ts';
import { trapped, untrapped } from './calls.ts';
import { printFigures, type Figure } from './figure.ts';
import { ioth } from './ioth.ts';
import { stacks, start } from './lifetime.ts';
import { lwip } from './lwip.ts';
import { paths, PATHS } from './paths.ts';
import { Surroundings } from './surroundings.ts';

const BENCHMARKS: Record<string, (at: Surroundings) => Promise<Figure[]>> = {
  untrapped,
  trapped,
  start,
  stacks,
  bulk,
  ioth,
  lwip,
  paths,
};

/** Parts of `paths`, measured alone only where they are asked for. */
const PARTS: typeof BENCHMARKS = PATHS;

const chosen = process.argv.slice(2);
const unknown = chosen.find((name) => !Object.hasOwn({ ...BENCHMARKS, ...PARTS }, name));
if (unknown !== undefined) {
  console.error(
    `bench: no benchmark «${unknown}»: there are ${Object.keys({ ...BENCHMARKS, ...PARTS }).join(', ')}`,
  );
  process.exit(2);
}

const at = new Surroundings();
try {
  at.prepare();
  const load = loadavg()[0]!.toFixed(1);
  console.log(
    `${cpus().length} × ${cpus()[0]?.model ?? '?'}, Linux ${release()}, Node ${process.version}, load ${load}\n`,
  );
  let first = true;
  for (const name of chosen.length > 0 ? chosen : Object.keys(BENCHMARKS)) {
    printFigures(await (BENCHMARKS[name] ?? PARTS[name])!(at), first);
    first = false;
  }
} finally {
  at.close();
}
