/** Test programs on sockets that are not the kernel's: each runs natively too, so what they demand is what Linux does. */
import { describe, expect, it } from 'vitest';
import { AF, SOCK } from '../../runtime/ioth/stack.ts';
import { native } from '../../runtime/native.ts';
import { SYS } from '../../runtime/syscalls/table.ts';
import { exec } from '../helpers/exec.ts';
import { expectTap, tapProgram } from '../helpers/tap.ts';
import { umvu } from '../helpers/umvu.ts';
import { USERS } from '../helpers/users.ts';

const NET = 'stack=lwip,vnl=hub://,eth,ip=10.0.0.1/24';

it('was built with lwIP', () => {
  expect(native().LwipStack).toBeDefined();
});

/** A plain network namespace that looks like the stack. */
const PLAIN = `for f in all default; do echo 0 >/proc/sys/net/ipv6/conf/$f/accept_dad; done
ip link set lo up && ip link add vde0 type veth peer name far && ip addr add 10.0.0.1/24 dev vde0 &&
ip link set vde0 up && ip route add 255.255.255.255 dev vde0 && ip link set far up && echo "0 0" >/proc/sys/net/ipv4/ping_group_range && exec "$1"`;

const PROGRAMS = [
  'sockets-basic',
  'emu-tcp',
  'emu-udp',
  'emu-options',
  'emu-datagram',
  'emu-icmp',
  'emu-states',
];

describe.each(PROGRAMS)('%s', (name) => {
  it('passes natively', async () => {
    expectTap(await exec('unshare', ['-rn', 'sh', '-c', PLAIN, 'sh', tapProgram(name)]));
  });
  it.each(USERS)('passes in a stack of %s', async (as) => {
    expectTap(await umvu(['--net', NET, '--', tapProgram(name)], { as }));
  });
});

describe('emu-hostile', () => {
  it('passes natively', async () => {
    expectTap(await exec('unshare', ['-rn', 'sh', '-c', PLAIN, 'sh', tapProgram('emu-hostile')]));
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
