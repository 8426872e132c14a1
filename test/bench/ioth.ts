/** The IoTh library beside Node's own modules in a plain network namespace (ioth-worker.ts). */
import { join } from 'node:path';
import { tree } from '../helpers/tree.ts';
import { median, ratioTarget, type Figure } from './figure.ts';
import { NAMESPACE, PINNED, type Surroundings } from './surroundings.ts';

const ROUNDS = 4;
/** Longest time from a string to a configured stack, in ms. */
const CONFIGURED_MS = 50;
const LEAST_SPEED = 0.9;

type Driver = 'vdestack' | 'lwip';
type Where = Driver | 'plain';
interface Both {
  reference: number;
  umvu: number;
}

const worker = (): string => join(tree(), 'dist/test/bench/ioth-worker.js');

export async function ioth(at: Surroundings): Promise<Figure[]> {
  const measure = async (what: string, where: Where, pinned: readonly string[]): Promise<number> => {
    const node = [process.execPath, worker(), what, where];
    const plain = [...NAMESPACE, 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh', ...node];
    const command = [...pinned, ...(where === 'plain' ? plain : node)];
    // What is on one core alone can go before the rest of the machine, which otherwise is what is measured.
    return Number(await at.run(command, { timeout: 120_000, first: pinned.length > 0 }));
  };
  /** The medians of `what` in a plain namespace and on stacks of `where`, in turns that begin with each of them. */
  const both = async (what: string, where: Driver, pinned: readonly string[] = PINNED): Promise<Both> => {
    const times = { plain: [] as number[], stack: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      const turns = [
        async () => times.plain.push(await measure(what, 'plain', pinned)),
        async () => times.stack.push(await measure(what, where, pinned)),
      ];
      for (const turn of round % 2 === 0 ? turns : turns.reverse()) await turn();
    }
    return { reference: median(times.plain), umvu: median(times.stack) };
  };
  const figures: Figure[] = [];
  for (const where of ['vdestack', 'lwip'] as const) {
    // What is asked for is asked of the kernel's stack; the other is shown beside it.
    const asked = where === 'vdestack';
    const compare = (
      what: string,
      unit: Figure['unit'],
      each: Both,
      bound: Parameters<typeof ratioTarget>[2],
    ) =>
      figures.push({
        what,
        unit,
        ...each,
        ...(asked ? { target: ratioTarget(each.reference, each.umvu, bound) } : {}),
      });
    const speed = { least: LEAST_SPEED };
    compare(`http body on ${where} / node:http`, 'Gbit/s', await both('throughput', where), speed);
    compare(`http requests/s on ${where} / node:http`, '', await both('requests', where), speed);
    for (const [name, pinned] of [
      ['pinned', PINNED],
      ['free', []],
    ] as const)
      compare(`10 000 lookups, ${where} / c-ares, ${name}`, 'ms', await both('dns', where, pinned), {
        most: 1,
      });
    const configured = await measure('configured', where, PINNED);
    const target = { text: `≤ ${CONFIGURED_MS} ms`, reached: configured <= CONFIGURED_MS };
    figures.push({ what: `a ${where} from a string`, unit: 'ms', umvu: configured, target });
  }
  return figures;
}
