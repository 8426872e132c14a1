/** Stacks as files: what is mounted, who may use it, and what happens when it is in use or gone. */
import { describe, expect, it } from 'vitest';
import { script } from '../helpers/script.ts';
import { tree } from '../helpers/tree.ts';
import { ALL_USERS } from '../helpers/users.ts';

/** Python that says what socket() answers for some families. */
const FAMILIES = `
cat >families.py <<'PY'
import errno, socket
for name in ['AF_INET', 'AF_INET6', 'AF_NETLINK', 'AF_PACKET', 'AF_UNIX', 'AF_BLUETOOTH']:
    try:
        kind = {'AF_NETLINK': socket.SOCK_RAW, 'AF_PACKET': socket.SOCK_DGRAM}.get(name, socket.SOCK_STREAM)
        socket.socket(getattr(socket, name), kind, 3 if name == 'AF_BLUETOOTH' else 0).close()
        print(name, 'yes')
    except OSError as error:
        print(name, errno.errorcode[error.errno])
PY`;

const families = (answers: Record<string, string>): string =>
  ['AF_INET', 'AF_INET6', 'AF_NETLINK', 'AF_PACKET', 'AF_UNIX', 'AF_BLUETOOTH']
    .map((n) => `${n} ${answers[n] ?? 'yes'}\n`)
    .join('');

/** A program that opens sockets of named stacks with msocket(3). */
const MSOCKET = `
cat >ms.c <<'C'
#include <arpa/inet.h>
#include <msocket.h>
#include <stdio.h>
#include <sys/socket.h>

/* Prints the addresses that an interface-bound connection would come from: of the stack, or why not. */
static void show(const char *what, int fd)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)}, me = {0};
	socklen_t size = sizeof(me);

	inet_pton(AF_INET, "10.0.0.99", &to.sin_addr);
	if (fd < 0 || connect(fd, (void *)&to, sizeof(to)) || getsockname(fd, (void *)&me, &size))
		perror(what);
	else
		printf("%s: %s\\n", what, inet_ntoa(me.sin_addr));
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	show("a", msocket("/dev/net/a", AF_INET, SOCK_DGRAM, 0));
	show("b", msocket("/dev/net/b", AF_INET, SOCK_DGRAM, 0));
	show("none", msocket("/dev/net/none", AF_INET, SOCK_DGRAM, 0));
	if (msocket("/dev/net/b", AF_UNSPEC, SOCK_DEFAULT, 0) < 0)
		perror("default");
	show("default", socket(AF_INET, SOCK_DGRAM, 0));
	show("default by msocket", msocket(NULL, AF_INET, SOCK_DGRAM, 0));
	return 0;
}
C
gcc -Wall -I "$TREE/guests/include" -o ms ms.c "$TREE/guests/build/lib/libmsocket.a"
stack a 1 null://
stack b 2 null://
./ms 2>&1`;

