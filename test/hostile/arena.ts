/**
 * Where attacks take place: a VM with two stacks on a hub, in which another guest pings all the time. Whatever a
 * hostile guest does, the ping loses nothing, the supervisor stays, and nothing of the attack is left.
 */
import { join } from 'node:path';
import { expect } from 'vitest';
import { script, type ScriptOptions } from '../helpers/script.ts';
import { expectTap } from '../helpers/tap.ts';
import { sanitized, tree } from '../helpers/tree.ts';
import type { Who } from '../helpers/users.ts';

/** Sockets that a supervisor may keep in store: a large batch for each of the usual kinds. */
const IN_STORE = 4 * 40;
/** Descriptors that it opens at most once: of the thread that holds calls which block, of Node's thread pool. */
const ONCE = 6;
/** Growth of the supervisor that V8 may owe to chance, in KiB. Sanitizers keep freed memory. */
const ROOM = sanitized ? 1 << 20 : 96 << 10;

const PRELUDE = String.raw`
two_stacks
S=$(vuname -U) B=$(pgrep -P "$(vuname -U)" umvu-broker)
# What the supervisor has open: sockets, and all else.
sockets() { ls -l /proc/$S/fd | grep -c 'socket:' || true; }
others() { ls -l /proc/$S/fd | grep -vc 'socket:' || true; }
# The broker has a thread in each network namespace that it owns.
namespaces() { ls /proc/$B/task | wc -l; }
memory() { awk '/^VmRSS/{print $2}' /proc/$S/status; }
# Not b(): $! would be a shell, which ignores SIGINT.
vustack /dev/net/b ping -nq -i 0.02 10.0.0.1 >ping.txt & PING=$!
sleep 0.2
BEFORE="$(sockets) $(others) $(namespaces) $(memory)"
`;

const EPILOGUE = String.raw`
# The ends of processes, and what is taken down behind them.
sleep 0.5
echo "# arena $BEFORE $(sockets) $(others) $(namespaces) $(memory)"
kill -INT $PING
wait $PING || true
echo "# arena $(grep -o '[0-9]* packets transmitted, [0-9]* received' ping.txt)"
`;

/** Runs the bash script `attack` in the arena as `who`; $TAP is the folder of test programs. Its output. */
export async function inArena(who: Who, attack: string, options: ScriptOptions = {}): Promise<string> {
  const env = { TAP: join(tree(), 'guests/build/tap'), ...options.env };
  const out = await script(who, PRELUDE + attack + EPILOGUE, { timeout: 40_000, ...options, env });
  const arena = [...out.matchAll(/^# arena (.*)$/gm)].map((line) => line[1] ?? '');
  const counts = arena[0]?.split(' ').map(Number) ?? [];
  const [sockets = NaN, others = NaN, namespaces = NaN, memory = NaN] = counts;
  const [socketsAfter, othersAfter, namespacesAfter, memoryAfter] = counts.slice(4);
  expect(socketsAfter, 'sockets of the supervisor').toBeLessThanOrEqual(sockets + IN_STORE);
  expect(othersAfter, 'other descriptors of the supervisor').toBeLessThanOrEqual(others + ONCE);
  expect(namespacesAfter, 'network namespaces').toBe(namespaces);
  expect(memoryAfter, 'memory of the supervisor, KiB').toBeLessThan(memory + ROOM);
  const [sent, received] =
    /(\d+) packets transmitted, (\d+) received/
      .exec(arena[1] ?? '')
      ?.slice(1)
      .map(Number) ?? [];
  expect(sent).toBeGreaterThan(5);
  expect(received, 'replies to the other guest').toBe(sent);
  return out.replace(/^# arena .*\n/gm, '');
}

/** Runs a test program of guests/tap in stack a of the arena; it must pass its own checks. */
export async function attack(who: Who, command: string, options: ScriptOptions = {}): Promise<void> {
  const stdout = await inArena(who, `a "$TAP/"${command}\n`, options);
  expectTap({ code: 0, signal: null, timedOut: false, stderr: '', stdout });
}
