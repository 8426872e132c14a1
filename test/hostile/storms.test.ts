/** Processes and threads: too many, too short, killed in the middle of calls. */
import { describe, it } from 'vitest';
import { USERS } from '../helpers/users.ts';
import { attack, inArena } from './arena.ts';
import { expectTap } from '../helpers/tap.ts';

describe.each(USERS)('as %s', (who) => {
  it('survives workers that are killed in the middle of calls', () => attack(who, 'hostile-kill 2500 16 1'), 40_000);

  it('connects crowds of 200 children of each kind', async () => {
    // A child with CLONE_PARENT has the stack of its grandparent: here all have the default one.
    const stdout = await inArena(who, 'a bash -c \'"$TAP/hostile-forks" crowd 200; exit $?\'\n');
    expectTap({ code: 0, signal: null, timedOut: false, stderr: '', stdout });
  }, 40_000);

  it('makes 200 views inside each other, and ends them', () => attack(who, 'hostile-forks views 200'));
});

describe('as root', () => {
  it('connects a crowd of 500 children', async () => {
    const stdout = await inArena(USERS[0]!, 'a bash -c \'"$TAP/hostile-forks" crowd 500; exit $?\'\n');
    expectTap({ code: 0, signal: null, timedOut: false, stderr: '', stdout });
  }, 40_000);
  it('forgets short threads', () => attack(USERS[0]!, 'hostile-forks threads 12000'), 40_000);
  it('forgets short processes', () => attack(USERS[0]!, 'hostile-forks pids 12000'), 40_000);
});
