/** What starting costs, and what many stacks cost. */
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { descriptors } from '../helpers/leaks.ts';
import { median, type Figure } from './figure.ts';
import type { Surroundings } from './surroundings.ts';

const STARTS = 15;
const STACKS = 200;
/** Milliseconds that `umvu true` may take longer than `node -e 0`. */
const START_MS = 60;
const MOUNT_SECONDS = 10;
const STACK_MIB = 2;

async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

/** The time from the start of the command to its end. */
export async function start(at: Surroundings): Promise<Figure[]> {
  const times = { node: [] as number[], umvu: [] as number[], net: [] as number[] };
  const measure = async (into: number[], command: string[]) => {
    into.push(await timed(() => at.run(command, { first: true })));
  };
  for (let round = 0; round < STARTS; round++) {
    await measure(times.node, [process.execPath, '-e', '0']);
    await measure(times.umvu, at.umvu('true'));
    await measure(times.net, at.umvu('--net', 'stack=vdestack,vnl=hub://,eth,ip=10.0.0.1/24', 'true'));
  }
  const [reference, umvu, net] = [median(times.node), median(times.umvu), median(times.net)];
  const target = { text: `≤ +${START_MS} ms`, reached: umvu - reference <= START_MS };
  return [
    { what: 'umvu true / node -e 0', unit: 'ms', reference, umvu, target },
    { what: 'umvu --net … true / node -e 0', unit: 'ms', reference, umvu: net },
  ];
}

/** Resident memory of a process in MiB, without what it shares with other processes by mapping the same files. */
function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1]) / 1024;
}

/** Mounts many stacks, each with an interface on a hub of its own, in one umvu. */
export async function stacks(at: Surroundings): Promise<Figure[]> {
  const guest = `echo ready; read -r go
    for ((i = 0; i < ${STACKS}; i++)); do vumount -t vunetioth -o hub:// vdestack /dev/net/s$i || exit 1; done
    echo mounted; read -r stop`;
  const [command, ...args] = at.umvu('-m', 'vunetioth', '--', 'bash', '-c', guest);
  const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const line = async (expected: string) => {
    const next = (await lines.next()) as IteratorResult<string, undefined>;
    if (next.value !== expected) throw new Error(`the guest of the stacks benchmark failed: ${next.value}`);
  };
  const state = () => ({ memory: residentMiB(child.pid!), fds: descriptors(child.pid) });
  await line('ready');
  const before = state();
  const seconds = (await timed(async () => (child.stdin.write('go\n'), await line('mounted')))) / 1000;
  const after = state();
  child.stdin.end('stop\n');
  const closing = (await timed(() => ended)) / 1000;
  const each = (after.memory - before.memory) / STACKS;
  return [
    {
      what: `${STACKS} stacks: mounting them (a vumount each)`,
      unit: 's',
      umvu: seconds,
      target: { text: `< ${MOUNT_SECONDS} s`, reached: seconds < MOUNT_SECONDS },
    },
    {
      what: '… memory of the supervisor for each',
      unit: 'MiB',
      umvu: each,
      target: { text: `< ${STACK_MIB} MiB`, reached: each < STACK_MIB },
    },
    { what: '… descriptors of the supervisor for each', unit: '', umvu: (after.fds - before.fds) / STACKS },
    { what: '… ending the VM with all of them', unit: 's', umvu: closing },
  ];
}
