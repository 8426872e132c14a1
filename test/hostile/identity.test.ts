/** A VM of root whose guests have become other users: what is root's stays root's. */
import { expect, it } from 'vitest';
import { inVmOfRoot, script } from '../helpers/script.ts';

/** `nobody COMMAND...` runs a command as another user, `py CODE` a Python program. */
const PRELUDE = String.raw`
nobody='setpriv --reuid=65534 --regid=65534 --clear-groups --'
py='/usr/bin/python3 -c'
chmod 755 "$PWD"
stack a 1 null://
`;
const SOCKETS = `
import socket
for name, family, kind in (('raw', 2, 3), ('raw6', 10, 3), ('packet', 17, 2), ('tcp', 2, 1), ('udp6', 10, 2), ('netlink', 16, 3)):
    try: socket.socket(family, kind, 255 if name.startswith('raw') else 0); print(name, 'ok')
    except OSError as error: print(name, error.strerror)`;

inVmOfRoot('in a VM of root, another user', () => {
  it('may neither insert nor remove modules, nor mount, nor unmount', async () => {
    const out = await script(
      'root',
      `${PRELUDE}
       for command in 'vu_insmod vunetioth' 'vu_rmmod vunetioth' 'vumount -t vunetioth -o null:// vdestack /dev/net/b' \\
         'vuumount /dev/net/a' 'vuumount -l /dev/net/a'; do
         fails $nobody $command | grep -o 'Operation not permitted'
       done
       vumount | wc -l`,
    );
    expect(out).toBe(`${'Operation not permitted\n'.repeat(5)}1\n`);
  });

  it('has no sockets that see what is not its own', async () => {
    const out = await script('root', `${PRELUDE} a $nobody $py "${SOCKETS}"`);
    expect(out).toBe(
      'raw Operation not permitted\nraw6 Operation not permitted\npacket Operation not permitted\ntcp ok\nudp6 ok\nnetlink ok\n',
    );
  });

  it('does not change the stack: neither its file nor its addresses', async () => {
    const out = await script(
      'root',
      `${PRELUDE}
       fails $nobody chmod 777 /dev/net/a | grep -o 'not permitted'
       fails $nobody chown 65534 /dev/net/a | grep -o 'not permitted'
       fails a $nobody ip addr add 10.0.0.9/24 dev vde0 | grep -o 'not permitted'
       fails a $nobody ip link set vde0 down | grep -o 'not permitted'
       fails a $nobody sh -c 'echo 68 >/sys/class/net/vde0/mtu' | grep -o 'Read-only file system'
       a ip -br -4 addr show vde0 | grep -o '10.*'`,
    );
    expect(out).toBe(`${'not permitted\n'.repeat(4)}Read-only file system\n10.0.0.1/24 \n`);
  });

  it('has no socket of a stack whose mode or owner denies it', async () => {
    const out = await script(
      'root',
      `${PRELUDE}
       try() { a $nobody $py 'import socket; socket.socket(); print("ok")' 2>&1 | tail -n 1 || true; }
       chmod 700 /dev/net/a; try; chown 65534 /dev/net/a; try; chmod 077 /dev/net/a; try
       fails a $nobody $py 'import socket; s=socket.socket(17, 3)' | tail -n 1`,
    );
    const denied = 'PermissionError: [Errno 13] Permission denied\n';
    expect(out).toBe(`${denied}ok\n${denied}${denied}`);
  });

  it('runs setuid programs as it would without umvu', async () => {
    const out = await script(
      'root',
      `${PRELUDE}
       cp /usr/bin/id id; chmod 4755 id
       $nobody ./id -u`,
    );
    expect(out).toBe('0\n');
  });

  it('does not name the view of others, and the name is one line', async () => {
    const out = await script(
      'root',
      `${PRELUDE}
       call='import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)
def vu(*a):
    result = libc.syscall(0x5655, *a)
    return os.strerror(ctypes.get_errno()) if result < 0 else "ok"
'
       $nobody $py "$call"'print(vu(6, b"evil"))'
       $py "$call"'print(vu(6, b"evil\\ndepth=9"), vu(6, b"good"))'
       $nobody $py "$call"'vu(7); print(vu(6, b"mine"))'`,
    );
    expect(out).toBe('Operation not permitted\nInvalid argument ok\nok\n');
  });

  it('reads nothing through the view that it may not read itself', async () => {
    const out = await script(
      'root',
      `${PRELUDE}
       S=$(vuname -U)
       for path in /proc/net/ip_tables_names /proc/self/net/../../../etc/shadow /proc/self/net/../../1/environ \\
         /proc/$S/net/../environ /sys/class/net/../../../etc/shadow /proc/self/net/../root/etc/shadow; do
         fails a $nobody cat $path | grep -qE 'Permission denied|No such file or directory'
       done
       fails a $nobody ls /proc/$S/fd | grep -o 'Permission denied'
       fails a $nobody ls /proc/self/net/../../$S/fd | grep -o 'Permission denied'
       a $nobody readlink /proc/self/net/../exe`,
    );
    expect(out).toBe('Permission denied\nPermission denied\n/usr/bin/readlink\n');
  });
});
