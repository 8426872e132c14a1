/** Test programs on sockets that are not the kernel's: each runs natively too, so what they demand is what Linux does. */
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { AF, SOCK } from '../../runtime/ioth/stack.ts';
import { native } from '../../runtime/native.ts';
import { SYS } from '../../runtime/syscalls/table.ts';
import { exec, type ExecResult } from '../helpers/exec.ts';
import { expectTap, tapProgram } from '../helpers/tap.ts';
import { umvu } from '../helpers/umvu.ts';
import { USERS, type Who } from '../helpers/users.ts';

const NET = 'stack=lwip,vnl=hub://,eth,ip=10.0.0.1/24';

it('was built with lwIP', () => {
  expect(native().LwipStack).toBeDefined();
});

/** A plain network namespace that looks like the stack. */
const PLAIN = `for f in all default; do echo 0 >/proc/sys/net/ipv6/conf/$f/accept_dad; done
ip link set lo up && ip link add vde0 type veth peer name far && ip addr add 10.0.0.1/24 dev vde0 &&
ip link set vde0 up && ip route add 255.255.255.255 dev vde0 && ip link set far up && echo "0 0" >/proc/sys/net/ipv4/ping_group_range && `;

/** What emu-network wants besides: IPv6, and neighbours that are not there. The rest of these programs does not mind. */
const NEIGHBOURS = `ip -6 addr add fd00::1/64 dev vde0 nodad && for ip in 10.0.0.8 fd00::8; do
ip neigh add $ip lladdr 02:00:00:00:00:08 dev vde0 || exit; done; `;

/** Runs programs one after the other, each into a file of its own, so that one network serves all of them. */
const RUN = `cd "$1" && shift && for program; do "$program" >$(basename $program).out 2>$(basename $program).err
echo $? >$(basename $program).code; done`;

const PROGRAMS = [
  'sockets-basic',
  'emu-tcp',
  'emu-udp',
  'emu-options',
  'emu-datagram',
  'emu-icmp',
  'emu-states',
  'emu-filters',
  'emu-network',
];

/** Runs all programs, natively or in a stack of somebody; what each of them gave. */
async function runAll(who?: Who): Promise<Map<string, ExecResult>> {
  const results = new Map<string, ExecResult>();
  const directory = await mkdtemp(join(tmpdir(), 'umvu-taps-'));
  await chmod(directory, 0o777);
  const script = NEIGHBOURS + RUN;
  const args = ['sh', directory, ...PROGRAMS.map(tapProgram)];
  const { code, signal, timedOut, stderr } = who
    ? await umvu(['--net', NET, '--', 'sh', '-c', script, ...args], { as: who, timeout: 60_000 })
    : await exec('unshare', ['-rn', 'sh', '-c', PLAIN + script, ...args], { timeout: 60_000 });
  for (const name of PROGRAMS) {
    const output = (suffix: string): Promise<string> =>
      readFile(join(directory, `${name}.${suffix}`), 'utf8').catch(() => '');
    results.set(name, {
      code: code === 0 ? Number((await output('code')) || -1) : code,
      signal,
      timedOut,
      stdout: await output('out'),
      stderr: `${stderr}${await output('err')}`,
    });
  }
  await rm(directory, { recursive: true });
  return results;
}

describe.each([undefined, ...USERS])('as %s', (who) => {
  let results: Map<string, ExecResult>;
  beforeAll(async () => {
    results = await runAll(who);
  }, 90_000);
  it.each(PROGRAMS)('%s', (name) => expectTap(results.get(name)!));
});

describe('emu-hostile', () => {
  it('passes natively', async () => {
    expectTap(
      await exec('unshare', ['-rn', 'sh', '-c', `${PLAIN}exec "$1"`, 'sh', tapProgram('emu-hostile')]),
    );
  });
  it('passes in a stack of an ordinary user', { timeout: 100_000 }, async () => {
    const args = ['--net', NET, '--', tapProgram('emu-hostile')];
    expectTap(await umvu(args, { as: 'an ordinary user', timeout: 90_000 }));
  });
});

it('forgets sockets that are never used', () => {
  const stack = new (native().LwipStack!)();
  try {
    for (let i = 0; i < 200; i++) {
      native().syscall(SYS.close, stack.socket(AF.INET, SOCK.STREAM, 0));
      native().syscall(SYS.close, stack.socket(AF.INET6, SOCK.DGRAM, 0));
    }
    expect(stack.sockets()).toBe(0);
  } finally {
    stack.close();
  }
});