describe.each(ALL_USERS)('as %s', (who) => {
  it('a mounted stack is a file of type 0160000 with owner and mode', async () => {
    const out = await script(
      who,
      `stack a 1 null://
       printf '%o\\n' "$((0x$(stat -c %f /dev/net/a) & 0170000))"
       stat -c '%u:%g' /dev/net/a
       ls -ld /dev/net/a >/dev/null
       ls -d /dev/net/a
       chmod 640 /dev/net/a
       stat -c %a /dev/net/a
       fails stat /dev/net/none`,
    );
    const uid = who === 'root' ? '0:0' : '65534:65534';
    expect(out).toMatch(new RegExp(`^160000\n${uid}\n/dev/net/a\n640\n.*No such file or directory\n$`));
  });

  it('the mode of a stack decides who opens sockets on it', async () => {
    const out = await script(
      who,
      `stack a 1 null://
       a python3 -c 'import socket; socket.socket()' && echo open
       chmod 000 /dev/net/a
       ${who === 'root' ? "PREFIX='setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all'" : 'PREFIX='}
       fails vustack /dev/net/a $PREFIX python3 -c 'import socket; socket.socket()' | tail -n 1
       chmod 666 /dev/net/a
       vustack /dev/net/a $PREFIX python3 -c 'import socket; socket.socket()' && echo open again`,
    );
    expect(out).toMatch(/^open\n.*Permission denied.*\nopen again\n$/);
  });

  it('msocket() opens sockets of stacks by name, and SOCK_DEFAULT chooses one', async () => {
    const out = await script(who, MSOCKET, { env: { TREE: tree() } });
    expect(out).toBe(
      [
        'a: 10.0.0.1',
        'b: 10.0.0.2',
        'none: No such file or directory',
        'default: 10.0.0.2',
        'default by msocket: 10.0.0.2',
        '',
      ].join('\n'),
    );
  });

  it("a family that a stack lacks is EAFNOSUPPORT, also for the null stack; AF_UNIX is the host's", async () => {
    const out = await script(
      who,
      `${FAMILIES}
       stack a 1 null://
       vumount -t vunetioth null /dev/net/n
       a python3 families.py
       vustack /dev/net/n python3 families.py`,
    );
    const none = 'EAFNOSUPPORT';
    expect(out).toBe(
      families({ AF_BLUETOOTH: none }) +
        families({ AF_INET: none, AF_INET6: none, AF_NETLINK: none, AF_PACKET: none, AF_BLUETOOTH: none }),
    );
  });

  it('the kernel stack is the network of the host', async () => {
    const out = await script(
      who,
      `vumount -t vunetioth kernel /dev/net/k
       stack a 1 null://
       ip -br link >outside
       vustack /dev/net/k ip -br link | cmp - outside && echo same
       a vustack /dev/net/k ip -br link | cmp - outside && echo same
       a ip -br link | cmp -s - outside || echo other`,
    );
    expect(out).toBe('same\nsame\nother\n');
  });

  it('unmounting a stack that is in use is EBUSY', async () => {
    const out = await script(
      who,
      `stack a 1 null://
       vustack /dev/net/a python3 -c 'import socket, time; s = socket.socket(); open("up", "w"); time.sleep(60)' &
       retry test -e up
       fails vuumount /dev/net/a
       fails busybox umount /dev/net/a
       kill $!; wait $! || true
       retry vuumount /dev/net/a && echo unmounted
       fails ls /dev/net/a
       fails vuumount /dev/net/a`,
    );
    const [ours, busybox, ...rest] = out.trimEnd().split('\n');
    expect(ours).toMatch(/^vuumount: \/dev\/net\/a: .*\b(open|use)/);
    expect(busybox).toMatch(/Device or resource busy$/);
    expect(rest.join('\n')).toMatch(
      /^unmounted\nls: .*No such file or directory\nvuumount: \/dev\/net\/a: .*$/,
    );
  });

  it('a program whose stack is gone gets ENETDOWN, not the network of the host', async () => {
    const out = await script(
      who,
      `stack a 1 null://
       a python3 - <<'PY' &
import os, socket, time
open('up', 'w')
while not os.path.exists('gone'):
    time.sleep(0.02)
try:
    socket.socket()
    print('a socket')
except OSError as error:
    print(error)
PY
       retry test -e up
       vuumount -l /dev/net/a 2>/dev/null || umount -l /dev/net/a
       touch gone
       wait %1`,
    );
    expect(out).toBe('[Errno 100] Network is down\n');
  });

  it('mount and umount of util-linux and busybox do what vumount and vuumount do', async () => {
    const out = await script(
      who,
      `mount -i -t vunetioth -o null:// "$STACK" /dev/net/a
       a ls /sys/class/net
       umount -i /dev/net/a || umount -n /dev/net/a
       busybox mount -t vunetioth -o null:// "$STACK" /dev/net/b
       b ls /sys/class/net
       busybox umount /dev/net/b
       vumount`,
    );
    expect(out.split(/\s+/).filter(Boolean)).toEqual(['lo', 'vde0', 'lo', 'vde0']);
  });

  it('several interfaces, each on a network of its own', async () => {
    const out = await script(
      who,
      `vumount -t vunetioth -o "hub://$PWD/one,hub://$PWD/two" "$STACK" /dev/net/a
       a ls /sys/class/net`,
    );
    expect(out.split(/\s+/).filter(Boolean)).toEqual(['lo', 'vde0', 'vde1']);
  });

  it('what is wrong with a mount is said in one line', async () => {
    const out = await script(
      who,
      `fails vumount -t vunetioth -o nosuch://x "$STACK" /dev/net/a
       fails vumount -t vunetioth -o null:// nosuch /dev/net/a
       fails vumount -t nosuch -o null:// "$STACK" /dev/net/a
       fails vumount -t vunetioth -o nonsense "$STACK" /dev/net/a
       fails vustack /dev/net/none true
       fails vustack /etc/passwd true`,
    );
    const lines = out.trimEnd().split('\n');
    expect(lines).toHaveLength(6);
    for (const line of lines) expect(line).toMatch(/^(vumount|vustack): .*: /);
  });
});
