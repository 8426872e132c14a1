/** Stacks in user space: configuration, programs between two of them, and their neighbours of other kinds. */
import { describe, expect, it } from 'vitest';
import { createIothHost } from '../../runtime/ioth/host.ts';
import { newStackFromConfig } from '../../runtime/ioth/newstack.ts';
import { NetlinkClient } from '../../runtime/ioth/netlink/index.ts';
import { umvu } from '../helpers/umvu.ts';
import type { Who } from '../helpers/users.ts';

/** Runs a script of bash in a VM where stacks of these kinds are on one hub as /dev/net/a and /dev/net/b. */
async function between(kinds: [string, string], script: string, as: Who = 'an ordinary user') {
  const mounts = kinds.map(
    (kind, i) =>
      `vumount -t vunetioth -o vnl=hub://,eth,ip=10.0.0.${i + 1}/24,ip=fc00::${i + 1}/64 ${kind} /dev/net/${'ab'[i]}`,
  );
  const text = ['set -e', ...mounts, "A='vustack /dev/net/a' B='vustack /dev/net/b'", script].join('\n');
  const result = await umvu(['-m', 'vunetioth', '--', 'bash', '-c', text], { as, timeout: 30000 });
  return { ...result, output: `${result.stdout}${result.stderr}` };
}

/** Starts python's http.server in A, and lets B fetch what it serves. */
const FETCH = `
mkdir www; head -c 20000000 /dev/urandom > www/big; echo hello > www/index.html
$A python3 -m http.server --bind :: --directory www 80 > log 2>&1 & server=$!
for i in $(seq 50); do $B curl -sf http://10.0.0.1/ > /dev/null && break; sleep 0.1; done
$B curl -s http://10.0.0.1/
$B curl -gs 'http://[fc00::1]/'
$B curl -s -o got http://10.0.0.1/big
cmp got www/big && echo same
kill $server`;

describe('configuration', () => {
  it('is shown by ip as the kernel shows it', async () => {
    const { stdout } = await umvu([
      '--net',
      'stack=lwip,vnl=hub://,eth,ip=10.0.0.1/24,ip=10.1.0.1/16,ip=fc00::1/64,gw=10.0.0.254',
      'sh',
      '-c',
      'ip -br addr; ip route; ip -6 route show dev vde0',
    ]);
    expect(stdout).toMatch(/^lo +UNKNOWN +127\.0\.0\.1\/8 ::1\/128 *$/m);
    expect(stdout).toMatch(/^vde0 +UP +10\.0\.0\.1\/24 10\.1\.0\.1\/16 fc00::1\/64 fe80::\S+\/64 *$/m);
    expect(stdout).toContain('default via 10.0.0.254 dev vde0');
    expect(stdout).toContain('10.1.0.0/16 dev vde0 proto kernel scope link src 10.1.0.1');
    expect(stdout).toMatch(/^fc00::\/64 proto kernel metric 256/m);
  });

  it('is changed by ip', async () => {
    const script = [
      'ip link set lo down; ip -br link show lo',
      'ip addr add 10.2.0.1/24 dev vde0; ip link set vde0 mtu 9000; ip link set vde0 up',
      'ip route add 10.3.0.0/16 via 10.2.0.9; ip route get 10.3.4.5',
      'ip addr del 10.2.0.1/24 dev vde0; ip route; ip -o link show vde0',
      'ip addr add 10.2.0.1/24 dev nothing',
    ].join('\n');
    const { stdout, stderr } = await umvu(['--net', 'stack=lwip,vnl=hub://', 'sh', '-c', script]);
    expect(stdout).toMatch(/^lo +DOWN/m);
    expect(stdout).toContain('10.3.4.5 via 10.2.0.9 dev vde0');
    expect(stdout).not.toContain('10.3.0.0/16');
    expect(stdout).toContain('mtu 9000');
    expect(stderr).toContain('Cannot find device "nothing"');
  });

  it('is seen by a program that uses the library', async () => {
    const host = createIothHost();
    try {
      const stack = await newStackFromConfig('stack=lwip,vnl=hub://,eth,ip=10.0.0.1/24', host);
      const names = NetlinkClient.with(stack, (client) => client.links().map(({ name }) => name));
      expect(names).toEqual(['lo', 'vde0']);
      await stack.close();
      expect(() => stack.socket(2, 1, 0)).toThrow(/closed/);
    } finally {
      await host.close();
    }
  });
});

describe('two stacks of an ordinary user on a hub', () => {
  it('carry HTTP over IPv4 and IPv6', async () => {
    const { output } = await between(['lwip', 'lwip'], FETCH);
    expect(output).toBe('hello\nhello\nsame\n');
  });

  it('answer ping of both families, also in fragments', async () => {
    const script =
      'for to in 10.0.0.2 fc00::2; do for size in 56 4000; do $A ping -qc3 -i 0.1 -s $size $to; done; done';
    const { output } = await between(['lwip', 'lwip'], script);
    expect(output.match(/3 packets transmitted, 3 received, 0% packet loss/g)).toHaveLength(4);
  });

  it('refuse a connection to a closed port, also after its server was killed', async () => {
    const script = `
$A python3 -c 'import socket,time; s=socket.create_server(("",7)); print(flush=True); time.sleep(9)' > up & server=$!
until [ -s up ]; do sleep 0.05; done
kill -9 $server; wait $server || true
$B curl -s http://10.0.0.1:7/ || echo $?`;
    const { output } = await between(['lwip', 'lwip'], script);
    expect(output).toMatch(/^7$/m);
  });
});

describe.each([
  ['lwip', 'vdestack'],
  ['vdestack', 'lwip'],
] as [string, string][])('%s and %s on a hub', (a, b) => {
  it('carry HTTP and ping', async () => {
    const script = `sleep 1.2; $A ping -qc2 -i 0.1 10.0.0.2 | grep -c ' 0%'; $A ping -qc2 -i 0.1 -s 4000 fc00::2 | grep -c ' 0%'\n${FETCH}`;
    const { output } = await between([a, b], script);
    expect(output).toBe('1\n1\nhello\nhello\nsame\n');
  });
});
