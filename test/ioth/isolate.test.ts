/** Stacks in user space in processes of their own: they are what the others are, and their end is only their own. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ERRNO } from '../../runtime/errno.ts';
import { createIothHost } from '../../runtime/ioth/host.ts';
import { AF, newStackc, NetlinkClient, SOCK } from '../../runtime/ioth/index.ts';
import { IsolatedChild } from '../../runtime/ioth/lwip/isolated/child.ts';
import { LISTS, parseEvent, parseKind } from '../../runtime/ioth/lwip/isolated/protocol.ts';
import { IsolatedStack } from '../../runtime/ioth/lwip/isolated/stack.ts';
import { lwip, withIsolated } from '../../runtime/ioth/lwip/socket.ts';
import { native } from '../../runtime/native.ts';
import { SYS } from '../../runtime/syscalls/table.ts';
import { until } from '../helpers/exec.ts';
import { descriptors } from '../helpers/leaks.ts';
import { expectTap, tapProgram } from '../helpers/tap.ts';
import { umvu } from '../helpers/umvu.ts';
import { USERS, workDir, type Who } from '../helpers/users.ts';

const NET = 'stack=lwip,isolate,vnl=hub://,eth,ip=10.0.0.1/24';
const DOWN = -ERRNO['ENETDOWN']!;
const ORDINARY = USERS.at(-1)!;

describe.each<[string, Who]>([
  ['sockets-basic', 'root'],
  ['emu-tcp', ORDINARY],
  ['emu-udp', 'root'],
  ['emu-options', ORDINARY],
  ['emu-icmp', ORDINARY],
  ['emu-packet', ORDINARY],
])('%s', (name, as) => {
  it(`passes in an isolated stack of ${as}`, async () => {
    expectTap(await umvu(['--net', NET, '--', tapProgram(name)], { as }));
  });
});

/** Stacks 1 (of this process), 2 and 3 (isolated) on a hub; `$BAD` is the process of number 3. */
const STACKS = `set -e
mnt() { vumount -t vunetioth -o "hub://,eth,ip=10.0.0.$1/24,ip=fc00::$1/64$2" lwip /dev/net/$1; }
mnt 1; mnt 2 ,isolate; mnt 3 ,isolate
SUPERVISOR=$(vuname -U) BAD=$(pgrep -n -P "$(vuname -U)" umvu-lwip)
after() { until [[ -s $1 ]]; do sleep 0.02; done; }`;

async function bash(as: Who, script: string) {
  const args = ['-m', 'vunetioth', '--', 'bash', '-c', `${STACKS}\n${script}`];
  return umvu(args, { as, timeout: 30_000 });
}

it('is configured and looked at like any other, and talks to its neighbours', async () => {
  const { stdout, stderr } = await bash(
    ORDINARY,
    `
vustack /dev/net/2 sh -c 'ip -br addr show vde0; ip addr add 10.1.0.1/16 dev vde0; ip route; cat /proc/net/dev; ls /sys/class/net'
vustack /dev/net/2 iperf3 -s -1 > /dev/null & sleep 0.4
vustack /dev/net/2 ss -tln
vustack /dev/net/1 iperf3 -c 10.0.0.2 -t 1 -J | grep -c sum_received; wait
vustack /dev/net/1 iperf3 -s -1 > /dev/null & sleep 0.4
vustack /dev/net/3 iperf3 -c fc00::1 -t 1 -J | grep -c sum_received; wait
vustack /dev/net/3 ping -qc2 -i 0.1 -s 4000 10.0.0.2
umount /dev/net/2; umount /dev/net/3; pgrep -P $SUPERVISOR umvu-lwip || echo none`,
  );
  expect(stdout, stderr).toMatch(/^vde0 +UP +10\.0\.0\.2\/24 fc00::2\/64 fe80::\S+\/64/m);
  expect(stdout).toContain('10.1.0.0/16 dev vde0 proto kernel scope link src 10.1.0.1');
  expect(stdout).toMatch(/^ +vde0: +\d+/m);
  expect(stdout).toMatch(/^lo\nvde0$/m);
  expect(stdout).toMatch(/^LISTEN.*:5201/m);
  expect(stdout).toMatch(/^1\n1$/m);
  expect(stdout).toContain('2 received, 0% packet loss');
  expect(stdout).toMatch(/^none$/m);
});

