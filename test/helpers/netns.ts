/**
 * Network namespaces with TAP devices (or veth pairs) for tests. A small Python program lives in the namespace, makes
 * devices on request and tells the numbers of its descriptors, which are then copied with pidfd_getfd(2).
 */
import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { promisify } from 'node:util';
import { native } from '../../runtime/native.ts';
import { check } from '../../runtime/errno.ts';

const run = promisify(execFile);
const SYS_pidfd_open = 434;
const SYS_pidfd_getfd = 438;

/** Reads `tap NAME VNET` or `veth NAME VNET`, writes the number of the descriptor. */
const KEEPER = `
import fcntl, os, socket, struct, subprocess, sys
TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454ca, 0x400454d0, 0x400454d8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000
keep = []
def tap(name, vnet):
    fd = os.open('/dev/net/tun', os.O_RDWR)
    flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if vnet else 0)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', name.encode(), flags))
    if vnet:
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack('i', 10))
        fcntl.ioctl(fd, TUNSETOFFLOAD, 1 | 2 | 4)
    return fd
def veth(name, vnet):
    far = name + 'x'
    subprocess.check_call(['ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', far])
    subprocess.check_call(['ip', 'link', 'set', far, 'up'])
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packet.bind((far, 3))
    return packet.detach()
print('ready', flush=True)
for line in sys.stdin:
    kind, name, vnet = line.split()
    fd = {'tap': tap, 'veth': veth}[kind](name, vnet == '1')
    keep.append(fd)
    print(fd, flush=True)
`;

export interface Netns {
  readonly pid: number;
  /** Makes a device and gives (a copy of) the descriptor of its far side. */
  device(kind: 'tap' | 'veth', name: string, vnetHeader: boolean): Promise<number>;
  /** Runs a command in the namespace; its standard output. */
  run(...command: string[]): Promise<string>;
  /** Starts a command in the namespace. */
  spawn(...command: string[]): ChildProcessWithoutNullStreams;
  /** Ends the namespace and what was started in it. */
  close(): Promise<void>;
}

function copyFd(pid: number, fd: number): number {
  const pidfd = check(native().syscall(SYS_pidfd_open, pid, 0));
  try {
    return check(native().syscall(SYS_pidfd_getfd, pidfd, fd, 0));
  } finally {
    native().syscall(3, pidfd);
  }
}

async function nextLine(lines: Interface): Promise<string> {
  const [line] = (await once(lines, 'line')) as [string];
  return line;
}

/** A new network namespace with `lo` up; root makes it without a user namespace. */
export async function newNetns(): Promise<Netns> {
  const root = process.getuid?.() === 0;
  const keeper = spawn('unshare', [root ? '-n' : '-Urn', '/usr/bin/python3', '-c', KEEPER], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(keeper.stdout);
  await nextLine(lines);
  const pid = keeper.pid!;
  const enter = ['-t', String(pid), '-n', ...(root ? [] : ['-U', '--preserve-credentials'])];
  const started: ChildProcessWithoutNullStreams[] = [];
  const inside = async (...command: string[]): Promise<string> =>
    (await run('nsenter', [...enter, ...command], { maxBuffer: 64 << 20, timeout: 25_000 })).stdout;
  await inside('ip', 'link', 'set', 'lo', 'up');
  return {
    pid,
    run: inside,
    async device(kind, name, vnetHeader) {
      keeper.stdin.write(`${kind} ${name} ${vnetHeader ? 1 : 0}\n`);
      return copyFd(pid, Number(await nextLine(lines)));
    },
    spawn(...command) {
      const child = spawn('nsenter', [...enter, ...command]);
      started.push(child);
      return child;
    },
    async close() {
      for (const child of started) child.kill('SIGKILL');
      keeper.stdin.end();
      if (keeper.exitCode === null) await once(keeper, 'exit');
    },
  };
}
