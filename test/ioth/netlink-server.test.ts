/** The rtnetlink server: real programs get the same answers from a memory table as from the kernel. */
import { describe, expect, it } from 'vitest';
import { memoryTable } from '../../runtime/ioth/netlink/server/index.ts';
import type { ExecResult } from '../helpers/exec.ts';
import { compareWithKernel } from './netlink-server/cases.ts';
import { World } from './netlink-server/world.ts';

/** Runs a script in a world of its own. */
async function run(script: string): Promise<ExecResult> {
  const table = memoryTable({ kinds: ['vde'] });
  table.addLink({ name: 'd0', index: 3, address: Uint8Array.of(2, 0, 0, 0, 0, 1) });
  const world = await new World(table).start();
  try {
    return await world.run(script);
  } finally {
    world.close();
  }
}

compareWithKernel({ index: 3, run, concurrent: true });

describe('other programs', () => {
  it('make and remove a link of kind vde', async () => {
    const { stdout, code } = await run(`
ip link add name v0 type vde && ip -o link show v0 && ip link show type vde && ip link del v0 && ! ip link show v0`);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^4: v0: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN/);
  });
});