/** Waits in every way for something to come; then asks for new things. */
const WAITING = `
import socket, threading
def waits(what, call, *args):
    def run():
        try: result = call(*args)
        except OSError as error: result = error.errno
        print(what, result, flush=True)
    return threading.Thread(target=run)
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); datagrams.bind(('', 9))
plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); plain.bind(('', 10))
server = socket.create_server(('', 7)); near = socket.create_connection(('127.0.0.1', 7)); far, _ = server.accept()
late = socket.socket()
all = [waits('recvfrom', datagrams.recvfrom, 9), waits('recv', plain.recv, 9), waits('read', near.recv, 9),
  waits('accept', server.accept), waits('connect', late.connect, ('10.0.0.99', 1))]
for each in all: each.start()
import time; time.sleep(0.2); print('ready', flush=True)
for each in all: each.join()
waits('socket', socket.socket).run()
waits('name', far.getsockname).run()
waits('send', datagrams.sendto, b'', ('10.0.0.1', 1)).run()`;

describe.each<[string, string, Who]>([
  ['crashes', 'ABRT', 'root'],
  ['does not answer', 'STOP', ORDINARY],
])('an isolated stack that %s', (_what, signal, as) => {
  it('is down, its guests are told so, and the others go on', async () => {
    const { stdout, stderr } = await bash(
      as,
      `
cat > waiting.py <<'END'${WAITING}
END
vustack /dev/net/3 python3 waiting.py > told & after told; until grep -q ready told; do sleep 0.02; done
vustack /dev/net/2 iperf3 -s -1 > /dev/null & sleep 0.4
vustack /dev/net/1 iperf3 -c 10.0.0.2 -t 1 -J | grep -c sum_received > sent & sending=$!
kill -${signal} $BAD
vustack /dev/net/3 python3 -c 'import socket; socket.socket()' 2> failed || tail -1 failed
wait $sending; cat sent; wait; sort told
umount /dev/net/3; vustack /dev/net/2 ping -qc1 10.0.0.1`,
    );
    const why =
      signal === 'ABRT' ? String.raw`has ended \(SIGABRT\)` : String.raw`does not answer \(ETIMEDOUT\)`;
    expect(stderr).toMatch(
      new RegExp(`^umvu: the process \\d+ of an isolated stack ${why}: the stack is down$`, 'm'),
    );
    expect(stderr.match(/isolated stack/g)).toHaveLength(1);
    // 100: ENETDOWN.
    expect(stdout).toContain(`OSError: [Errno 100] Network is down
1
accept 100
connect 100
name 100
read b''
ready
recv b''
recvfrom 100
send 100
socket 100
`);
    expect(stdout).toContain('1 received, 0% packet loss');
  });
});

it('a supervisor that is killed leaves neither processes, also stopped ones, nor files', async () => {
  // What is left umvu() finds.
  const script = 'vustack /dev/net/3 ls /sys/class/net; kill -STOP $BAD; kill -9 $SUPERVISOR; sleep 9';
  const { stdout, signal } = await bash(ORDINARY, script);
  expect(stdout).toBe('lo\nvde0\n');
  expect(signal).toBe('SIGKILL');
});

describe('in a program', () => {
  it('stacks come and go without leaving descriptors, and options are checked', async () => {
    withIsolated();
    const host = createIothHost();
    const before = descriptors();
    const open = (n: number) => newStackc(`stack=lwip,isolate,vnl=hub://,eth,ip=10.0.0.${n}/24`, host);
    try {
      const [one, two] = await Promise.all([open(1), open(2)]);
      expect(one.netlink((client: NetlinkClient) => client.links().map(({ name }) => name))).toEqual([
        'lo',
        'vde0',
      ]);
      const listener = one.msocket(AF.INET, SOCK.STREAM);
      listener.listen();
      const { port } = listener.getsockname() as { port: number };
      const client = two.net.connect(port, '10.0.0.1');
      const { socket } = await listener.accept();
      socket.setsockopt(1, 13 /* SO_LINGER */, new Uint8Array(Int32Array.of(1, 0).buffer));
      socket.close();
      const error = await new Promise((resolve) => client.once('error', resolve));
      expect(error).toMatchObject({ code: 'ECONNRESET' });
      listener.close();
      await Promise.all([one.close(), two.close()]);
      await expect(newStackc('stack=null,isolate', host)).rejects.toThrow();
      await expect(newStackc('stack=lwip,isolate=no', host)).rejects.toThrow(/no value/);
    } finally {
      await host.close();
    }
    await until('all descriptors to be closed', () => descriptors() <= before);
  });

  it('a failed assertion ends the process of that stack, and nothing else', async () => {
    withIsolated();
    const [bad, good] = [1, 2].map(() => new IsolatedStack(256 << 20, () => () => undefined)) as [
      IsolatedStack,
      IsolatedStack,
    ];
    const socket = bad.socket(AF.INET, SOCK.DGRAM, 0);
    expect(lwip().identify(socket, new Int32Array(3))).toBeGreaterThan(2 ** 32);
    expect(bad.fail()).toBe(DOWN);
    await bad.ended;
    expect(bad.socket(AF.INET, SOCK.DGRAM, 0)).toBe(DOWN);
    expect(bad.links()).toEqual([]);
    const id = lwip().identify(socket, new Int32Array(3));
    expect(lwip().bind(id, socket, new Uint8Array(16))).toBe(DOWN);
    const other = good.socket(AF.INET, SOCK.DGRAM, 0);
    expect(good.sockets()).toBe(1);
    for (const fd of [socket, other]) native().syscall(SYS.close, fd);
    bad.close();
    good.close();
    await good.ended;
  });
});

