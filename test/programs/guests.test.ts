/** Kinds of guests: shells with jobs, static programs of musl and Go, umvu in umvu, and vdens next to it. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { script, tryScript } from '../helpers/script.ts';
import { expectTap } from '../helpers/tap.ts';
import { tree } from '../helpers/tree.ts';
import { umvuCommand } from '../helpers/umvu.ts';
import { ALL_USERS, becoming, workDir, type Who } from '../helpers/users.ts';

const env = {
  TAP: join(tree(), 'guests/build/tap'),
  UMVU: umvuCommand([])
    .map((word) => `'${word}'`)
    .join(' '),
};

/** The words before a vde_plug that is to reach the sockets of `who`. */
const plugOf = (who: Who): string => becoming(who === 'root' ? 'root' : 'an ordinary user').join(' ');

describe.each(ALL_USERS)('as %s', (who) => {
  it('a static program of musl in a stack', async () => {
    const out = await script(who, `stack a 1 null://\na "$TAP/musl-sockets-basic"`, { env });
    expectTap({ code: 0, signal: null, timedOut: false, stderr: '', stdout: out });
  });

  it('a static program in Go in a stack', async () => {
    const out = await script(who, `stack a 1 null://\na "$TAP/go-http"`, { env });
    expectTap({ code: 0, signal: null, timedOut: false, stderr: '', stdout: out });
  });

  it('a shell script with jobs, pipes, traps and here-documents', async () => {
    const out = await script(
      who,
      `set -m
       trap 'echo usr1' USR1
       sleep 30 & kill %1; wait %1 || echo "ended by $?"
       (for n in 1 2 3; do echo $n; sleep 0.02; done) | tac | tr '\\n' ' '
       for n in {1..20}; do (exit $n) & done; wait
       kill -USR1 $$
       diff <(seq 3) <(seq 3) && cat <<<"$(yes | head -n 1000 | wc -l)"
       sleep 0.1 & wait -n; (sleep 30 & kill -9 $!; wait $!) 2>/dev/null || echo "ended by $?"`,
    );
    expect(out).toBe('ended by 143\n3 2 1 usr1\n1000\nended by 137\n');
  });

  // Where only root may open /dev/net/tun, root runs vdens, and its plug into the network is that of the user (without
  // namespaces he has no vdens of his own either).
  it('a guest in umvu and a namespace of vdens ping each other over a network of umvu', async () => {
    const ping = (to: string) => `ping -n -c 2 -i 0.2 -W 2 ${to}`;
    const work = workDir(who);
    try {
      const vdens = `
        for ((i = 0; i < 100; i++)); do [[ -S net/ctl ]] && break; sleep 0.05; done
        exec vdens "cmd://${plugOf(who)} vde_plug vde://$PWD/net" bash -c '
          ip addr add 10.0.0.3/24 dev vde0; ip link set vde0 up
          ping -n -c 1 -w 3 10.0.0.1 >/dev/null; ${ping('10.0.0.1')}
          touch done; for ((i = 0; i < 100; i++)); do [[ -e end ]] && break; sleep 0.05; done'`;
      const outside = exec('bash', ['-c', vdens], { cwd: work.path });
      const inside = await script(
        who,
        `chmod 777 .
         stack a 1 "switch://$PWD/net"
         retry test -e done
         a ${ping('10.0.0.3')}
         touch end`,
        { cwd: work.path },
      );
      for (const out of [inside, (await outside).stdout])
        expect(out).toMatch(/2 packets transmitted, 2 received, 0% packet loss/);
    } finally {
      work.remove();
    }
  });

  it.each([
    ['vde_plug', 'vde_plug "hub://$PWD/net" null:// </dev/null'],
    ['vde_switch', 'sleep 60 | vde_switch -s "$PWD/net"'],
  ])('two umvu meet in a network of %s', async (_, network) => {
    const out = await script(
      who,
      `${network} >/dev/null 2>&1 &
       retry test -S net/ctl
       stack a 1 "vde://$PWD/net"
       eval "$UMVU" --net "stack=$STACK,vnl=vde://$PWD/net,eth,ip=10.0.0.4/24" \
         ping -n -c 2 -i 0.2 -W 3 10.0.0.1 | grep received`,
      { env },
    );
    expect(out).toMatch(/2 packets transmitted, 2 received, 0% packet loss/);
  });

  it('vde_plug joins a hub of umvu and switches it through to another network', async () => {
    const out = await script(
      who,
      `stack a 1 "hub://$PWD/hub"
       vde_plug "vde://$PWD/hub" "switch://$PWD/far" </dev/null >/dev/null 2>&1 &
       retry test -S far/ctl
       stack b 2 "vde://$PWD/far"
       a ping -n -c 2 -i 0.2 -W 3 10.0.0.2 | grep received`,
    );
    expect(out).toMatch(/2 packets transmitted, 2 received, 0% packet loss/);
  });

  it('umvu in umvu: what is mounted inside is seen only there', async () => {
    const out = await script(
      who,
      `stack a 1 "hub://$PWD/hub"
       eval "$UMVU" bash -c "'
         vustack /dev/net/a ip -4 -br addr show vde0 | grep -o 10.0.0.1
         vumount -t vunetioth -o null:// $STACK /dev/net/inner
         vustack /dev/net/inner ls /sys/class/net | tail -n 1
         exit 5'" || echo "status $?"
       fails ls /dev/net/inner | grep -o 'No such file.*'
       ls /dev/net/a
       vumount | grep -c .`,
      { env },
    );
    expect(out).toBe('10.0.0.1\nvde0\nstatus 5\nNo such file or directory\n/dev/net/a\n1\n');
  });

  it('--net of a nested umvu is the network of its command only', async () => {
    const out = await script(
      who,
      `stack a 1 null://
       eval "$UMVU" --net stack=$STACK,vnl=null://,eth,ip=10.9.9.9/24 ip -4 -br addr | grep -o 10.9.9.9
       a ip -4 -br addr | grep -c 10.9.9.9 || true`,
      { env },
    );
    expect(out).toBe('10.9.9.9\n0\n');
  });

  it('killing umvu ends its guests, servers and networks', async () => {
    // umvu() fails where anything is left.
    const { signal, stdout } = await tryScript(
      who,
      'two_stacks\na sleep 60 & setsid -f sleep 60\necho ready\nkill -9 "$(vuname -U)"\nsleep 60',
    );
    expect({ signal, stdout }).toEqual({ signal: 'SIGKILL', stdout: 'ready\n' });
  });
});
