/** The stack in user space and those of the kernel on one network: each must take the other for one of its own kind. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';
import { exec } from '../helpers/exec.ts';
import { script, tryScript } from '../helpers/script.ts';
import { becoming, workDir, type Who } from '../helpers/users.ts';

const WHO: Who = 'an ordinary user';

/** Runs a script beside exchange.py. */
async function withExchange(body: string): Promise<string> {
  const work = workDir(WHO);
  try {
    copyFileSync(join(projectRoot, 'test/programs/exchange.py'), join(work.path, 'exchange.py'));
    return await script(WHO, body, { cwd: work.path });
  } finally {
    work.remove();
  }
}

/** `on KIND NAME NUMBER VNL`: a stack of this kind. */
const ON = 'on() { local STACK=$1; shift; stack "$@"; }\n';

/**
 * `talk SCHEME SERVER CLIENT`: two stacks of these kinds on a network of their own. One serves exchange.py, the other one asks, and what
 * came back is in out.SCHEME.
 */
const TALK = `${ON}
talk() {
  local one=/dev/net/$1a two=/dev/net/$1b size to
  on $2 $1a 1 "$1://$PWD/$1"; on $3 $1b 2 "$1://$PWD/$1"
  vustack $one python3 exchange.py serve up.$1 &
  retry test -e up.$1
  vustack $two python3 exchange.py ask 10.0.0.1 fd00::1 239.7.7.7%vde0 ff15::7%vde0
  for size in 56 4000; do
    for to in 10.0.0.1 fd00::1; do vustack $two ping -n -q -c 2 -i 0.1 -W 2 -s $size $to | grep -o '. received'; done
  done
}`;

const ANSWERED = `10.0.0.1 TCP True
10.0.0.1 UDP True True True True
fd00::1 TCP True
fd00::1 UDP True True True True
239.7.7.7%vde0 UDP True True True
ff15::7%vde0 UDP True True True
${'2 received\n'.repeat(4)}`;

// vde:// here is vde_switch, which knows nothing of offloads.
it.each([
  ['lwip', 'lwip'],
  ['lwip', 'vdestack'],
  ['vdestack', 'lwip'],
])(
  'TCP, UDP, groups, ping, fragments, large frames on hub://, switch:// and vde_switch: %s serves, %s asks',
  async (server, client) => {
    const out = await withExchange(
      `${TALK}
       sleep 60 | vde_switch -s "$PWD/vde" >/dev/null 2>&1 &
       retry test -S vde/ctl
       talks=()
       for scheme in hub switch vde; do talk $scheme ${server} ${client} >out.$scheme & talks+=($!); done
       for each in "\${talks[@]}"; do wait $each; done
       for scheme in hub switch vde; do echo $scheme; cat out.$scheme; done
       for end in a b; do vustack /dev/net/hub$end ip link set vde0 mtu 9000; done
       for to in 10.0.0.1 fd00::1; do
         vustack /dev/net/hubb ping -n -q -c 1 -W 2 -M do -s 8900 $to | grep -o '. received'
       done`,
    );
    const talks = ['hub', 'switch', 'vde'].map((scheme) => `${scheme}\n${ANSWERED}`);
    expect(out).toBe(`${talks.join('')}${'1 received\n'.repeat(2)}`);
  },
);

