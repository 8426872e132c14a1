/** The main job: two network stacks in one umvu, a server in one and a client in the other. */
import { chmodSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { script, tryScript } from '../helpers/script.ts';
import { umvu } from '../helpers/umvu.ts';
import { ALL_USERS, stackOf, workDir } from '../helpers/users.ts';

describe.each(ALL_USERS)('as %s', (who) => {
  it('curl in one stack gets a page from python3 -m http.server in the other', async () => {
    const out = await script(
      who,
      `two_stacks
       echo 'seen from the other stack' >index.html
       a python3 -m http.server 80 >log 2>&1 &
       listening a 80
       b curl -sS http://10.0.0.1/
       grep -o '10.0.0.2 .*GET / HTTP' log`,
    );
    expect(out).toMatch(/^seen from the other stack\n10\.0\.0\.2 .*GET \/ HTTP\n$/);
  });

  it('the stacks are seen by nobody else: the host has no such address', async () => {
    const out = await script(
      who,
      `two_stacks
       a python3 -m http.server 8087 --bind 10.0.0.1 >log 2>&1 &
       listening a 8087
       fails python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8087), 2)' | tail -n 1
       ip -br addr | grep -c 10.0.0.1 || true`,
    );
    expect(out).toBe('ConnectionRefusedError: [Errno 111] Connection refused\n0\n');
  });

  it('--net sets up the stack of a single command', async () => {
    const net = `stack=${stackOf(who)},vnl=null://,eth,ip=10.0.0.1/24,ip=fd00::1/64`;
    const { code, stdout, stderr } = await umvu(['--net', net, '--', 'ip', '-br', 'addr', 'show', 'vde0'], {
      as: who,
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^vde0(@if\d+)? +(UP|UNKNOWN) +10\.0\.0\.1\/24 fd00::1\/64 /);
  });

  it('modules can be inserted from inside, and what a failing script returns is returned', async () => {
    const body = `vu_insmod vunetioth
       vu_lsmod | grep -o '^vunetioth:'
       vumount -t vunetioth -o null:// "$STACK" /dev/net/a
       vumount | grep -o ' /dev/net/a vunetioth '
       vuumount /dev/net/a
       vu_rmmod vunetioth
       [[ -z $(vu_lsmod) ]]
       exit 7`;
    const { code, stdout, stderr } = await tryScript(who, body, { options: [] });
    expect({ code, stdout }, stderr).toEqual({ code: 7, stdout: 'vunetioth:\n /dev/net/a vunetioth \n' });
  });

  it('the working directory may be one that the user could not enter again', async () => {
    const { path, remove } = workDir('root');
    try {
      chmodSync(path, 0o700);
      const { code, stdout, stderr } = await umvu(['pwd'], { as: who, cwd: path });
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `${path}\n`, stderr: '' });
    } finally {
      remove();
    }
  });

  it('servers that a script leaves behind end with it', async () => {
    await script(
      who,
      'two_stacks\na python3 -m http.server 80 >log 2>&1 &\nlistening a 80\nsetsid -f sleep 60',
    );
  });
});