describe('a process that tells nonsense', () => {
  const work = workDir('root');
  afterAll(() => work.remove());

  /** A program that greets as it should; then `body` answers. */
  function impostor(body: string): string {
    const path = join(work.path, `impostor-${Math.random()}`);
    writeFileSync(
      path,
      `#!/usr/bin/python3
import array, os, socket, struct, time
calls, events = socket.socket(fileno=3), socket.socket(fileno=4)
def reply(result, more=0, bytes=b'', fds=[]):
    calls.sendmsg([struct.pack('<iI', result, more) + bytes], [(1, 1, array.array('i', fds))] if fds else [])
calls.recv(99999); reply(1, 0, b'umvu-77-')
calls.recv(99999)
${body}
time.sleep(60)\n`,
    );
    chmodSync(path, 0o755);
    return path;
  }

  it.each<[string, string]>([
    ['a short reply', 'calls.send(b"x")'],
    ['a result that is no errno', 'reply(-5000)'],
    ['a list without an end', 'reply(0, 0xffffffff, bytes(72))'],
    ['a list that does not go on', 'reply(0, 100, b"")'],
    ['the end', 'calls.close()'],
  ])('by %s is given up', async (_what, body) => {
    let gone = 0;
    const before = descriptors();
    const child = new IsolatedChild({ event: () => undefined, gone: () => gone++ }, impostor(body));
    expect(child.list('links')).toBeUndefined();
    expect([child.alive, gone]).toEqual([false, 1]);
    await child.ended;
    expect(descriptors()).toBeLessThanOrEqual(before);
  });

  it('by an event is given up', async () => {
    const child = new IsolatedChild(
      { event: () => undefined, gone: () => undefined },
      impostor('reply(0); events.send(b"\\xff" * 16)'),
    );
    expect(child.result('look')).toBe(0);
    await child.ended;
    expect(child.alive).toBe(false);
  });

  it('is not believed', () => {
    const bytes = (size: number, ...at: [number, number][]): Buffer => {
      const buffer = Buffer.alloc(size);
      for (const [offset, value] of at) buffer.writeUInt32LE(value, offset);
      return buffer;
    };
    const kind: [number, number][] = [[0, 5], [8, 2], [12, 1], [16, 6]]; // prettier-ignore
    expect(parseKind(bytes(24, ...kind))).toEqual({ id: 5, domain: 2, type: 1, protocol: 6 });
    expect(parseKind(bytes(24, ...kind, [4, 1]))).toBeUndefined();
    expect(parseKind(bytes(24, ...kind, [8, 1]))).toBeUndefined();
    expect(parseKind(bytes(20, ...kind))).toBeUndefined();
    expect(parseEvent(bytes(16, [0, 5], [8, 99]))).toBeUndefined();
    const link = bytes(72, [0, 2], [16, 0x612f2e2e]); // ../a
    expect(LISTS.links(link)).toBeUndefined();
    link.write('vde0\0', 16);
    expect(LISTS.links(link)).toMatchObject([{ index: 2, name: 'vde0' }]);
    expect(LISTS.links(link.subarray(1))).toBeUndefined();
    expect(LISTS.addresses(bytes(32, [0, 1], [12, 0xff00]))).toBeUndefined();
    expect(LISTS.connections(bytes(72, [0, 2], [4, 1], [12, 1], [16, 0x0505]))).toBeUndefined();
  });
});
