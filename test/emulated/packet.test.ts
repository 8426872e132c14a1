/** Packet sockets of the stack in user space: a program that checks itself, and real programs. */
import { describe, expect, it } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { expectTap, tapProgram } from '../helpers/tap.ts';
import { umvu } from '../helpers/umvu.ts';
import { USERS, type Who } from '../helpers/users.ts';

const NET = 'stack=lwip,vnl=hub://,eth,ip=10.0.0.1/24';
const TWO = 'vumount -t vunetioth -o hub://,eth,ip=10.0.0.2/24 lwip /dev/net/two';

/** Runs a script in stack 10.0.0.1; what it prints. */
async function bash(who: Who, script: string, net = NET): Promise<string> {
  const { code, stdout, stderr } = await umvu(['--net', net, '--', 'bash', '-c', `set -e\n${script}`], {
    as: who,
  });
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  return stdout;
}

describe('emu-packet', () => {
  it('passes natively, in a network namespace of its own', async () => {
    expectTap(
      await exec('unshare', ['-rn', 'sh', '-c', 'ip link set lo up; exec "$0"', tapProgram('emu-packet')]),
    );
  });
  it.each(USERS)('passes in a stack of %s', async (as) => {
    expectTap(await umvu(['--net', NET, '--', tapProgram('emu-packet')], { as }));
  });
});

describe.each(USERS)('as %s', (who) => {
  it('tcpdump on an interface, with a filter', async () => {
    const out = await bash(
      who,
      `${TWO}
       (until grep -q listening err; do sleep 0.05; done; exec ping -c 3 -i 0.2 10.0.0.2 >/dev/null) 2>/dev/null &
       tcpdump -n -i vde0 -c 4 'icmp and host 10.0.0.2' 2>err
       cat err
       wait`,
    );
    expect(out.match(/IP 10\.0\.0\.1 > 10\.0\.0\.2: ICMP echo request/g)).toHaveLength(2);
    expect(out.match(/IP 10\.0\.0\.2 > 10\.0\.0\.1: ICMP echo reply/g)).toHaveLength(2);
    expect(out).toContain('\n4 packets captured\n');
    expect(out).toContain('\n0 packets dropped by kernel\n');
  });

  it('tcpdump -i lo and -i any, frame by frame', async () => {
    const out = await bash(
      who,
      `later() { (until grep -q listening "$1"; do sleep 0.05; done; exec ping -c 1 127.0.0.1 >/dev/null) 2>/dev/null & }
       later lo.err
       tcpdump --immediate-mode -n -i lo -c 2 icmp 2>lo.err
       wait
       later any.err
       tcpdump -l -n -i any -c 2 icmp 2>any.err
       wait`,
    );
    expect(out.match(/ IP 127\.0\.0\.1 > 127\.0\.0\.1: ICMP echo re(quest|ply)/g)).toHaveLength(4);
    expect(out).toMatch(/ lo {2,}(In|Out) {1,2}IP 127/);
  });

  it('tcpdump that waits for an idle network does not compute', async () => {
    const out = await bash(
      who,
      `tcpdump --immediate-mode -n -i vde0 icmp >log 2>&1 &
       sleep 0.5
       ping -c 2 -i 0.3 -W 1 10.0.0.9 >/dev/null || true
       sleep 1
       cut -d' ' -f14,15 /proc/$!/stat
       kill $!`,
    );
    const ticks = out.trim().split(' ').map(Number);
    expect(ticks[0]! + ticks[1]!).toBeLessThan(20);
  });

  it.each(['busybox arping -c 1 -w 3 -I vde0 10.0.0.2', 'arping -c 1 -w 3 -I vde0 10.0.0.2'])(
    '%s',
    async (command) => {
      expect(await bash(who, `${TWO}\n${command}`)).toMatch(/Unicast reply from 10\.0\.0\.2 \[/i);
    },
  );

  it('udhcpc gets an address from udhcpd in a stack of the kernel', async () => {
    const out = await bash(
      who,
      `vumount -t vunetioth -o hub://,eth,ip=10.0.0.1/24 vdestack /dev/net/server
       printf '%s\\n' 'start 10.0.0.50' 'end 10.0.0.50' 'interface vde0' 'option subnet 255.255.255.0' \\
         "lease_file $PWD/leases" "pidfile $PWD/pid" >conf
       touch leases
       vustack /dev/net/server busybox udhcpd -f -a 100 conf 2>/dev/null &
       echo 'if test "$1" = bound; then ip addr add $ip/24 dev $interface; fi' >script
       chmod +x script; sed -i '1i #!/bin/sh' script
       ip link set vde0 up
       sleep 0.5
       busybox udhcpc -i vde0 -n -q -t 5 -T 1 -s $PWD/script 2>&1
       ping -c 1 10.0.0.1
       kill %1`,
      'stack=lwip,vnl=hub://,eth',
    );
    expect(out).toContain('lease of 10.0.0.50 obtained from 10.0.0.1');
    expect(out).toContain('1 received');
  });

  it('frames of python between two stacks', async () => {
    const out = await bash(
      who,
      `${TWO}
       cat >receive.py <<'PY'
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
s.bind(('vde0', 0))
open('ready', 'w').close()
frame, (name, protocol, kind, hardware, address) = s.recvfrom(2000)
print(frame[14:].rstrip(b'\\0'), name, hex(protocol), kind == socket.PACKET_BROADCAST, hardware, address.hex())
PY
       vustack /dev/net/two timeout 10 python3 receive.py &
       receiver=$!
       while ! test -e ready; do sleep 0.05; done
       python3 - <<'PY'
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('vde0', 0x88b5))
s.send(b'\\xff' * 6 + bytes([2, 0, 0, 0, 0, 1]) + b'\\x88\\xb5' + b'hello'.ljust(46, b'\\0'))
PY
       wait $receiver`,
    );
    expect(out).toBe("b'hello' vde0 0x88b5 True 1 020000000001\n");
  });
});
