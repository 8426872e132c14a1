/** The IoTh library beside Node's own modules in a plain network namespace (ioth-worker.ts). */
import { join } from 'node:path';
import { tree } from '../helpers/tree.ts';
import { median, ratioTarget, type Figure } from './figure.ts';
import { NAMESPACE, PINNED, type Surroundings } from './surroundings.ts';

const ROUNDS = 3;
/** Longest time from a string to a configured stack, in ms. */
const CONFIGURED_MS = 50;
const LEAST_SPEED = 0.9;

const worker = (): string => join(tree(), 'dist/test/bench/ioth-worker.js');

export async function ioth(at: Surroundings): Promise<Figure[]> {
  const measure = async (what: string, where: 'plain' | 'stack'): Promise<number> => {
    const node = [process.execPath, worker(), what, where];
    const plain = [...NAMESPACE, 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh', ...node];
    const command = [...PINNED, ...(where === 'plain' ? plain : node)];
    return Number(await at.run(command, { timeout: 120_000 }));
  };
  const both = async (what: string): Promise<{ reference: number; umvu: number }> => {
    const times = { plain: [] as number[], stack: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      times.plain.push(await measure(what, 'plain'));
      times.stack.push(await measure(what, 'stack'));
    }
    return { reference: median(times.plain), umvu: median(times.stack) };
  };
  const [throughput, requests, dns] = [await both('throughput'), await both('requests'), await both('dns')];
  const configured = await measure('configured', 'stack');
  const speed = (each: { reference: number; umvu: number }) =>
    ratioTarget(each.reference, each.umvu, { least: LEAST_SPEED });
  return [
    { what: 'net of a stack / node:net', unit: 'Gbit/s', ...throughput, target: speed(throughput) },
    { what: 'http requests per second, stack / node:http', unit: '', ...requests, target: speed(requests) },
    {
      what: '10 000 lookups, stack / c-ares',
      unit: 'ms',
      ...dns,
      target: ratioTarget(dns.reference, dns.umvu, { most: 1 }),
    },
    {
      what: 'a stack from a string',
      unit: 'ms',
      umvu: configured,
      target: { text: `≤ ${CONFIGURED_MS} ms`, reached: configured <= CONFIGURED_MS },
    },
  ];
}
