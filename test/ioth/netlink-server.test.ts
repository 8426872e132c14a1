/** The rtnetlink server: real programs get the same answers from a memory table as from the kernel. */
import { afterEach, describe, expect, it } from 'vitest';
import { memoryTable } from '../../runtime/ioth/netlink/server/index.ts';
import type { ExecResult } from '../helpers/exec.ts';
import { compareWithKernel } from './netlink-server/cases.ts';
import { World } from './netlink-server/world.ts';

const worlds: World[] = [];
afterEach(() => worlds.splice(0).forEach((world) => world.close()));

async function world(): Promise<World> {
  const table = memoryTable({ kinds: ['vde'] });
  table.addLink({ name: 'd0', index: 3, address: Uint8Array.of(2, 0, 0, 0, 0, 1) });
  const made = await new World(table).start();
  worlds.push(made);
  return made;
}

const run = async (script: string): Promise<ExecResult> => (await world()).run(script);

compareWithKernel({ index: 3, run });

describe('other programs', () => {
  it('make and remove a link of kind vde', async () => {
    const { stdout, code } = await (
      await world()
    ).run(`
ip link add name v0 type vde && ip -o link show v0 && ip link show type vde && ip link del v0 && ! ip link show v0`);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^4: v0: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN/);
  });
});
