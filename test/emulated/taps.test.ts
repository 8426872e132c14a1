/** Test programs on sockets that are not the kernel's: each runs natively too, so what they demand is what Linux does. */
import { describe, expect, it } from 'vitest';
import { native } from '../../runtime/native.ts';
import { exec } from '../helpers/exec.ts';
import { expectTap, tapProgram } from '../helpers/tap.ts';
import { umvu } from '../helpers/umvu.ts';
import { USERS } from '../helpers/users.ts';

const NET = 'stack=lwip,vnl=hub://,eth,ip=10.0.0.1/24';

it('was built with lwIP', () => {
  expect(native().LwipStack).toBeDefined();
});

describe.each(['sockets-basic', 'emu-tcp', 'emu-udp'])('%s', (name) => {
  it('passes natively', async () => {
    expectTap(await exec(tapProgram(name), []));
  });
  it.each(USERS)('passes in a stack of %s', async (as) => {
    expectTap(await umvu(['--net', NET, '--', tapProgram(name)], { as }));
  });
});
