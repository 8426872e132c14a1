/** Stacks in user space: two guests in two of them on one hub, beside the loopback of the kernel. */
import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { tree } from '../helpers/tree.ts';
import { median, ratioTarget, type Figure } from './figure.ts';
import { isRoot, PINNED, type Surroundings } from './surroundings.ts';

const ROUNDS = 3;
const SECONDS = 2;
const REQUESTS = 20_000;
const FEW = 100;
const MANY = 10_000;
const LOSS = { vnl: 'hub://[delay=1ms/loss=1%]', leastMbit: 20, longestStall: 1 };
const CONNECTS = 5000;
const STACK_KIB = 150;

/** What the scripts of both settings have in common: a server of each kind before the words of the client run. */
const SERVERS = `#!/bin/bash
trap 'kill $(jobs -p) 2>/dev/null' EXIT
serve() { "$@" ./load echo 7 >ready & "$@" iperf3 -s >/dev/null 2>&1 & until [[ -s ready ]]; do sleep 0.05; done; sleep 0.5; }
`;

interface Setting {
  /** Words before the program. */
  readonly words: readonly string[];
  readonly script: (client: string) => string;
}

/** The loopback of a namespace without umvu; `$H` is the server's address, `$C` comes before the client's commands. */
const loopback: Setting = {
  words: ['unshare', isRoot ? '-n' : '-Urn'],
  script: (client) => `${SERVERS}ip link set lo up; H=127.0.0.1 H6=::1 C=; serve env\n${client}\n`,
};

function stacks(at: Surroundings, vnl = 'hub://', kind = 'lwip'): Setting {
  const mount = (n: number, stack: string): string =>
    `vumount -t vunetioth -o '${vnl},eth,ip=10.0.0.${n}/24,ip=fc00::${n}/64' ${stack} /dev/net/${n} || exit 1`;
  return {
    words: at.umvu('-m', 'vunetioth', '--'),
    script: (client) =>
      [
        SERVERS,
        mount(1, 'lwip'),
        mount(2, kind),
        `H=10.0.0.1 H6=fc00::1 C='vustack /dev/net/2'; serve vustack /dev/net/1\n${client}\n`,
      ].join('\n'),
  };
}

/** Runs `client` with a server; the lines that it prints. */
async function run(
  at: Surroundings,
  { words, script }: Setting,
  client: string,
  before: readonly string[] = [],
  first = false,
) {
  const path = at.program('lwip.sh', script(client));
  const output = await at.run([...before, ...words, path], { timeout: 60_000, first });
  return output.trim().split('\n');
}

interface Transfer {
  end: { sum_received: { bits_per_second: number }; sum: { lost_percent?: number } };
  intervals: { sum: { bytes: number; seconds: number } }[];
}

async function transfer(at: Surroundings, setting: Setting, options: string): Promise<Transfer> {
  const lines = await run(at, setting, `$C iperf3 -J -t ${SECONDS} ${options}`);
  return JSON.parse(lines.join('\n')) as Transfer;
}

/** Medians of `umvu` and `reference`, which take turns. */
async function both(reference: () => Promise<number>, umvu: () => Promise<number>) {
  const values = { reference: [] as number[], umvu: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    values.reference.push(await reference());
    values.umvu.push(await umvu());
  }
  return { reference: median(values.reference), umvu: median(values.umvu) };
}

async function connections(at: Surroundings): Promise<Figure[]> {
  const number = async (setting: Setting, client: string, before: readonly string[] = []): Promise<number> =>
    Number((await run(at, setting, client, before, true))[0]);
  const two = stacks(at);
  const connect = `$C ./load connect $H 7 ${SECONDS}`;
  const rate = await both(
    () => number(loopback, connect),
    () => number(two, connect),
  );
  const one = `$C ./load requests $H 7 1 ${REQUESTS}`;
  const turn = await both(
    () => number(loopback, one, PINNED),
    () => number(two, one, PINNED),
  );
  // The client's ends are the kernel's, so that the descriptors of one process are enough.
  const kernel = stacks(at, 'hub://', 'vdestack');
  const over = (count: number) => () =>
    number(kernel, `$C ./load requests $H 7 ${count} ${REQUESTS}`, PINNED);
  const many = await both(over(FEW), over(MANY));
  return [
    {
      what: 'lwip: connect+close per second / loopback',
      unit: '',
      ...rate,
      target: { text: `≥ ${CONNECTS}`, reached: rate.umvu >= CONNECTS },
    },
    {
      what: 'lwip: 1 byte there and back, one core / loopback',
      unit: 'µs',
      ...turn,
      target: ratioTarget(turn.reference, turn.umvu, { most: 3 }),
    },
    {
      what: `lwip: a request over ${MANY} connections / over ${FEW}`,
      unit: 'µs',
      ...many,
      target: ratioTarget(many.reference, many.umvu, { most: 3 }),
    },
  ];
}

