/** iperf3 between two stacks on one in-process hub, beside two vdens on a vde_plug hub and the loopback. */
import { median, ratioTarget, type Figure } from './figure.ts';
import { isRoot, type Surroundings } from './surroundings.ts';
import type { Who } from '../helpers/users.ts';

const ROUNDS = 3;
/** Length of a transfer: TCP needs a moment to find its speed. */
const SECONDS = { TCP: 2, UDP: 1 };
/** Least speed of TCP, as a multiple of what vdens reaches. */
const LEAST = 5;

/** Options of the client for each kind of traffic. */
const KINDS = {
  'TCP/IPv4': { address: '10.0.0.1', options: [] },
  'TCP/IPv6': { address: 'fd00::1', options: [] },
  'UDP/IPv4': { address: '10.0.0.1', options: ['-u', '-b', '0'] },
} as const;
type Kind = keyof typeof KINDS;
const kinds = Object.keys(KINDS) as Kind[];

type Speeds = Record<Kind, number[]>;
const none = (): Speeds => ({ 'TCP/IPv4': [], 'TCP/IPv6': [], 'UDP/IPv4': [] });

/** Gives an interface the addresses of the server (1) or the client (2), then runs a command. */
const UP = `#!/bin/sh
number=$1 device=$2; shift 2
ip addr add 10.0.0.$number/24 dev $device
ip addr add fd00::$number/64 dev $device nodad
ip link set $device up
ip link set lo up
exec "$@"
`;

/** What all settings do in the end: a server and, one after the other, its clients. */
const clientsOf = (prefix: string, address: (kind: Kind) => string): string =>
  kinds
    .map(
      (kind) =>
        `${prefix} iperf3 -J -t ${kind.startsWith('TCP') ? SECONDS.TCP : SECONDS.UDP} -c ${address(kind)} ${KINDS[kind].options.join(' ')}; echo ====`,
    )
    .join('\n');

/** Waits for the server, then lets nothing that was started live on. */
const SCRIPT = `#!/bin/bash
trap 'kill $(jobs -p) 2>/dev/null' EXIT
listening() { for ((i = 0; i < 100; i++)); do "$@" ss -Hnlt 'sport = :5201' | grep -q . && return; sleep 0.05; done; exit 1; }
`;

/** Bits per second that arrived, of the JSON that a client wrote. */
function received(json: string): number {
  const { end, error } = JSON.parse(json) as {
    error?: string;
    end: {
      sum_received?: { bits_per_second: number };
      sum?: { bits_per_second: number; lost_percent?: number };
    };
  };
  if (error) throw new Error(`iperf3: ${error}`);
  const sum = end.sum_received ?? end.sum;
  return (sum?.bits_per_second ?? NaN) / 1e9;
}

async function measure(
  at: Surroundings,
  speeds: Speeds,
  script: string,
  words: readonly string[],
  as: Who,
): Promise<void> {
  const path = at.program('bulk.sh', SCRIPT + script);
  const output = await at.run([...words, path], { as, timeout: 40_000 });
  for (const [i, json] of output.split('====\n').slice(0, kinds.length).entries())
    speeds[kinds[i]!].push(received(json));
}

async function loopback(at: Surroundings, speeds: Speeds): Promise<void> {
  const script = `ip link set lo up; iperf3 -s >/dev/null & listening
    ${clientsOf('', (kind) => (KINDS[kind].address.includes(':') ? '::1' : '127.0.0.1'))}`;
  await measure(at, speeds, script, ['unshare', isRoot ? '-n' : '-Urn'], 'root');
}

async function umvu(at: Surroundings, speeds: Speeds, as: Who): Promise<void> {
  const up = at.program('up', UP);
  const script = `for name in a b; do vumount -t vunetioth -o hub://$PWD/hub vdestack /dev/net/$name || exit 1; done
    vustack /dev/net/a ${up} 1 vde0 iperf3 -s >/dev/null & listening vustack /dev/net/a
    vustack /dev/net/b ${up} 2 vde0 true
    ${clientsOf('vustack /dev/net/b', (kind) => KINDS[kind].address)}`;
  await measure(at, speeds, script, at.umvu('-m', 'vunetioth', '--'), as);
}

async function vdens(at: Surroundings, speeds: Speeds): Promise<void> {
  const up = at.program('up', UP);
  const clients = at.program('clients.sh', `#!/bin/bash\n${clientsOf('', (kind) => KINDS[kind].address)}`);
  const script = `mkdir vdens; trap 'kill $(jobs -p) 2>/dev/null; rm -rf vdens' EXIT
    export TMPDIR=$PWD/vdens
    vde_plug null:// hub://$PWD/vdens/hub </dev/null & sleep 0.3
    vdens vde://$PWD/vdens/hub ${up} 1 vde0 sh -c 'echo >vdens/ready; exec iperf3 -s' >/dev/null &
    while [[ ! -e vdens/ready ]]; do sleep 0.05; done; sleep 0.3
    vdens vde://$PWD/vdens/hub ${up} 2 vde0 ${clients}`;
  await measure(at, speeds, script, [], 'root');
}

/** Bulk transfers. */
export async function bulk(at: Surroundings): Promise<Figure[]> {
  const [native, vde, tap, veth] = [none(), none(), none(), none()];
  for (let round = 0; round < ROUNDS; round++) {
    await loopback(at, native);
    await vdens(at, vde);
    if (isRoot) await umvu(at, tap, 'root');
    await umvu(at, veth, 'an ordinary user');
  }
  const compare = (what: string, kind: Kind, other: Speeds, own: Speeds, least?: number): Figure => {
    const [reference, value] = [median(other[kind]), median(own[kind])];
    const target = least === undefined ? {} : { target: ratioTarget(reference, value, { least }) };
    return { what: `iperf3 ${kind}, ${what}`, unit: 'Gbit/s', reference, umvu: value, ...target };
  };
  const settings = [...(isRoot ? [['taps', tap] as const] : []), ['veths (ordinary user)', veth] as const];
  return settings.flatMap(([what, own]) => [
    ...kinds.map((kind) =>
      compare(`${what} / two vdens`, kind, vde, own, kind.startsWith('TCP') ? LEAST : undefined),
    ),
    ...kinds.map((kind) => compare(`${what} / loopback`, kind, native, own)),
  ]);
}
