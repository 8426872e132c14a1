/** What single calls cost: those that are left to the kernel, and those that the supervisor answers. */
import { median, ratioTarget, type Figure } from './figure.ts';
import { LONE_STACK, NAMESPACE, PINNED, type Surroundings } from './surroundings.ts';

const ROUNDS = 7;
/** Most that an untrapped call may cost, as a multiple of what it costs in a plain network namespace. */
const UNTRAPPED = 1.05;

type Costs = Map<string, number[]>;

/** Runs micro.c and adds what its operations took, in ns, to `costs`. */
async function measure(
  at: Surroundings,
  costs: Costs,
  words: readonly string[],
  ...args: string[]
): Promise<void> {
  const output = await at.run([...words, at.micro, ...args], { first: words.includes('taskset') });
  for (const line of output.trim().split('\n')) {
    const [name = '', ns] = line.split(' ');
    costs.set(name, [...(costs.get(name) ?? []), Number(ns)]);
  }
}

const LO_UP = ['sh', '-c', 'ip link set lo up && exec "$0" "$@"'];

/** Calls that no filter traps, in a stack and in a plain network namespace. */
export async function untrapped(at: Surroundings): Promise<Figure[]> {
  const entry = ['getpid', 'read', 'write', 'epoll'];
  const names = [...entry, 'tcp_pingpong', 'tcp_bulk_mib'];
  const plain: Costs = new Map();
  const filtered: Costs = new Map();
  const umvu: Costs = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    await measure(at, plain, [...PINNED, ...NAMESPACE, ...LO_UP], ...names);
    await measure(at, filtered, [...PINNED, ...NAMESPACE, ...LO_UP], 'filtered', ...names);
    await measure(at, umvu, [...PINNED, ...at.umvu(...LONE_STACK, '--', ...LO_UP)], ...names);
  }
  const compare = (what: string, name: string, other: Costs): Figure => {
    const reference = median(other.get(name) ?? []);
    const value = median(umvu.get(name) ?? []);
    return {
      what: `${what} ${name}`,
      unit: 'ns',
      reference,
      umvu: value,
      target: ratioTarget(reference, value, { most: UNTRAPPED }),
    };
  };
  return [
    ...names.map((name) => compare('not trapped:', name, plain)),
    ...entry.map((name) => compare('… beside a filter that allows all:', name, filtered)),
  ];
}

/** Calls that the supervisor answers, beside a notification that C answers. `pinned`: all on one core. */
async function answered(at: Surroundings, pinned: boolean): Promise<Figure[]> {
  const words = pinned ? PINNED : [];
  const paths = ['stat', 'open_close'];
  const native: Costs = new Map();
  const umvu: Costs = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    await measure(at, native, words, 'unotify');
    await measure(at, umvu, [...words, ...at.umvu('--')], 'vuctl', ...paths);
    await measure(at, native, words, ...paths, 'socket_close');
    await measure(at, umvu, [...words, ...at.umvu(...LONE_STACK, '--')], 'socket_close');
  }
  const where = pinned ? 'one core' : 'not pinned';
  const figure = (what: string, name: string, reference: string, most?: number): Figure => {
    const [a, b] = [median(native.get(reference) ?? []), median(umvu.get(name) ?? [])];
    return {
      what: `${what} (${where})`,
      unit: 'ns',
      reference: a,
      umvu: b,
      ...(most !== undefined && pinned ? { target: ratioTarget(a, b, { most }) } : {}),
    };
  };
  return [
    figure('call answered in TypeScript / notification in C', 'vuctl', 'unotify', 2),
    figure('socket()+close in a stack / notification in C', 'socket_close', 'unotify', 4),
    figure('socket()+close', 'socket_close', 'socket_close'),
    figure('stat, no mount', 'stat', 'stat'),
    figure('open+close, no mount', 'open_close', 'open_close'),
  ];
}

/** Trapped calls. */
export async function trapped(at: Surroundings): Promise<Figure[]> {
  return [...(await answered(at, true)), ...(await answered(at, false))];
}