async function transfers(at: Surroundings): Promise<Figure[]> {
  const two = stacks(at);
  const speed = async (setting: Setting, options: string): Promise<number> =>
    (await transfer(at, setting, options)).end.sum_received.bits_per_second / 1e9;
  const lost = async (setting: Setting): Promise<number> =>
    (await transfer(at, setting, '-c $H -u -b 500M')).end.sum.lost_percent ?? NaN;
  const v4 = await both(
    () => speed(loopback, '-c $H'),
    () => speed(two, '-c $H'),
  );
  const v6 = await both(
    () => speed(two, '-c $H'),
    () => speed(two, '-c $H6'),
  );
  const udp = await both(
    () => lost(loopback),
    () => lost(two),
  );
  return [
    {
      what: 'lwip: iperf3 TCP / loopback',
      unit: 'Gbit/s',
      ...v4,
      target: ratioTarget(v4.reference, v4.umvu, { least: 0.2 }),
    },
    {
      what: 'lwip: iperf3 TCP over IPv6 / over IPv4',
      unit: 'Gbit/s',
      ...v6,
      target: ratioTarget(v6.reference, v6.umvu, { least: 0.9 }),
    },
    { what: 'lwip: iperf3 UDP at 500 Mbit/s, % lost / loopback', unit: '', ...udp },
  ];
}

/** Longest time without a byte, in seconds. */
function stall({ intervals }: Transfer): number {
  let longest = 0;
  let now = 0;
  for (const { sum } of intervals) {
    now = sum.bytes > 0 ? 0 : now + sum.seconds;
    longest = Math.max(longest, now);
  }
  return longest;
}

async function losses(at: Surroundings): Promise<Figure[]> {
  const lossy = await transfer(at, stacks(at, LOSS.vnl), '-c $H -t 10 -i 0.1');
  const speed = lossy.end.sum_received.bits_per_second / 1e6;
  const longest = stall(lossy);
  return [
    {
      what: 'lwip: iperf3 TCP, 1 ms delay and 1 % loss, Mbit/s',
      unit: '',
      umvu: speed,
      target: { text: `≥ ${LOSS.leastMbit}`, reached: speed >= LOSS.leastMbit },
    },
    {
      what: '… longest time without a byte',
      unit: 's',
      umvu: longest,
      target: { text: `≤ ${LOSS.longestStall}`, reached: longest <= LOSS.longestStall },
    },
  ];
}

async function idle(at: Surroundings): Promise<Figure[]> {
  const output = await at.run([process.execPath, join(tree(), 'dist/test/bench/lwip-idle.js')], {
    timeout: 60_000,
  });
  const [kib = NaN, percent = NaN] = output.trim().split(' ').map(Number);
  return [
    {
      what: 'lwip: memory of an idle stack, KiB',
      unit: '',
      umvu: kib,
      target: { text: `< ${STACK_KIB}`, reached: kib < STACK_KIB },
    },
    {
      what: '… processor time of 1000, %',
      unit: '',
      umvu: percent,
      target: { text: '< 0.5', reached: percent < 0.5 },
    },
  ];
}

/** The figures that are asked of the stack in user space. */
export async function lwip(at: Surroundings): Promise<Figure[]> {
  const load = join(at.dir, 'load');
  const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror'];
  execFileSync('gcc', [...flags, '-o', load, join(import.meta.dirname, 'lwip.c')], { stdio: 'inherit' });
  chmodSync(load, 0o755);
  return [...(await connections(at)), ...(await transfers(at)), ...(await losses(at)), ...(await idle(at))];
}
