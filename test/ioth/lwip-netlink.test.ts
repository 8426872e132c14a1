/** The configuration of stacks in user space by ordinary programs of an ordinary user, compared with the kernel's. */
import { describe, expect, it } from 'vitest';
import { type ExecResult, exec } from '../helpers/exec.ts';
import { type UmvuOptions, umvu } from '../helpers/umvu.ts';
import { compareWithKernel } from './netlink-server/cases.ts';

describe('a stack in user space is configured like the kernel', () => {
  // As the other side starts: with a fresh lo, and without waiting for duplicates of addresses.
  const prepare =
    'ip addr flush dev lo; ip link set lo down; ip link set d0 address 02:00:00:00:00:01\n' +
    'echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad';
  compareWithKernel({
    index: 2,
    run: (script) =>
      umvu(['--net', 'stack=lwip,vnl=d0:hub://', '/bin/sh', '-c', `${prepare}\n${script}`], {
        as: 'an ordinary user',
      }),
  });
});

/** Runs a script of sh in an lwip stack of an ordinary user: vde0 on a hub, with 10.0.0.1/24 and fc00::1/64. */
async function inStack(script: string, more: Partial<UmvuOptions> = {}): Promise<ExecResult> {
  const config = 'stack=lwip,vnl=hub://,eth,ip=10.0.0.1/24,ip=fc00::1/64';
  return umvu(['--net', config, 'sh', '-c', script], { as: 'an ordinary user', timeout: 30_000, ...more });
}

/** Runs a script of sh where `mounts` (options and path) are stacks of user space. */
async function withStacks(
  mounts: readonly [options: string, path: string, driver?: string][],
  script: string,
): Promise<string> {
  const commands = mounts.map(
    ([options, path, driver = 'lwip']) => `vumount -t vunetioth -o ${options} ${driver} ${path}`,
  );
  const text = ['set -e', ...commands, script].join('\n');
  const options = { as: 'an ordinary user', timeout: 30_000 } as const;
  const { stdout, stderr } = await umvu(['-m', 'vunetioth', '--', 'sh', '-c', text], options);
  return `${stdout}${stderr}`;
}

describe('the sockets of a stack in user space', () => {
  const PROGRAM = `
import os, socket, subprocess
def bound(family, kind, address, protocol=0):
    s = socket.socket(family, kind, protocol)
    s.bind(address)
    return s
a = socket.create_server(('', 80)); b = socket.create_server(('::', 81), family=socket.AF_INET6, dualstack_ipv6=True)
c = bound(socket.AF_INET, socket.SOCK_DGRAM, ('10.0.0.1', 53)); d = bound(socket.AF_INET6, socket.SOCK_DGRAM, ('::1', 54))
e = socket.socket(); e.bind(('10.0.0.1', 1234)); e.connect(('10.0.0.1', 80)); f, _ = a.accept()
g = socket.create_connection(('10.0.0.1', 81), source_address=('10.0.0.1', 1235)); h, _ = b.accept()
for command in ['ss -Htlnu', 'ss -Htnp', 'ss -Htn state established "( sport = :80 )"', 'netstat -tlnu', 'netstat -tn', 'ss -Hxp', 'ss -s']:
    print('+', command, flush=True)
    out = subprocess.run(command, shell=True, capture_output=True, text=True)
    print('\\n'.join(sorted((out.stdout + out.stderr).replace(str(os.getpid()), 'PID').splitlines())), flush=True)
`;

  /** Without what the kernel alone has: lengths of queues, and how many sockets the machine has. */
  const normal = (text: string): string[] =>
    text
      .split('\n')
      .filter((line) => !/^(Total|TCP|FRAG|INET|RAW|UDP|Transport|u_|\s*$)/.test(line))
      .map((line) =>
        line
          .replace(/(LISTEN +\d+ +)\d+/, '$1N')
          .replaceAll(/ +/g, ' ')
          .trimEnd(),
      )
      // Other programs of the machine do not take part in the network of the test, but in its local sockets.
      .filter((line) => !line.startsWith('Active UNIX'));

  it('are shown by ss and netstat as the kernel shows them', async () => {
    const setup = 'ip link set lo up; ip addr add 10.0.0.1/24 dev lo';
    const [kernel, ours] = await Promise.all([
      exec('unshare', ['-n', 'sh', '-c', `${setup}\npython3 -c "$PROGRAM"`], {
        env: { ...process.env, PROGRAM },
      }),
      inStack('python3 -c "$PROGRAM"', { env: { PROGRAM } }),
    ]);
    expect(ours.stderr).toBe('');
    expect(normal(ours.stdout)).toEqual(normal(kernel.stdout));
    expect(ours.stdout).toContain('estab 4');
  });
});

