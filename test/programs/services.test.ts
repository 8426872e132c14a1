/** Name, mail-order and login services of Debian, each in its own stack. */
import { describe, expect, it } from 'vitest';
import { script } from '../helpers/script.ts';
import { umvuCommand } from '../helpers/umvu.ts';
import { ALL_USERS } from '../helpers/users.ts';

/** Starts sshd in stack a with keys and settings of its own; CLIENT are the options for ssh and sftp. */
const SSHD = `
ssh-keygen -q -t ed25519 -N '' -f hostkey; ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub authorized
cat >sshd_config <<CONF
Port 22
HostKey $PWD/hostkey
PidFile none
AuthorizedKeysFile $PWD/authorized
StrictModes no
UsePAM $([[ $(id -u) == 0 ]] && echo no || echo yes)
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
CONF
[[ $(id -u) != 0 ]] || mkdir -p /run/sshd
a /usr/sbin/sshd -D -e -f sshd_config 2>sshd.log &
listening a 22
CLIENT="-F none -i key -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=known"`;

const DNSMASQ = `
a dnsmasq -k --conf-file=/dev/null --pid-file= --user= --group= --no-resolv --no-hosts --port=53 \\
  --address=/web.example/10.0.0.1 --address=/web.example/fd00::1 --txt-record=note.example,'a text' >dns.log 2>&1 &
listening a 53 -u`;

describe.each(ALL_USERS)('as %s', (who) => {
  it('sshd on port 22 and sftp: keys, pty-less session, a file both ways', async () => {
    const out = await script(
      who,
      `two_stacks
       ${SSHD}
       echo 'over sftp' >sent
       printf 'put sent there\\nget there back\\nls -1 there\\n' | b sftp -q $CLIENT -b - "$(id -un)@10.0.0.1:$PWD" >/dev/null
       cat there back`,
    );
    expect(out).toBe('over sftp\nover sftp\n');
  });

  it('iperf3 over TCP, UDP and IPv6', async () => {
    const out = await script(
      who,
      `two_stacks
       a iperf3 -s >log 2>&1 &
       listening a 5201
       for options in '-n 20M' '-n 20M -R' '-n 1M -u -b 40M' '-n 20M -6'; do
         b iperf3 -J -c "$([[ $options == *-6 ]] && echo fd00::1 || echo 10.0.0.1)" $options | python3 -c '
import json, sys
end = json.load(sys.stdin)["end"]
print("moved data" if end.get("sum_received", end.get("sum"))["bytes"] > 100000 else end)'
       done`,
    );
    expect(out).toBe('moved data\n'.repeat(4));
  });

  it('redis-server and redis-benchmark', async () => {
    const out = await script(
      who,
      `two_stacks
       a redis-server --port 6379 --bind 10.0.0.1 --protected-mode no --save '' --dir "$PWD" >log 2>&1 &
       listening a 6379
       b redis-benchmark -h 10.0.0.1 -q -n 2000 -c 10 -t set,get --csv
       b redis-cli -h 10.0.0.1 set key value
       b redis-cli -h 10.0.0.1 get key`,
    );
    expect(out).toMatch(/"SET","\d+\.\d+",?.*\n"GET","\d+\.\d+",?.*\nOK\nvalue\n$/);
  });

  it('dnsmasq and dig', async () => {
    const out = await script(
      who,
      `two_stacks
       ${DNSMASQ}
       b dig +short +timeout=2 @10.0.0.1 web.example A
       b dig +short +timeout=2 @10.0.0.1 web.example AAAA
       b dig +short +timeout=2 +tcp @10.0.0.1 note.example TXT`,
    );
    expect(out).toBe('10.0.0.1\nfd00::1\n"a text"\n');
  });

  it('dns= gives the programs of a stack its name server, and nobody else', async () => {
    const out = await script(
      who,
      `stack a 1 "hub://$PWD/hub"
       vumount -t vunetioth -o "stack=$STACK,vnl=hub://$PWD/hub,eth,ip=10.0.0.2/24,dns=10.0.0.1" none /dev/net/b
       ${DNSMASQ}
       a python3 -m http.server 80 >log 2>&1 &
       listening a 80
       echo page >index.html
       b cat /etc/resolv.conf
       b getent ahostsv4 web.example | head -n 1
       b curl -sS http://web.example/
       cmp /etc/resolv.conf <(cat /etc/resolv.conf)
       fails getent hosts web.example >/dev/null
       fails a grep -x 'nameserver 10.0.0.1' /etc/resolv.conf
       rm -f index.html`,
    );
    expect(out).toMatch(/^nameserver 10\.0\.0\.1\n10\.0\.0\.1 +STREAM web\.example\npage\n$/);
  });
});

// An ordinary user's sshd lets in only this user, who may have no shell.
describe.each(ALL_USERS.filter((who) => who === 'root'))('as %s', (who) => {
  it('ssh runs commands and forwards ports', async () => {
    const out = await script(
      who,
      `two_stacks
       ${SSHD}
       b ssh $CLIENT root@10.0.0.1 'echo "$SSH_CONNECTION"; exit 3' || echo "status $?"
       a python3 -m http.server 8080 --bind 10.0.0.1 >log 2>&1 &
       listening a 8080
       echo forwarded >index.html
       b ssh $CLIENT -N -L 127.0.0.1:9000:10.0.0.1:8080 root@10.0.0.1 &
       listening b 9000
       b curl -sS http://127.0.0.1:9000/`,
    );
    expect(out).toMatch(/^10\.0\.0\.2 \d+ 10\.0\.0\.1 22\nstatus 3\nforwarded\n$/);
  });

  it('names of a stack are not told to the name service cache of the host', async () => {
    // A cache of our own, in a mount namespace of our own; it notes who asks, and knows nothing.
    const out = await script(
      who,
      `cat >cache.py <<'PY'
import os, socket
server = socket.socket(socket.AF_UNIX)
server.bind('/run/nscd/socket')
server.listen()
while True:
    connection, _ = server.accept()
    connection.close()
    with open('asked', 'a') as log:
        log.write('asked\\n')
PY
       cat >inner <<'SH'
mount -t tmpfs none /run
mkdir -p /run/nscd
python3 cache.py &
for ((i = 0; i < 100; i++)); do [[ -S /run/nscd/socket ]] && break; sleep 0.05; done
eval "$UMVU" --net 'stack=vdestack,vnl=null://,eth,ip=10.0.0.1/24,dns=10.0.0.1' \
  timeout 3 getent hosts web.example || true
[[ -e asked ]] && echo 'the host was asked' || echo 'the host was not asked'
getent hosts localhost >/dev/null
sort -u asked
SH
       unshare -m --propagation private bash inner`,
      {
        env: {
          UMVU: umvuCommand([])
            .map((word) => `'${word}'`)
            .join(' '),
        },
        options: ['-m', 'vunetioth'],
      },
    );
    expect(out).toBe('the host was not asked\nasked\n');
  });
});
