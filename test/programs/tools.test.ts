/** Network tools: each sees the stack of its own, and is allowed there what root is allowed on a machine. */
import { describe, expect, it } from 'vitest';
import { script } from '../helpers/script.ts';
import { ALL_USERS } from '../helpers/users.ts';

describe.each(ALL_USERS)('as %s', (who) => {
  it('ping and ping6', async () => {
    const out = await script(
      who,
      `two_stacks
       b ping -n -c 2 -i 0.2 -W 2 10.0.0.1 | grep -E 'received'
       b ping -6 -n -c 2 -i 0.2 -W 2 fd00::1 | grep -E 'received'
       b ping -n -c 1 -W 2 127.0.0.1 | grep received
       fails b ping -n -c 1 -W 1 10.0.0.77 | grep received`,
    );
    expect(out.match(/2 packets transmitted, 2 received, 0% packet loss/g)).toHaveLength(2);
    expect(out).toMatch(/1 packets transmitted, 1 received/);
    expect(out).toMatch(/1 packets transmitted, 0 received/);
  });

  it('ip addr, ip link, ip route, ip neigh', async () => {
    const out = await script(
      who,
      `stack a 1 null://
       a ip -j addr show vde0 | python3 -c '
import json, sys
link = json.load(sys.stdin)[0]
print(link["ifname"], link["link_type"], *sorted(a["local"] for a in link["addr_info"] if a["scope"] == "global"))'
       a ip link set vde0 mtu 1400 address 02:00:00:00:00:07
       a cat /sys/class/net/vde0/address /sys/class/net/vde0/mtu
       a ip route add 192.168.0.0/16 via 10.0.0.254
       a ip route get 192.168.1.1 | head -n 1
       a ip addr del 10.0.0.1/24 dev vde0
       a ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev vde0 nud permanent
       a ip -br neigh show 10.0.0.9
       a ip -4 -br addr show vde0`,
    );
    const lines = out.split('\n');
    expect(lines.slice(0, 3)).toEqual(['vde0 ether 10.0.0.1 fd00::1', '02:00:00:00:00:07', '1400']);
    expect(lines[3]).toMatch(/^192\.168\.1\.1 via 10\.0\.0\.254 dev vde0 src 10\.0\.0\.1 /);
    expect(lines[4]).toMatch(/^10\.0\.0\.9 +vde0 +02:00:00:00:00:09/);
    expect(lines.slice(5).join('')).toBe('');
  });

  it('/proc/net and /sys/class/net are those of the stack', async () => {
    const out = await script(
      who,
      `stack a 1 null://
       a ls /sys/class/net
       a cut -d: -f1 /proc/net/dev | tail -n +3 | sort
       a cat /proc/net/route | cut -f1 | sort -u
       a ls /proc/net/tcp /proc/self/net/tcp`,
    );
    expect(out.split(/\s+/).filter(Boolean)).toEqual([
      'lo',
      'vde0',
      'lo',
      'vde0',
      'Iface',
      'vde0',
      '/proc/net/tcp',
      '/proc/self/net/tcp',
    ]);
  });

  it('ss shows the sockets of the stack, and not those of the host or of other stacks', async () => {
    const out = await script(
      who,
      `two_stacks
       a python3 -m http.server 80 >log 2>&1 &
       b busybox nc -l -p 81 >/dev/null &
       listening a 80; listening b 81
       a ss -Htln | awk '{print $4}'
       b ss -Htln | awk '{print $4}'`,
    );
    // Which wildcard address is the first one, is up to getaddrinfo(3).
    expect(out).toMatch(/^(0\.0\.0\.0|\*):80\n(\S*:81\n)+$/);
  });

  it('tcpdump on an interface of the stack', async () => {
    const out = await script(
      who,
      `two_stacks
       a timeout 8 tcpdump -n -l -c 1 -i vde0 icmp >seen 2>log &
       retry grep -q 'listening on vde0' log
       b ping -n -c 1 -W 2 10.0.0.1 >/dev/null
       wait %1
       cat seen`,
    );
    expect(out).toMatch(/10\.0\.0\.2 > 10\.0\.0\.1: ICMP echo request/);
  });

  it('a program binds port 80 of its stack, and interfaces can be named by netdevice(7) requests', async () => {
    const out = await script(
      who,
      `stack a 1 null://
       a python3 - <<'PY'
import fcntl, socket, struct
server = socket.socket()
server.bind(('10.0.0.1', 80))
print(server.getsockname())
print([name for _, name in socket.if_nameindex()])
any_socket = socket.socket(socket.AF_UNIX)
reply = fcntl.ioctl(any_socket, 0x8915, struct.pack('16s24x', b'vde0'))
print(socket.inet_ntoa(reply[20:24]))
PY
       a busybox ifconfig vde0 | grep -o 'inet addr:[0-9.]*'`,
    );
    expect(out).toBe("('10.0.0.1', 80)\n['lo', 'vde0']\n10.0.0.1\ninet addr:10.0.0.1\n");
  });

  it('gdb and strace work on guests', async () => {
    const out = await script(
      who,
      `stack a 1 null://
       a gdb -q -nx -batch -ex 'break getsockname' -ex run -ex 'info registers rip' -ex kill \\
         --args /usr/bin/python3 -c 'import socket; socket.socket().getsockname()' 2>/dev/null | grep -c '^Breakpoint 1, ' || true
       a strace -f -qq -e trace=socket -o trace sh -c 'busybox nc -w 1 10.0.0.1 9; true' 2>/dev/null
       grep -c 'socket(AF_INET' trace`,
      { timeout: 30_000 },
    );
    expect(out).toMatch(/^1\n[1-9]\d*\n$/);
  });
});
