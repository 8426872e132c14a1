/** Guests that turn against the processes of umvu, and ends of all kinds: nothing may be left, nothing may hang. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ExecResult } from '../helpers/exec.ts';
import { script, tryScript } from '../helpers/script.ts';
import { USERS, workDir, type Who } from '../helpers/users.ts';
import { inArena } from './arena.ts';

/** Processes that are not easily found: orphans, in sessions of their own, who ignore what they can. */
const HIDDEN = String.raw`
hide() { (trap '' TERM HUP INT; setsid bash -c 'trap "" TERM HUP INT; sleep 100 & wait' </dev/null >/dev/null 2>&1 &); }
two_stacks
hide; a bash -c "$(declare -f hide); hide"; setsid -f sleep 101
KEEPER=$(awk '/^PPid/{print $2}' /proc/$$/status) S=$(vuname -U) BROKER=$(pgrep -P "$(vuname -U)" umvu-broker)
echo ready
`;

/** Runs what ends the VM by force; umvu() fails where processes or files are left. */
const ended = (who: Who, attack: string): Promise<ExecResult> =>
  tryScript(who, `${HIDDEN}${attack}\nsleep 20`, { timeout: 15_000 });

describe.each(USERS)('as %s', (who) => {
  it.each([
    ['the supervisor is killed', 'kill -9 $S'],
    ['the keeper is stopped and the supervisor killed', 'kill -STOP $KEEPER; kill -9 $S'],
    ['the broker is stopped and the supervisor killed', 'kill -STOP $BROKER; kill -9 $S'],
    ['the keeper is killed', 'kill -9 $KEEPER'],
    ['everything but the supervisor is killed', 'kill -9 $BROKER $KEEPER'],
  ])('leaves nothing when %s', async (_what, attack) => {
    const { signal, stdout, timedOut } = await ended(who, attack);
    expect({ signal, stdout, timedOut }).toEqual({ signal: 'SIGKILL', stdout: 'ready\n', timedOut: false });
  });

  it('ends a guest whose keeper is stopped', async () => {
    const { code, signal, timedOut } = await ended(who, 'kill -STOP $KEEPER; kill $S; sleep 0.5; kill $S');
    expect({ code, signal: signal ?? 'none', timedOut }).toEqual({
      code: null,
      signal: 'SIGTERM',
      timedOut: false,
    });
  });

  it('goes on when the broker is killed: its stacks are down, new ones work', async () => {
    const { code, stdout, stderr } = await tryScript(
      who,
      `two_stacks
       kill -9 "$(pgrep -P "$(vuname -U)" umvu-broker)"; sleep 0.3
       fails a ip addr | tail -n 1
       stack c 3 "hub://$PWD/hub"; vustack /dev/net/c ip -4 -br addr show vde0 | grep -o 10.0.0.3
       vuumount /dev/net/a; vuumount /dev/net/b`,
    );
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'Cannot open netlink socket: Network is down\n10.0.0.3\n',
    });
    expect(stderr).toContain('umvu: the broker ended unexpectedly (SIGKILL): its stacks are down\n');
  });

  it('gives up a broker that does not answer, after 5 s', async () => {
    const { code, stdout } = await tryScript(
      who,
      `stack a 1 null://
       kill -STOP "$(pgrep -P "$(vuname -U)" umvu-broker)"; SECONDS=0
       fails a ip addr | tail -n 1; ((SECONDS <= 7)) && fails a ip addr | tail -n 1
       stack c 3 null://; vustack /dev/net/c ip -4 -br addr show vde0 | grep -o 10.0.0.3`,
    );
    const down = 'Cannot open netlink socket: Network is down\n';
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${down}${down}10.0.0.3\n` });
  });

  it('does not wait for who holds its output open', async () => {
    const out = await script(who, `setsid -f sleep 100; sleep 100 & disown; echo end`, { timeout: 10_000 });
    expect(out).toBe('end\n');
  });

  it('takes mounts and unmounts at one place from several processes', async () => {
    const out = await inArena(
      who,
      `for i in 1 2 3 4; do
         for n in {1..12}; do
           vumount -t vunetioth -o null:// vdestack /dev/net/same
           vustack /dev/net/same true || true
           vuumount /dev/net/same || true
         done &
         PIDS+=($!)
       done 2>/dev/null
       (trap '' ERR; for n in {1..40}; do vustack /dev/net/same ip -br link; done) >/dev/null 2>&1 || true
       wait "\${PIDS[@]}"
       while vuumount -l /dev/net/same 2>/dev/null; do :; done
       fails vu_rmmod vunetioth | grep -o 'in use'
       vumount | wc -l`,
    );
    expect(out).toBe('in use\n2\n');
  });
});

describe('what a supervisor that was killed leaves', () => {
  it('is no directory of a network', async () => {
    const who = USERS[0]!;
    const work = workDir(who);
    try {
      const body =
        'two_stacks\nkill -STOP "$(pgrep -P "$(vuname -U)" umvu-broker)"; kill -9 "$(vuname -U)"\nsleep 20';
      const { signal } = await tryScript(who, body, { cwd: work.path });
      expect(signal).toBe('SIGKILL');
      expect(() => readFileSync(join(work.path, 'hub/ctl'))).toThrow('ENOENT');
    } finally {
      work.remove();
    }
  });
});
