/**
 * File systems whose server is itself a guest (FUSE): a lookup that waits for it may not keep the supervisor from
 * answering others, least of all the server.
 */
import { describe, expect, it } from 'vitest';
import { script } from '../helpers/script.ts';
import { USERS } from '../helpers/users.ts';

/** Mounts a file system at ./served, says so, answers nothing for a while, and ends. */
const SERVER = String.raw`
import ctypes, os, struct, time
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}'
if libc.mount(b'test', b'served', b'fuse', 0, options.encode()) != 0:
    raise OSError(ctypes.get_errno(), 'mount')
size, opcode, unique = struct.unpack('<IIQ', os.read(fd, 8192)[:16])
os.write(fd, struct.pack('<IiQIIIIHHI', 40, 0, unique, 7, 12, 0, 0, 0, 0, 4096))
open('ready', 'w').close()
for i in range(40):
    time.sleep(0.05)
    os.stat('/proc/self/net/dev')
`;

/** An ordinary user may not mount in the namespace that he shares with others: the server is refused. */
const served: (name: string, tests: () => void) => void =
  USERS[0] === 'root'
    ? describe
    : (name) =>
        it(`${name} cannot be mounted`, async () => {
          const out = await script('an ordinary user', 'mkdir served; fails /usr/bin/python3 -c "$SERVER"', {
            env: { SERVER },
          });
          expect(out).toMatch(/Operation not permitted|Permission denied|No such file/);
        });

served('a file system that does not answer', () => {
  it('keeps those waiting who look there, and nobody else', async () => {
    const out = await script(
      'root',
      `stack a 1 null://
       mkdir served; ln -s "$PWD/served" link
       trap 'umount -l served 2>/dev/null || true' EXIT
       /usr/bin/python3 -c "$SERVER" & PID=$!
       retry test -e ready
       for what in 'cat served/x' 'ls link/x' 'vustack served/x true' 'vumount -t vunetioth null served/x/y'; do
         (status=0; timeout -s KILL 1 $what 2>/dev/null || status=$?; echo "$status $what" >>ends) &
       done
       sleep 0.3
       start=$(date +%s%N)
       for i in 1 2 3 4 5; do a cat /proc/net/dev >/dev/null; ls /dev/net/a >/dev/null; done
       (($(date +%s%N) - start < 900000000)) && echo 'others go on'
       wait $PID; echo "the server ended with $?"
       umount -l served; wait; sort ends`,
      { env: { SERVER }, timeout: 15_000 },
    );
    expect(out).toBe(
      `others go on\nthe server ended with 0\n${[
        'cat served/x',
        'ls link/x',
        'vumount -t vunetioth null served/x/y',
        'vustack served/x true',
      ]
        .map((what) => `137 ${what}\n`)
        .join('')}`,
    );
  });
});
