/** Calls with arguments that make no sense, and descriptors without measure. */
import { describe, it } from 'vitest';
import { USERS } from '../helpers/users.ts';
import { attack } from './arena.ts';

describe.each(USERS)('as %s', (who) => {
  it(
    'answers 100 000 random operations of VU_SYSCALL',
    () => attack(who, 'hostile-calls vuctl 100000 1 1'),
    40_000,
  );
  it('answers them from 8 threads at once', () => attack(who, 'hostile-calls vuctl 40000 8 20'), 40_000);
  it(
    'answers random calls of all kinds from 8 threads',
    () => attack(who, 'hostile-calls all 40000 8 40'),
    40_000,
  );

  it('gives as many sockets as the limits allow, and then EMFILE', () =>
    attack(who, 'hostile-fds sockets 20000'));
  it('does not care what a guest does to its descriptors', () => attack(who, 'hostile-fds table'));
});
