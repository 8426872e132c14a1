/** Stacks of guests on networks that libvdeplug carries: the host, other hosts, the Internet. */
import { describe, expect, it } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { script } from '../helpers/script.ts';
import { umvuCommand, umvuEnvironment } from '../helpers/umvu.ts';
import { ALL_USERS, workDir, type Who } from '../helpers/users.ts';

describe.each(ALL_USERS)('as %s', (who) => {
  it('slirp:// reaches a server of the test host', async () => {
    const out = await script(
      who,
      `mkdir www; echo 'from the host' >www/index.html
       python3 -u -m http.server -b 127.0.0.1 -d www 0 >log 2>&1 & server=$!
       retry grep -q 'port [0-9]' log
       port=$(grep -o 'port [0-9]*' log | cut -d' ' -f2)
       vumount -t vunetioth -o slirp://,eth,ip=10.0.2.15/24,gw=10.0.2.2 "$STACK" /dev/net/s
       vustack /dev/net/s curl -sS --retry 3 --retry-connrefused http://10.0.2.2:$port/
       kill $server`,
    );
    expect(out).toBe('from the host\n');
  });
});

/** Runs a script as root in two new network namespaces `one` and `two` with a veth pair (192.0.2.1 and .2) between. */
async function onTwoHosts(who: Who, body: string): Promise<string> {
  const work = workDir(who);
  const umvu = umvuCommand([], who).join(' ');
  const setup = `set -e
    one=vt$$a two=vt$$b
    trap 'for n in $one $two; do kill $(ip netns pids $n) 2>/dev/null || true; done
      wait; ip netns del $one; ip netns del $two' EXIT
    ip netns add $one; ip netns add $two
    ip -n $one link add v0 type veth peer name v0 netns $two
    ip -n $one addr add 192.0.2.1/24 dev v0; ip -n $two addr add 192.0.2.2/24 dev v0
    for n in $one $two; do ip -n $n link set lo up; ip -n $n link set v0 up; ip -n $n route add default dev v0; done
    on() { local n=$1; shift; ip netns exec $n ${umvu} "$@"; }
  `;
  try {
    const env = umvuEnvironment(work.path);
    const { code, stdout, stderr } = await exec('bash', ['-c', setup + body], {
      cwd: work.path,
      env,
      timeout: 25_000,
    });
    expect(code, stderr).toBe(0);
    return stdout;
  } finally {
    work.remove();
  }
}

it.each([
  ['vdestack', 'vdestack'],
  ['lwip', 'vdestack'],
  ['vdestack', 'lwip'],
])('vxvde:// is one network for guests on two hosts: %s and %s', async (one, two) => {
  const net = (kind: string, n: number) => `stack=${kind},vnl=vxvde://234.0.0.7,eth,ip=10.0.0.${n}/24`;
  const out = await onTwoHosts(
    'root',
    `on $one --net ${net(one, 1)} sleep 15 &
     for i in 1 2 3 4 5 6 7 8; do
       if on $two --net ${net(two, 2)} ping -qc 1 -W 1 10.0.0.1 >/dev/null; then echo reached; exit 0; fi
     done
     exit 1`,
  );
  expect(out).toBe('reached\n');
});

it('tap:// is a wire to the host', async () => {
  const out = await onTwoHosts(
    'root',
    `ip -n $one tuntap add dev tap7 mode tap
     ip -n $one addr add 10.7.0.1/24 dev tap7; ip -n $one link set tap7 up
     on $one --net vnl=tap://tap7,eth,ip=10.7.0.2/24 ping -qc 1 -W 5 10.7.0.1 >/dev/null
     echo reached`,
  );
  expect(out).toBe('reached\n');
});
