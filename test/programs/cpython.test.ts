/** CPython's own tests of sockets, in a stack in user space. What does not pass there docs/design/lwip.md explains. */
import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { umvu } from '../helpers/umvu.ts';

const NET = 'stack=lwip,vnl=hub://,eth,ip=10.0.0.1/24';
/** The parts that take seconds; others take a minute and more. */
const SUITES = ['test_socketserver', 'test_httplib', 'test_select', 'test_poll'];

it('is installed', () => {
  expect(existsSync('/usr/lib/python3.11/test/test_socket.py')).toBe(true);
});

it('passes in a stack of an ordinary user', { timeout: 180_000 }, async () => {
  const result = await umvu(['--net', NET, '--', 'python3', '-m', 'test', '--timeout', '120', ...SUITES], {
    as: 'an ordinary user',
    timeout: 170_000,
  });
  expect({ code: result.code, output: result.stdout }).toEqual({
    code: 0,
    output: expect.stringMatching(/[Rr]esult: SUCCESS/) as string,
  });
});
