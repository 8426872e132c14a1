/** The machine that keeps leases of DHCPv4 and DHCPv6 alive: T1, T2, the end, and addresses that are taken meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { LeaseKeeper, type LeaseTimes, type LeaseUser } from '../../runtime/ioth/config/keeper.ts';
import { TIMING } from '../../runtime/ioth/config/source.ts';
import { until } from '../helpers/exec.ts';

interface Lease extends LeaseTimes {
  name: string;
}
/** A second is a millisecond: renewed after 20, rebound after 60, ended after 100. */
const TIMES = { seconds: 100, renewAfter: 20, rebindAfter: 60 };
const timing = { ...TIMING, second: 1, renewal: 5 };

/** A client whose server does what `prolong` says; what happens goes to `calls`. */
function keeper(change: Partial<LeaseUser<Lease>> = {}) {
  const calls: string[] = [];
  let names = 0;
  const user: LeaseUser<Lease> = {
    prolong: async () => undefined,
    install: async () => true,
    uninstall: ({ name }) => void calls.push(`uninstall ${name}`),
    acquire: async () => {
      const lease = { ...TIMES, name: `new${++names}` };
      calls.push(`acquire ${lease.name}`);
      kept.keep(lease);
      return true;
    },
    ...change,
  };
  const kept = new LeaseKeeper<Lease>(timing, user, () => calls.push(`changed ${kept.lease?.name}`));
  kept.keep({ ...TIMES, name: 'first' });
  return { kept, calls };
}

describe('a lease', () => {
  it('is renewed after T1, again and again', async () => {
    const asked: boolean[] = [];
    const { kept, calls } = keeper({
      prolong: async (_lease, rebinding) => {
        asked.push(rebinding);
        return { ...TIMES, name: `again${asked.length}` };
      },
    });
    await until('two renewals', () => calls.includes('changed again2'));
    expect(asked).not.toContain(true);
    expect(kept.stop()?.name).toMatch(/^again/);
    expect(kept.lease).toBeUndefined();
  });

  it('is rebound after T2, and given up at its end for another', async () => {
    const asked: boolean[] = [];
    const { kept, calls } = keeper({
      prolong: async (_lease, rebinding) => void asked.push(rebinding),
    });
    await until('another lease', () => calls.includes('changed new1'));
    expect(asked.slice(0, 2)).toEqual([false, false]);
    expect(asked.at(-1)).toBe(true);
    expect(calls.slice(1, 5)).toEqual([
      'uninstall first',
      'changed undefined',
      'acquire new1',
      'changed new1',
    ]);
    kept.stop();
  });

  it('is given up when the server says so, or when somebody has the address by then', async () => {
    const refused = keeper({ prolong: async () => 'lost' });
    await until('another lease', () => refused.calls.includes('acquire new1'));
    refused.kept.stop();
    const taken = keeper({ prolong: async () => ({ ...TIMES, name: 'again' }), install: async () => false });
    await until('another lease', () => taken.calls.includes('acquire new1'));
    expect(taken.calls).not.toContain('changed again');
    taken.kept.stop();
  });

  it('is asked for until there is one, whatever goes wrong', async () => {
    let tries = 0;
    const { kept } = keeper({
      prolong: async () => 'lost',
      acquire: async () => {
        if (++tries === 1) throw new Error('no network');
        return tries > 3;
      },
    });
    await until('a fourth try', () => tries === 4);
    await sleep(30);
    expect(tries).toBe(4);
    kept.stop();
  });

  it('is let alone once it is stopped', async () => {
    let asked = 0;
    const { kept } = keeper({
      prolong: (_lease, _rebinding, signal) =>
        new Promise((_resolve, reject) => {
          asked++;
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    });
    await until('a renewal', () => asked === 1);
    expect(kept.stop()?.name).toBe('first');
    await sleep(30);
    expect(asked).toBe(1);
  });
});
