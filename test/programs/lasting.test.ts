/** A long-lived umvu: what comes and goes in it leaves nothing behind in its supervisor and broker. */
import { describe, expect, it } from 'vitest';
import { script } from '../helpers/script.ts';
import { ALL_USERS } from '../helpers/users.ts';

/**
 * `held` prints how many descriptors the supervisor and the broker have open (an ordinary user may not look into
 * the broker); `settled N` waits until these are at most N more than before.
 */
const HELD = `
VM=$(vuname -U)
held() {
  local n=0 pid
  for pid in $VM $(pgrep -P $VM); do
    if [[ $(readlink /proc/$pid/exe) =~ (node|umvu-broker)$ ]]; then n=$((n + $(ls /proc/$pid/fd | wc -l))); fi
  done
  echo $n
}
settled() { (($(held) <= before + $1)); }`;

describe.each(ALL_USERS)('as %s', (who) => {
  it('stacks, their networks and sockets', async () => {
    const out = await script(
      who,
      `${HELD}
       once() {
         two_stacks
         a python3 -c 'import socket; kept = [socket.socket() for _ in range(200)]'
         b ping -n -c 1 -W 2 10.0.0.1 >/dev/null
         vuumount /dev/net/b
         vuumount /dev/net/a
         [[ ! -e $PWD/hub ]]
       }
       once
       sleep 0.3
       before=$(held)
       for n in 1 2 3 4; do once; done
       retry settled 3 || echo "before: $before, after: $(held)"`,
    );
    expect(out).toBe('');
  });

  it('processes, also those that end in a hurry', async () => {
    const out = await script(
      who,
      `${HELD}
       # A stack keeps some sockets in store for a while.
       stack a 1 null://
       many() {
         a bash -c 'for n in {1..100}; do (exec 3<>/dev/udp/10.0.0.9/9) & done; wait'
         a bash -c 'for n in {1..20}; do sleep 10 & done; kill -9 $(jobs -p); wait' 2>/dev/null
         a timeout -s KILL 0.2 bash -c 'while :; do (exec 3<>/dev/udp/10.0.0.9/9); done' || true
       }
       many
       sleep 0.3
       before=$(held)
       many
       retry settled 40 || echo "before: $before, after: $(held)"`,
    );
    expect(out).toBe('');
  });
});
