/** Makes 1000 stacks in user space, and waits until nothing is left to do. Prints KiB for each, and % of a core for all. */
import { readFileSync } from 'node:fs';
import { createIothHost } from '../../runtime/ioth/host.ts';
import { newStackFromConfig } from '../../runtime/ioth/newstack.ts';

const STACKS = 1000;
/** Timers of a stack go on for 16 s after its last work. */
const SETTLED = 25_000;
const MEASURED = 4000;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const resident = (): number =>
  Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]);

const host = createIothHost();
await (await newStackFromConfig('stack=lwip,vnl=null://,eth,ip=10.1.0.1/24', host)).close();
const before = resident();
for (let i = 0; i < STACKS; i++)
  await newStackFromConfig(`stack=lwip,vnl=null://,eth,ip=10.0.${i >> 8}.${i & 255}/24`, host);
const each = (resident() - before) / STACKS;
await sleep(SETTLED);
const start = process.cpuUsage();
await sleep(MEASURED);
const { user, system } = process.cpuUsage(start);
console.log(`${each.toFixed(1)} ${((user + system) / MEASURED / 10).toFixed(3)}`);
await host.close();
