/** Processes and threads: too many, too short, killed in the middle of calls. */
import { describe, it } from 'vitest';
import { expectTap } from '../helpers/tap.ts';
import { USERS, type Who } from '../helpers/users.ts';
import { attack, inArena } from './arena.ts';

/** A child with CLONE_PARENT has the stack of its grandparent: here that is a shell in the same stack. */
async function crowd(who: Who, size: number): Promise<void> {
  const stdout = await inArena(who, `a bash -c '"$TAP/hostile-forks" crowd ${size}; exit $?'\n`);
  expectTap({ code: 0, signal: null, timedOut: false, stderr: '', stdout });
}

describe.each(USERS)('as %s', (who) => {
  it(
    'survives workers that are killed in the middle of calls',
    () => attack(who, 'hostile-kill 1000 16 1'),
    40_000,
  );

  it('makes 200 views inside each other, and ends them', () => attack(who, 'hostile-forks views 200'));
});

describe('once', () => {
  // As root and, in the bigger crowd, as an ordinary user.
  it('connects a crowd of 100 children of each kind', () => crowd(USERS[0]!, 100), 40_000);
  it('connects a crowd of 300 children of each kind', () => crowd(USERS.at(-1)!, 300), 40_000);
  it('forgets short threads', () => attack(USERS[0]!, 'hostile-forks threads 4000'), 40_000);
  it('forgets short processes', () => attack(USERS[0]!, 'hostile-forks pids 3000'), 40_000);
});
