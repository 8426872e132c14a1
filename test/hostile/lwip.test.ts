/** Guests and hosts that turn against stacks in user space: their limits hold, and what was there before goes on. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ERRNO } from '../../runtime/errno.ts';
import { AF, SOCK } from '../../runtime/ioth/stack.ts';
import { native } from '../../runtime/native.ts';
import { SYS } from '../../runtime/syscalls/table.ts';
import { until } from '../helpers/exec.ts';
import { sanitized } from '../helpers/tree.ts';
import { umvu } from '../helpers/umvu.ts';

const PROGRAM = readFileSync(new URL('lwip.py', import.meta.url), 'utf8');

describe('the memory of a stack', () => {
  it.each([
    ['streams', AF.INET, SOCK.STREAM, 'ENOBUFS'],
    ['datagram sockets', AF.INET6, SOCK.DGRAM, 'ENOBUFS'],
    ['packet sockets', AF.PACKET, SOCK.RAW, 'ENOBUFS'],
    ['netlink sockets', AF.NETLINK, SOCK.RAW, 'ENOMEM'],
  ])('is used up by %s, and given back', async (_what, domain, type, refused) => {
    const stack = new (native().LwipStack!)(1 << 20);
    const sockets: number[] = [];
    try {
      const before = stack.memory();
      let made;
      while ((made = stack.socket(domain, type, 0)) > 0) sockets.push(made);
      expect(made).toBe(-ERRNO[refused]!);
      expect(sockets.length).toBeGreaterThan(150);
      expect(sockets.length).toBeLessThanOrEqual(256);
      for (const socket of sockets.splice(0)) native().syscall(SYS.close, socket);
      // What counts sockets notices that these were closed.
      await until('the memory back', () => stack.sockets() === 0 && stack.memory() === before);
      expect((sockets[0] = stack.socket(domain, type, 0))).toBeGreaterThan(0);
    } finally {
      for (const socket of sockets) native().syscall(SYS.close, socket);
      stack.close();
    }
  });
});

/** Three hosts on a hub: the victim, whose memory is small, an honest one, and one that is not. */
const SETTING = String.raw`
set -eu
printf %s "$PROGRAM" > attack.py
stack() { vumount -t vunetioth -o "vnl=hub://$PWD/hub,eth,ip=10.0.0.$2/24,ip=fc00::$2/64" "$3" /dev/net/$1; }
# on STACK COMMAND...
on() { vustack "/dev/net/$1" "${'$'}{@:2}"; }
attack() { on "$1" python3 attack.py "${'$'}{@:2}"; }
after() { until [[ -s $1 ]]; do sleep 0.02; done; }
supervisor=$(vuname -U)
memory() { awk '/^VmRSS/ { print int($2 / 1024) }' /proc/$supervisor/status; }
spent() { read -ra s < /proc/$supervisor/stat; echo $((s[13] + s[14])); }
stack a 1 lwip,memory=4M; stack b 2 lwip; stack c 3 lwip
attack a serve > ready & after ready; attack b ask
mkfifo names hold
attack b watch < names > watched & exec 3> names; after watched
# Keeps an attack as it is until the next let_go.
keep() { attack "$@" < hold > kept & kept=$!; exec 4> hold; after kept; cat kept; }
let_go() { exec 4>&-; wait $kept; rm kept; }
# name WHAT: says how the old connections fared since the last time.
name() { sleep 0.2; echo "$1" >&3; until grep -q "^$1 " watched; do sleep 0.02; done; grep "^$1 " watched; }
name start
before=$(memory)
`;

describe('three hosts on a network', () => {
  it('go on, and get served, whatever one of them does', async () => {
    const script = String.raw`${SETTING}
keep a sockets; name sockets; let_go; attack b ask
keep b fill; name fill; let_go; attack b ask
attack c syn 10000; name syn; attack b ask
attack c fragments 4000; name fragments; attack b ask
for n in $(seq 300); do echo "addr add 10.9.$((n / 250)).$((n % 250))/32 dev vde0"; done > addresses
for n in $(seq 1040); do echo "route add 10.$((10 + n / 250)).$((n % 250)).0/24 dev vde0"; done > routes
for n in $(seq 100); do echo "neigh replace 10.0.0.$((100 + n)) lladdr 02:00:00:00:00:01 dev vde0"; done > neighbours
for table in addresses routes neighbours; do
  on a ip -force -batch $table 2>&1 | grep -c '^Command failed\|at most 24'
done
name tables; attack b ask
for table in routes addresses neighbours; do
  sed 's/add\|replace/del/' $table > gone; on a ip -force -batch gone 2>/dev/null || true
done
for ip in 10.0.0.200 fc00::200; do on b ip neigh replace $ip lladdr 02:00:00:00:00:33 dev vde0 nud permanent; done
attack c spoof 100000; name spoof; attack b ask; name recovered
on b ip neigh show nud permanent | sort
exec 3>&-; kill $(jobs -p) || true; wait || true
ticks=$(spent); sleep 1; echo "numbers $(on b ip neigh | wc -l) $(($(spent) - ticks)) $(($(memory) - before))"`;
    const { stdout, stderr, code } = await umvu(['-m', 'vunetioth', '--', 'bash', '-c', script], {
      as: 'an ordinary user',
      env: { PROGRAM },
      timeout: 60_000,
    });
    expect(code, stdout + stderr).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    const [neighbours, ticks, grown] = lines.pop()!.split(' ').slice(1).map(Number);
    // The old connections: how long the longest silence was depends on the machine, that there was an end to it does not.
    const silences = lines.flatMap((line) => / alive ([0-9.]+)$/.exec(line)?.[1] ?? []);
    expect(
      silences.map(Number).every((seconds) => seconds < 20),
      stdout,
    ).toBe(true);
    expect(lines.map((line) => line.replace(/ alive .*/, ' alive'))).toEqual([
      'served', 'start alive',
      'sockets ENOBUFS True', 'sockets alive', 'served',
      'fill True', 'fill alive', 'served',
      'syn True', 'syn alive', 'served',
      'fragments sent', 'fragments alive', 'served',
      // Of 300 addresses, 1040 routes beside those of the addresses, and neighbours, of which ip gives up at the first.
      expect.stringMatching(/^10[0-9]$/), expect.stringMatching(/^2[0-9][0-9]$/), '1', 'tables alive', 'served',
      'spoofed', 'spoof alive', 'served', 'recovered alive',
      expect.stringMatching(/^10.0.0.200 .*02:00:00:00:00:33 PERMANENT/),
      expect.stringMatching(/^fc00::200 .*02:00:00:00:00:33 PERMANENT/),
    ]); // prettier-ignore
    expect(neighbours).toBeLessThanOrEqual(64 + 48);
    expect(ticks, 'hundredths of a second of a second without attacks').toBeLessThanOrEqual(8);
    expect(grown, 'MiB of the supervisor').toBeLessThan(sanitized ? 1 << 10 : 160);
  }, 70_000);
});
