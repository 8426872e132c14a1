/** Two stacks on one network, 10.0.0.1 and fc00::1, 10.0.0.2 and fc00::2, for the tests of a file. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type IothHost, type IothStack, createIothHost, newStackc } from '../../runtime/ioth/index.ts';

export interface TwoStacks {
  host: IothHost;
  a: IothStack;
  b: IothStack;
  /** `object` is closed after the test. */
  use<T extends { close(): unknown }>(object: T): T;
}

/** The kinds of stacks that a program can open for itself; what works on one works on all. */
export const DRIVERS = ['vdestack', 'lwip'] as const;
export type Driver = (typeof DRIVERS)[number];

export function twoStacks(driver: Driver = 'vdestack'): TwoStacks {
  const used: { close(): unknown }[] = [];
  const two = {
    use(object: { close(): unknown }) {
      used.push(object);
      return object;
    },
  } as TwoStacks;
  beforeAll(async () => {
    two.host = createIothHost();
    const open = (n: number): Promise<IothStack> =>
      newStackc(`stack=${driver},vnl=switch://,eth,ip=10.0.0.${n}/24,ip=fc00::${n}/64`, two.host);
    // Both name the same private network of this host.
    [two.a, two.b] = await Promise.all([open(1), open(2)]);
    for (const stack of [two.a, two.b]) stack.netlink((client) => client.setUp(1, true));
  });
  afterEach(() => {
    for (const each of used.splice(0)) each.close();
  });
  afterAll(async () => {
    await two.a.close();
    await two.b.close();
    await two.host.close();
  });
  return two;
}