it('a namespace of vdens is a neighbour like others', async () => {
  const work = workDir(WHO);
  try {
    copyFileSync(join(projectRoot, 'test/programs/exchange.py'), join(work.path, 'exchange.py'));
    // vdens and its plug hold each other up for ever when much goes both ways through their pipes.
    const stream = 'export STREAM=20000';
    // Where only root may open /dev/net/tun, root runs vdens, and its plug into the network is that of the user.
    const vdens = `${stream}
      for ((i = 0; i < 100; i++)); do [[ -S net/ctl ]] && break; sleep 0.05; done
      exec vdens "cmd://${becoming(WHO).join(' ')} vde_plug vde://$PWD/net" bash -c '
        ip addr add 10.0.0.2/24 dev vde0; ip addr add fd00::2/64 dev vde0 nodad; ip link set vde0 up
        for ((i = 0; i < 100; i++)); do [[ -e up ]] && break; sleep 0.05; done
        python3 exchange.py ask 10.0.0.1 fd00::1; ping -n -q -c 1 -s 4000 -W 2 10.0.0.1
        timeout 15 python3 exchange.py serve back & for ((i = 0; i < 300; i++)); do [[ -e end ]] && break; sleep 0.05; done; kill $!'`;
    const outside = exec('bash', ['-c', vdens], { cwd: work.path });
    const inside = await script(
      WHO,
      `chmod 777 .; ${stream}
       STACK=lwip stack a 1 "switch://$PWD/net"
       a python3 exchange.py serve up &
       for ((i = 0; i < 200; i++)); do [[ -e back ]] && break; sleep 0.05; done
       a python3 exchange.py ask 10.0.0.2 fd00::2 239.7.7.7%vde0
       touch end`,
      { cwd: work.path },
    );
    const unicast = ANSWERED.split('\n').slice(0, 4).join('\n');
    expect(inside).toBe(
      `${unicast.replaceAll('.0.1 ', '.0.2 ').replaceAll('::1', '::2')}\n239.7.7.7%vde0 UDP True True True\n`,
    );
    const { stdout } = await outside;
    expect(stdout).toContain(unicast);
    expect(stdout).toContain('1 received');
  } finally {
    work.remove();
  }
});

it('slirp:// reaches TCP and UDP servers of the host, and its names', async () => {
  const out = await script(
    WHO,
    `vustack -H dnsmasq -k --conf-file=/dev/null --pid-file= --user= --group= --no-resolv --no-hosts --port=5399 \\
       --listen-address=127.0.0.1 --bind-interfaces --address=/web.example/192.0.2.7 --txt-record=note.example,text >log 2>&1 &
     STACK=lwip; vumount -t vunetioth -o slirp://,eth,ip=10.0.2.15/24,gw=10.0.2.2 lwip /dev/net/a
     a dig +short +timeout=1 +tries=5 @10.0.2.2 -p 5399 web.example A
     a dig +short +timeout=2 +tcp @10.0.2.2 -p 5399 note.example TXT`,
  );
  expect(out).toBe('192.0.2.7\n"text"\n');
});

/** Sends frames over a packet socket: UDP datagrams to port 9 of 10.0.0.1, one of them right. */
const FORGE = `
import socket, struct
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(('vde0', 0))
def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def send(text, header_error=0, datagram_error=0, length_error=0):
    ends = socket.inet_aton('10.0.0.2') + socket.inet_aton('10.0.0.1')
    size = 8 + len(text)
    datagram = struct.pack('!HHHH', 99, 9, size, 0) + text
    sum_of = checksum(ends + struct.pack('!HH', 17, size) + datagram) ^ datagram_error
    datagram = datagram[:6] + struct.pack('!H', sum_of) + text
    header = struct.pack('!BBHHHBBH', 0x45, 0, 20 + size + length_error, 1, 0, 64, 17, 0) + ends
    header = header[:10] + struct.pack('!H', checksum(header) ^ header_error) + header[12:]
    wire.send(bytes.fromhex('020000000001' '020000000002' '0800') + header + datagram)
send(b'right ')
send(b'wrong checksum of UDP ', datagram_error=1)
send(b'wrong checksum of IP', header_error=1)
send(b'longer than it is ', length_error=99)
send(b'last')
`;

it('what has a wrong checksum or length is dropped', async () => {
  const out = await script(
    WHO,
    `${ON}on lwip a 1 "hub://$PWD/net"; on vdestack b 2 "hub://$PWD/net"
     a ip link set vde0 address 02:00:00:00:00:01
     a python3 -c '
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 9))
open("up", "w")
data = b""
while data != b"last":
    data = server.recv(99)
    print(data)' & server=$!
     retry test -e up
     b python3 -c "${FORGE}"
     wait $server`,
  );
  expect(out).toBe("b'right '\nb'last'\n");
});

