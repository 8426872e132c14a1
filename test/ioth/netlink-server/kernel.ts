/** The kernel as the oracle: a fresh network namespace with lo and d0, a veth whose other end is elsewhere. */
import { type ExecResult, exec } from '../../helpers/exec.ts';

/** d0 has the address and the index that a test gives to its table; nothing waits for duplicate addresses. */
const SETUP = `
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad
unshare -n sleep 60 > /dev/null 2>&1 &
far=$!
trap '{ set +x; kill $far; } 2> /dev/null' EXIT
while [ "$(readlink /proc/$far/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
ip link add d0 index INDEX type veth peer name p0 netns $far
ip link set d0 address 02:00:00:00:00:01
nsenter -t $far -n ip link set p0 addrgenmode none up
`;

const setup = (index: number): string => SETUP.replace('INDEX', String(index));

/** Runs a shell script in a namespace of its own, where d0 has the number `index`. */
export const inKernel = (script: string, index = 3): Promise<ExecResult> =>
  exec('unshare', ['-n', '/bin/sh', '-c', setup(index) + script]);

/** Sends requests (hexadecimal, one a line) to the kernel, each on a new socket with the options given. */
const REPLAY = `
import socket, sys
for line in sys.stdin:
    options, request = line.split()
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    for option in options.split(','):
        if option != '-': s.setsockopt(270, int(option), 1)
    s.bind((0, 0))
    s.send(bytes.fromhex(request))
    s.settimeout(0.02)
    answer = b''
    try:
        while True: answer += s.recv(1 << 16)
    except socket.timeout:
        pass
    print(answer.hex())
    s.close()
`;

export interface Probe {
  /** Options of level SOL_NETLINK that the socket sets. */
  options?: number[];
  request: Uint8Array;
}

/** The kernel's answers to `probes`, after `script` has configured it. */
export async function askKernel(script: string, probes: readonly Probe[]): Promise<Buffer[]> {
  const input = probes
    .map(
      ({ options = [], request }) => `${options.join(',') || '-'} ${Buffer.from(request).toString('hex')}\n`,
    )
    .join('');
  const command = `${setup(3)}${script}\nsleep 1.2\npython3 -c "$REPLAY"`;
  const env = { ...process.env, REPLAY };
  const { stdout, stderr, code } = await exec('unshare', ['-n', '/bin/sh', '-c', command], { env, input });
  if (code !== 0) throw new Error(stderr);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => Buffer.from(line, 'hex'));
}