describe('a stack in user space', () => {
  it('passes on packets of others when it is told to', async () => {
    const script = `
A='vustack /dev/net/a' R='vustack /dev/net/r'
ping() { $A ping -q -c2 -i0.2 -W1 $1 | grep -o '[0-9]* received' || true; }
ping 10.2.0.2; ping fd02::2
$R sh -c 'cat /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv4/ip_forward; sysctl -n net.ipv4.ip_forward'
$R sysctl -w net.ipv6.conf.all.forwarding=1
ping 10.2.0.2; ping fd02::2
$A ping -c1 -W1 10.2.0.2 | grep -o 'ttl=[0-9]*'
vustack /dev/net/b python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 7)); print("ready", flush=True)
s.sendto(*s.recvfrom(99))' & server=$!
sleep 0.3; echo echoed | $A socat -t2 - UDP:10.2.0.2:7; wait $server
$R sh -c 'echo 0 > /proc/sys/net/ipv4/ip_forward'
ping 10.2.0.2`;
    const text = await withStacks(
      [
        ['vnl=hub://,eth,ip=10.1.0.2/24,gw=10.1.0.1,ip=fd01::2/64,gw=fd01::1', '/dev/net/a'],
        [
          'vnl=hub://,vnl=switch://,iface=vde0,eth,ip=10.1.0.1/24,ip=fd01::1/64,iface=vde1,eth,ip=10.2.0.1/24,ip=fd02::1/64',
          '/dev/net/r',
        ],
        ['vnl=switch://,eth,ip=10.2.0.2/24,gw=10.2.0.1,ip=fd02::2/64,gw=fd02::1', '/dev/net/b', 'vdestack'],
      ],
      script,
    );
    expect(text).toBe(
      '0 received\n0 received\n0\n1\nnet.ipv6.conf.all.forwarding = 1\n2 received\n2 received\nttl=63\nready\nechoed\n0 received\n',
    );
  });

  it('tells monitors what it finds out about addresses', async () => {
    const script = `
B='vustack /dev/net/b'
$B sh -c 'ip -o monitor address > log & sleep 0.3
ip addr add fd00::5/64 dev vde0
ip addr add fd00::1/64 dev vde0
ip addr add fd00::6/64 dev vde0 valid_lft 2 preferred_lft 1
sleep 3.4; kill $!'
sed 's/\\\\.*//; s/ *$//' log; $B ip -br -6 addr show scope global`;
    const text = await withStacks(
      [
        ['vnl=hub://,eth,ip=fd00::1/64', '/dev/net/a'],
        ['vnl=hub://,eth', '/dev/net/b'],
      ],
      script,
    );
    const lines = text.split('\n');
    const of = (address: string): string[] => lines.filter((line) => line.includes(address));
    expect(of('fd00::5/64')).toEqual([
      '2: vde0    inet6 fd00::5/64 scope global tentative',
      '2: vde0    inet6 fd00::5/64 scope global',
      expect.stringMatching(/^vde0 +UP +fd00::/),
    ]);
    expect(of('fd00::1/64').slice(0, 2)).toEqual([
      '2: vde0    inet6 fd00::1/64 scope global tentative',
      '2: vde0    inet6 fd00::1/64 scope global dadfailed tentative',
    ]);
    expect(of('fd00::6/64')[0]).toBe('2: vde0    inet6 fd00::6/64 scope global tentative dynamic');
    expect(of('fd00::6/64')).toContain('2: vde0    inet6 fd00::6/64 scope global deprecated dynamic');
    expect(of('fd00::6/64').at(-1)).toContain('Deleted');
  });

  it('takes addresses and routes from the announcements of a router', async () => {
    const router = `
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex('vde0'))
prefix = struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 600, 300, 0) + socket.inet_pton(socket.AF_INET6, 'fd07::')
s.sendto(struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0) + prefix, ('ff02::1', 0))
`;
    const script = `
for i in $(seq 60); do vustack /dev/net/a ip -6 addr show dev vde0 tentative | grep -q inet6 || break; sleep 0.05; done
vustack /dev/net/a python3 -c "${router}"
for i in $(seq 50); do vustack /dev/net/b ip -6 addr show dev vde0 scope global -tentative | grep -q fd07 && break; sleep 0.05; done
vustack /dev/net/b sh -c 'ip -o -6 addr show scope global; ip -6 route; ip neigh'`;
    const text = await withStacks(
      [
        ['vnl=hub://,eth,ip=fd07::1/64', '/dev/net/a', 'vdestack'],
        ['vnl=hub://,eth', '/dev/net/b'],
      ],
      script,
    );
    expect(text).toMatch(/^2: vde0 {4}inet6 fd07::[0-9a-f:]+\/64 scope global dynamic mngtmpaddr/m);
    expect(text).toMatch(/valid_lft (600|59\d)sec preferred_lft (300|29\d)sec/);
    expect(text).toMatch(/^default via fe80::[0-9a-f:]+ dev vde0 proto ra metric 1024/m);
    expect(text).toMatch(/^fd07::\/64 dev vde0 proto kernel metric 256/m);
    expect(text).toMatch(/^fe80::[0-9a-f:]+ dev vde0 lladdr [0-9a-f:]{17} router /m);
  });

  it('answers guests that write to the socket and read from it', async () => {
    const script = `
import os, socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
os.write(s.fileno(), struct.pack('=IHHIIBxxxiiI', 32, 18, 1, 7, 0, 0, 1, 0, 0)[:32])
size, kind, flags, seq, pid = struct.unpack('=IHHII', os.read(s.fileno(), 65536)[:16])
print(kind, seq, pid == os.getpid() == s.getsockname()[0])
os.write(s.fileno(), struct.pack('=IHHIIB', 17, 18, 0x301, 8, 0, 0))
print(struct.unpack('=IHHII', s.recv(65536)[:16])[1:4])
s.setsockopt(270, 1, 1)
s.bind((0, 0x10))
print(s.getsockname()[1], s.getsockopt(270, 9, 8).hex())
for address in [(77, 0), (0, 0)]:
    try:
        print(s.sendto(struct.pack('=IHHII', 16, 1, 0, 9, 0), address))
    except OSError as error:
        print(error.strerror)
print(socket.if_nameindex(), socket.if_nametoindex('vde0'), socket.if_indextoname(1))`;
    const { stdout, stderr } = await inStack('python3 -c "$PROGRAM"', { env: { PROGRAM: script } });
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual([
      '16 7 True',
      '(16, 2, 8)',
      '16 1000000000000000',
      'Connection refused',
      '16',
      "[(1, 'lo'), (2, 'vde0')] 2 lo",
      '',
    ]);
  });

  it('is not configured by a guest that has become another user', async () => {
    const script =
      'setpriv --reuid=4444 --clear-groups sh -c "ip link set vde0 mtu 1400; ifconfig vde0 mtu 1400; ip -br link show vde0; ' +
      'echo 1 > /proc/sys/net/ipv4/ip_forward"; ip -o link show vde0; cat /proc/sys/net/ipv4/ip_forward';
    const { stdout, stderr } = await inStack(script, { as: 'root' });
    expect(stderr).toContain('RTNETLINK answers: Operation not permitted');
    expect(stderr).toContain('SIOCSIFMTU: Operation not permitted');
    expect(stderr).toContain('Permission denied');
    expect(stdout).toContain('mtu 1500');
    expect(stdout).toMatch(/^0$/m);
  });

  it('shows nothing of the host in /proc and /sys', async () => {
    const script = `
cd /sys/class/net; ls; cat vde0/ifindex; cd /
ls -d /sys/class/net/vde0 /sys/devices/virtual/net/lo; ls /sys/class/net/lo/statistics | head -1
cat /sys/class/net/vde0/operstate /sys/class/net/vde0/mtu; echo 1400 > /sys/class/net/vde0/mtu; cat /sys/class/net/vde0/mtu
ls /proc/net | tr '\\n' ' '; echo; cat /proc/self/net/if_inet6 | grep -c vde0; sed -n '$p' /proc/1/net/dev > /dev/null
cat /proc/net/tcp_does_not_exist /proc/net/nf_conntrack /proc/sys/net/ipv4/tcp_rmem /sys/class/net/eth0/mtu
ls /proc/sys/net/ipv4/conf`;
    const { stdout, stderr } = await inStack(script);
    expect(stdout.split('\n')).toEqual([
      'lo', 'vde0', '2', '/sys/class/net/vde0', '/sys/devices/virtual/net/lo', 'collisions', 'up', '1500', '1400',
      expect.stringMatching(/^arp dev .* tcp tcp6 udp udp6 udplite udplite6 unix $/), '2', 'all', 'default', 'lo', 'vde0', '',
    ]); // prettier-ignore
    expect(stderr.match(/No such file or directory/g)).toHaveLength(4);
  });

  it('is shown in JSON, and changed in name and address', async () => {
    const script = `
ip -j addr show vde0 | python3 -c 'import json,sys; [x]=json.load(sys.stdin); print(x["ifname"], [a["local"] for a in x["addr_info"]][:2])'
ip link set vde0 down; ip link set vde0 name wan0; ip link set wan0 address 02:00:00:00:00:09 up
cat /sys/class/net/wan0/address; ip -j route | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["dev"])'
busybox ifconfig wan0 mtu 1300; busybox route add default gw 10.0.0.9; busybox ip route | head -1; ip neigh flush dev wan0`;
    const { stdout, stderr } = await inStack(script);
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual([
      "vde0 ['10.0.0.1', 'fc00::1']",
      '02:00:00:00:00:09',
      'wan0',
      expect.stringMatching(/^default via 10.0.0.9 dev wan0/),
      '',
    ]);
  });
});
