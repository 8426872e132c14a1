/** Guests that take all descriptors that the supervisor may have. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';
import { script } from '../helpers/script.ts';

it(
  'are told so, and neither end nor stop the supervisor and the other guests',
  { timeout: 40_000 },
  async () => {
    const out = await script(
      'a user without namespaces',
      `two_stacks
     ulimit -n 4000
     prlimit --pid "$(vuname -U)" --nofile=400:400
     vustack /dev/net/b ping -nq -i 0.05 10.0.0.1 >ping.txt & PING=$!
     jobs=()
     for kind in udp tcp udp tcp; do a python3 -c "$ATTACK" $kind 2 >>out & jobs+=($!); done
     for each in "\${jobs[@]}"; do wait $each; done
     sort out
     a python3 -c 'import socket; socket.socket()' && echo alive
     kill -INT $PING; wait $PING
     grep -o ' 0% packet loss' ping.txt`,
      {
        env: { ATTACK: readFileSync(join(projectRoot, 'test/hostile/descriptors.py'), 'utf8') },
        timeout: 30_000,
      },
    );
    expect(out).toBe(
      `${'tcp errors [] quick\n'.repeat(2)}${'udp errors [] quick\n'.repeat(2)}alive\n 0% packet loss\n`,
    );
  },
);