describe('addresses', () => {
  it('duplicates are found on both sides, and the one who has the address keeps it', async () => {
    const out = await script(
      WHO,
      `${ON}c() { vustack /dev/net/c "$@"; }
       on lwip a 1 "hub://$PWD/net"; on vdestack b 2 "hub://$PWD/net"; on lwip c 3 "hub://$PWD/net"
       b ip addr add fd00::1/64 dev vde0
       a ip addr add fd00::2/64 dev vde0
       c ip addr add fd00::1/64 dev vde0
       failed() { $1 ip -6 -o addr show dev vde0 | grep dadfailed | grep -o 'fd00::[0-9]'; }
       for each in a b c; do retry failed $each >/dev/null; echo "$each: $(failed $each)"; done
       c ping -n -q -c 1 -W 2 fd00::2 | grep -o '. received'`,
    );
    expect(out).toBe('a: fd00::2\nb: fd00::1\nc: fd00::1\n1 received\n');
  });

  it('stateless autoconfiguration from radvd', async () => {
    const out = await script(
      WHO,
      `${ON}on vdestack b 1 "hub://$PWD/net"
       cat >radvd.conf <<CONF
interface vde0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; prefix fd77::/64 { }; };
CONF
       b radvd -n -m stderr -C radvd.conf -p radvd.pid >radvd.log 2>&1 &
       vumount -t vunetioth -o "hub://$PWD/net,eth" lwip /dev/net/a
       address() { a ip -6 -o addr show dev vde0 | grep -v tentative | grep -o 'fd77::[^/]*'; }
       for ((i = 0; i < 150; i++)); do address >address && break; sleep 0.1; done
       b ip -6 route add fd77::/64 dev vde0
       b ping -n -q -c 1 -W 2 "$(cat address)" | grep -o '. received'`,
    );
    expect(out).toBe('1 received\n');
  });

  // Before it gives addresses dnsmasq wants to see that it has capabilities; those of a namespace will do.
  it('dnsmasq in user space gives addresses to a stack of the kernel', async () => {
    const out = await script(
      WHO,
      `${ON}on lwip a 1 "hub://$PWD/net"
       a unshare -r dnsmasq -k --conf-file=/dev/null --pid-file= --user= --group= --no-resolv --no-hosts --port=53 \\
         --interface=vde0 --bind-interfaces --dhcp-range=10.0.0.100,10.0.0.120,2m --dhcp-authoritative --dhcp-broadcast --no-ping \\
         --dhcp-leasefile=leases --address=/web.example/10.0.0.1 --log-facility=- >log 2>&1 &
       retry grep -q 'bound exclusively' log
       vumount -t vunetioth -o "hub://$PWD/net,eth,dhcp" vdestack /dev/net/b
       b ip -4 -o addr show vde0 | grep -o '10.0.0.1[0-9]*/24'
       b cat /etc/resolv.conf
       b getent ahostsv4 web.example | head -n 1`,
    );
    expect(out).toMatch(
      /^10\.0\.0\.1[0-2]\d\/24\nnameserver 10\.0\.0\.1\n10\.0\.0\.1 +STREAM web\.example\n$/,
    );
  });
});

it('without namespaces a vdestack says in one line what is missing, and lwip works', async () => {
  const { code, stdout, stderr } = await tryScript(
    'a user without namespaces',
    `fails unshare -U true
     fails vumount -t vunetioth -o null:// vdestack /dev/net/k
     stack a 1 null://
     a ip -br -4 addr show vde0 | grep -o 10.0.0.1`,
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(
    /^unshare: .*No space left on device\nvumount: \/dev\/net\/k: [^\n]*namespace[^\n]*\n10\.0\.0\.1\n$/,
  );
});
