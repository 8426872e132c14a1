/** Stacks in user space under load: many connections, ports used again, links that lose, readers that stop. */
import { readFileSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERRNO } from '../../runtime/errno.ts';
import { createIothHost } from '../../runtime/ioth/host.ts';
import { newStackFromConfig } from '../../runtime/ioth/newstack.ts';
import { native } from '../../runtime/native.ts';
import { SYS } from '../../runtime/syscalls/table.ts';
import { Workshop } from '../helpers/cc.ts';
import { umvu } from '../helpers/umvu.ts';

const shop = new Workshop();
afterAll(() => shop.close());

// A hundred stacks of this process, which the tests before the last one leave alone.
const idle = createIothHost();
beforeAll(async () => {
  for (let i = 1; i <= 100; i++)
    await newStackFromConfig(`stack=lwip,vnl=null://,eth,ip=10.0.0.${i}/24`, idle);
});
afterAll(() => idle.close());
const LOAD = shop.compile('load', readFileSync(new URL('../bench/lwip.c', import.meta.url), 'utf8'));

/** Runs a script in a VM with a stack of user space behind `$A` and one of `kind` behind `$B` on a network. */
async function between(vnl: string, script: string, kind = 'lwip') {
  const mount = (n: number, stack: string): string =>
    `vumount -t vunetioth -o '${vnl},eth,ip=10.0.0.${n}/24,ip=fc00::${n}/64' ${stack} /dev/net/${n}`;
  const setUp = `set -e; A='vustack /dev/net/1' B='vustack /dev/net/2'
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
after() { until [[ -s $1 ]]; do sleep 0.02; done; }`;
  const text = [setUp, mount(1, 'lwip'), mount(2, kind), script].join('\n');
  const result = await umvu(['-m', 'vunetioth', '--', 'bash', '-c', text], { timeout: 60_000 });
  return `${result.stdout}${result.stderr}`;
}

/** A server that reads after `delay` seconds and tells the sum of what came; a client that compares. */
const SUMS = `
import hashlib, os, socket, sys, time
def total(read):
    hash, count = hashlib.sha256(), 0
    while part := read():
        hash.update(part); count += len(part)
    return f'{count} {hash.hexdigest()}'
if sys.argv[1] == 'serve':
    server = socket.create_server(('', 9)); print('ready', flush=True)
    peer, _ = server.accept(); time.sleep(float(sys.argv[2]))
    peer.sendall(total(lambda: peer.recv(65536)).encode())
else:
    block, count = os.urandom(1 << 20), int(sys.argv[2])
    peer = socket.create_connection(('10.0.0.1', 9))
    for _ in range(count): peer.sendall(block)
    peer.shutdown(socket.SHUT_WR)
    parts = iter([block] * count)
    print('same' if peer.recv(200).decode() == total(lambda: next(parts, b'')) else 'different')`;

const transfer = (delay: number, mebibytes: number): string => `
cat > sums.py <<'END'${SUMS}
END
$A python3 sums.py serve ${delay} > ready & after ready
$B python3 sums.py send ${mebibytes}`;

describe('many connections', () => {
  it('each get their own answers', async () => {
    const script = `$A ${LOAD} echo 7 > ready & after ready; $B ${LOAD} requests 10.0.0.1 7 3000 9000`;
    expect(await between('hub://', script, 'vdestack')).toMatch(/^\d+\.\d+\n$/);
    expect(await between('hub://', script)).toMatch(/^\d+\.\d+\n$/);
  });

  it('come and go in their thousands', async () => {
    const script = `
cat > ports.py <<'END'
import socket, sys
server = socket.create_server(('', 7))
def ask(address):
    peer = socket.create_connection(address); near, _ = server.accept()
    assert near.getpeername() == peer.getsockname()
    peer.close(); assert near.recv(1) == b''; near.close()
for _ in range(3000): ask(('127.0.0.1', 7))
print('done')
END
$A python3 ports.py`;
    expect(await between('hub://', script)).toBe('done\n');
  });

  it('may follow each other between the same two ports', async () => {
    const script = `
cat > same.py <<'END'
import socket, sys, time
if sys.argv[1] == 'serve':
    server = socket.create_server(('', 7)); print('ready', flush=True)
    for _ in range(2):
        peer, _ = server.accept(); peer.send(b'!'); peer.close()  # TIME_WAIT is here
else:
    for _ in range(2):
        peer = socket.socket(); peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        peer.bind(('10.0.0.2', 4444)); peer.settimeout(1); peer.connect(('10.0.0.1', 7))
        assert peer.recv(1) == b'!' and peer.recv(1) == b''
        peer.close(); time.sleep(0.1)
    print('twice')
END
$A python3 same.py serve > ready & after ready
$B python3 same.py ask`;
    expect(await between('hub://', script)).toBe('twice\n');
  });
});

