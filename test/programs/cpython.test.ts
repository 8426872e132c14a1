/** CPython's own tests of sockets, in stacks in user space. What does not pass there docs/design/lwip.md explains. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';
import { script } from '../helpers/script.ts';

/** What runs at the same time, each in a stack of its own: `PART OF NAME...` of cpython.py. */
const RUNS = [
  ...[0, 1, 2].map((part) => `${part} 3 test.test_socket`),
  '0 1 test.test_socketserver test.test_httplib test.test_select',
  '0 1 test.test_ftplib',
  '0 1 test.test_epoll test.test_asyncore',
  ...[0, 1].map(
    (part) =>
      `${part} 2 test.test_asyncio.test_sock_lowlevel test.test_asyncio.test_sendfile test.test_asyncio.test_server`,
  ),
  '0 1 test.test_asyncio.test_streams test.test_asyncio.test_buffered_proto',
];

/** Tests that pass in a network namespace and need not pass here. */
const EXCEPTIONS: readonly { test: RegExp; why: string }[] = [
  {
    test: /^test\.test_asyncore\.TestAPI_UseIPv[46](Poll|Select)\.test_handle_expt$/,
    why: 'urgent data arrives among the rest',
  },
  {
    test: /^test\.test_epoll\.TestEPoll\.test_control_and_wait$/,
    why: 'two ends of a connection are not both readable the moment send(2) returns',
  },
  {
    test: /^test\.test_asyncio\.test_sendfile\..*\.test_sendfile_(fallback_)?close_peer_in_the_middle_of_receiving$/,
    why: 'SO_SNDBUF that is set after connect(2) does not limit what lwIP takes: all of the 256 KiB may be under way',
  },
];

it('passes as in a network namespace', { timeout: 120_000 }, async () => {
  const runs = RUNS.map(
    (run, i) => `
      vumount -t vunetioth -o null:// "$STACK" /dev/net/${i}
      vustack /dev/net/${i} ip link set lo up
      vustack /dev/net/${i} python3 -c "$RUNNER" ${run} >out.${i} 2>why.${i} &`,
  );
  const out = await script('a user without namespaces', `${runs.join('')}\nwait\ncat out.* why.*`, {
    env: { RUNNER: readFileSync(join(projectRoot, 'test/programs/cpython.py'), 'utf8') },
    timeout: 110_000,
  });
  const lines = out.split('\n');
  const failed = lines.filter((line) => line.startsWith('FAIL ')).map((line) => line.split(' ')[1]!);
  const unexplained = failed.filter((name) => !EXCEPTIONS.some(({ test }) => test.test(name)));
  expect(unexplained, lines.filter((line) => !/^(PASS|SKIP) /.test(line)).join('\n')).toEqual([]);
  // Of 607, 16, 53…: a run that ends early has fewer.
  expect(lines.filter((line) => line.startsWith('PASS ')).length).toBeGreaterThan(980);
});