describe('a link', () => {
  it('that loses and delays changes no byte', async () => {
    const vnl = 'hub://[delay=1ms/jitter=500us/loss=1%]';
    expect(await between(vnl, transfer(0, 4))).toBe('same\n');
  });

  it('takes the time that it is told to', async () => {
    const output = await between('hub://[delay=30ms]', '$B ping -qc3 -i 0.1 10.0.0.1');
    const [, least, average] = /rtt min\/avg\S* = ([\d.]+)\/([\d.]+)/.exec(output) ?? [];
    expect(Number(least)).toBeGreaterThanOrEqual(60);
    // The first one waits for the address, too.
    expect(Number(average)).toBeLessThan(150);
  });

  it('loses what it is told to', async () => {
    const output = await between('hub://[loss=100%]', '$B ping -qc2 -W1 -i 0.1 10.0.0.1 || true');
    expect(output).toContain('100% packet loss');
  });

  it('is as fast as it is told to', async () => {
    const script = `$A iperf3 -s1 > ready & sleep 0.7; $B iperf3 -J -c 10.0.0.1 -t 2`;
    const output = await between('hub://[rate=20mbit/delay=1ms]', script);
    const { end } = JSON.parse(output) as { end: { sum_received: { bits_per_second: number } } };
    expect(end.sum_received.bits_per_second / 1e6).toBeGreaterThan(10);
    expect(end.sum_received.bits_per_second / 1e6).toBeLessThan(20);
  });
});

it('a reader that stops for a while loses nothing, and nobody waits busily', async () => {
  const script = `${transfer(3, 16)} > sent &
sleep 1; supervisor=$(cut -d' ' -f4 /proc/$PPID/stat)
spent() { read -ra s < /proc/$supervisor/stat; echo $((s[13] + s[14])); }
cat /proc/$supervisor/comm; before=$(spent); sleep 1; echo $(($(spent) - before)); after sent; cat sent`;
  const [name, ticks, sent] = (await between('hub://', script)).split('\n');
  expect(name).toBe('node');
  expect(Number(ticks)).toBeLessThanOrEqual(3);
  expect(sent).toBe('same');
});

it('a failed assertion of lwIP takes one stack down, and nothing else', () => {
  const [bad, good] = [new (native().LwipStack!)(), new (native().LwipStack!)()];
  const [AF_INET, SOCK_DGRAM, down] = [2, 2, -ERRNO['ENETDOWN']!];
  const socket = bad.socket(AF_INET, SOCK_DGRAM, 0);
  const receive = (): number =>
    native().syscall(SYS.recvfrom, socket, new Uint8Array(1), 1, 0x40 /* MSG_DONTWAIT */, null, null);
  try {
    expect(receive()).toBe(-ERRNO['EAGAIN']!);
    expect(bad.fail()).toBe(down);
    expect(receive()).toBe(-ERRNO['ECONNRESET']!);
    expect(bad.socket(AF_INET, SOCK_DGRAM, 0)).toBe(down);
    expect(bad.setForwarding(true, true)).toBe(down);
    const other = good.socket(AF_INET, SOCK_DGRAM, 0);
    expect(other).toBeGreaterThan(0);
    native().syscall(SYS.close, other);
  } finally {
    native().syscall(SYS.close, socket);
    bad.close();
    good.close();
  }
});

/** How often the thread of the stacks has slept. */
function sleeps(): number {
  const threads = readdirSync('/proc/self/task').map((task) => `/proc/self/task/${task}`);
  const pump = threads.find((thread) => readFileSync(`${thread}/comm`, 'latin1') === 'umvu-net\n');
  const status = pump === undefined ? '' : readFileSync(`${pump}/status`, 'latin1');
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)![1]);
}

it('a hundred idle stacks use no processor time', async () => {
  // The timers of a stack go on for a while after its last work.
  for (let seconds = 0, before = -1; before !== sleeps(); seconds++) {
    expect(seconds, 'they are still awake').toBeLessThan(30);
    before = sleeps();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}, 40_000);
