/** Stacks of the kernel: what their sockets can do, for root and for an ordinary user, and what they leave. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Errno } from '../../runtime/errno.ts';
import { createIothHost, type IothHost } from '../../runtime/ioth/host.ts';
import { newStack, newStackFromConfig } from '../../runtime/ioth/newstack.ts';
import { AF, SOCK, type Stack } from '../../runtime/ioth/stack.ts';
import { closeFd } from '../../runtime/ioth/vdestack/broker.ts';
import { exec, until } from '../helpers/exec.ts';
import { descriptors } from '../helpers/leaks.ts';
import { tree } from '../helpers/tree.ts';
import { nodeCommand, umvuEnvironment } from '../helpers/umvu.ts';
import { becoming, USERS, workDir, type Who } from '../helpers/users.ts';

function failure(action: () => unknown): Errno {
  try {
    action();
  } catch (error) {
    if (error instanceof Errno) return error;
    throw error;
  }
  throw new Error('no error');
}

/** The words that run stack-worker.ts. */
function worker(who: Who, ...args: string[]): string[] {
  return [...becoming(who), ...nodeCommand(), join(tree(), 'dist/test/ioth/stack-worker.js'), ...args];
}

async function run<T>(who: Who, ...args: string[]): Promise<T> {
  const [command, ...rest] = worker(who, ...args);
  const result = await exec(command!, rest, { cwd: '/', env: umvuEnvironment('/tmp') });
  expect({ code: result.code, timedOut: result.timedOut }, result.stderr).toEqual({
    code: 0,
    timedOut: false,
  });
  return JSON.parse(result.stdout) as T;
}

const pidExists = (pid: number): boolean => {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
};

describe.each(USERS)('two stacks of %s on one hub', (who) => {
  // /dev/net/tun is often for root only; the veth pairs are for everybody else.
  it.each(who === 'root' ? ['tap', 'veth'] : ['any', 'veth'])('talk to each other (%s)', async (carrier) => {
    const result = await run<{ pings: number[]; intact: boolean[]; inUse: boolean[] }>(
      who,
      'traffic',
      carrier,
    );
    expect(result).toEqual({ pings: [0, 129, 0], intact: [true, true], inUse: [false, false] });
  });

  it('leave no descriptors when they are closed', async () => {
    const { counts } = await run<{ counts: number[] }>(who, 'churn');
    expect(new Set(counts.slice(1)).size, counts.join(' ')).toBe(1);
  });

  it('end with their owner, after kill -9 as well', async () => {
    const work = workDir(who);
    const hub = join(work.path, 'hub');
    const [command, ...rest] = worker(who, 'hold', `hub://${hub}`);
    const child = spawn(command!, rest, {
      env: umvuEnvironment('/tmp'),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await new Promise<string>((resolve) =>
      child.stdout.once('data', (data) => resolve(String(data))),
    );
    const { broker } = JSON.parse(line) as { broker: number };
    expect(existsSync(join(hub, 'ctl'))).toBe(true);
    expect(pidExists(broker)).toBe(true);
    child.kill('SIGKILL');
    await until('the end of the broker', () => !pidExists(broker));
    expect(existsSync(hub)).toBe(false);
    work.remove();
  });

  it('are opened 200 times in less than 10 s, with less than 2 MiB each', async () => {
    const { ms, closeMs, kib, echo } = await run<Record<string, number>>(who, 'many', '200');
    console.log(
      `${who}: 200 stacks opened in ${ms!.toFixed(0)} ms, ${kib!.toFixed(0)} KiB each, closed in ${closeMs!.toFixed(0)} ms`,
    );
    expect(ms).toBeLessThan(10_000);
    expect(kib).toBeLessThan(2048);
    expect(echo).toBe(0);
  });
});

describe('where user namespaces are forbidden', () => {
  // In a user namespace of the test's own, so that nobody else is hindered; then without any capability.
  const forbidden = (...command: string[]): string[] => [
    ...becoming('an ordinary user'),
    'unshare',
    '--map-root-user',
    'sh',
    '-c',
    'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all "$0" "$@"',
    ...command,
  ];

  it('a stack is refused with the name of the setting', async () => {
    const [command, ...rest] = forbidden(...worker('root', 'traffic', 'any'));
    const result = await exec(command!, rest, { cwd: '/', env: umvuEnvironment('/tmp') });
    expect(result.code).not.toBe(0);
    expect(result.stderr).toContain('user.max_user_namespaces=0');
    expect(result.stderr).toContain("code: 'EPERM'");
  });
});

describe('root of a user namespace', () => {
  it('has stacks without one more', async () => {
    const [command, ...rest] = [
      ...becoming('an ordinary user'),
      'unshare',
      '--map-root-user',
      ...worker('root', 'traffic', 'any'),
    ];
    const result = await exec(command!, rest, { cwd: '/', env: umvuEnvironment('/tmp') });
    expect(JSON.parse(result.stdout)).toMatchObject({ intact: [true, true] });
  });
});

describe('a vdestack', () => {
  let host: IothHost;
  let stack: Stack;
  beforeAll(async () => {
    host = createIothHost();
    stack = await newStackFromConfig('stack=vdestack,vnl=hub://,eth,ip=10.0.0.1', host);
  });
  afterAll(() => host.close());

  const flags = (fd: number): number =>
    Number.parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))![1]!, 8);

  it('gives close-on-exec sockets, non-blocking where that is asked', () => {
    for (const [type, nonblock] of [
      [SOCK.STREAM, 0],
      [SOCK.STREAM | SOCK.NONBLOCK, SOCK.NONBLOCK],
      [SOCK.DGRAM | SOCK.CLOEXEC | SOCK.NONBLOCK, SOCK.NONBLOCK],
    ] as const) {
      const fd = stack.socket(AF.INET6, type, 0);
      expect(flags(fd) & SOCK.NONBLOCK).toBe(nonblock);
      expect(flags(fd) & SOCK.CLOEXEC).toBe(SOCK.CLOEXEC);
      closeFd(fd);
    }
  });

  it('answers as socket(2) to what it does not make', () => {
    expect(failure(() => stack.socket(AF.UNIX, SOCK.STREAM, 0)).code).toBe('EAFNOSUPPORT');
    expect(failure(() => stack.socket(4711, SOCK.STREAM, 0)).code).toBe('EAFNOSUPPORT');
    expect(failure(() => stack.socket(AF.INET, SOCK.STREAM | 0x100000, 0)).code).toBe('EINVAL');
    expect(failure(() => stack.socket(AF.INET, 0, 0)).code).toBe('ESOCKTNOSUPPORT');
    expect(failure(() => stack.socket(AF.INET, SOCK.STREAM, 17)).code).toBe('EPROTONOSUPPORT');
    expect(failure(() => stack.socket(AF.INET, SOCK.SEQPACKET, 0)).code).toBe('ESOCKTNOSUPPORT');
  });

  it('never gives the same socket twice, and keeps a bounded number in store', () => {
    const names = new Set<string>();
    const before = descriptors();
    const fds = Array.from({ length: 300 }, () => stack.socket(AF.INET, SOCK.STREAM, 0));
    for (const fd of fds) names.add(readlinkSync(`/proc/self/fd/${fd}`));
    expect(names.size).toBe(300);
    fds.forEach(closeFd);
    expect(descriptors() - before).toBeLessThanOrEqual(32);
  });

  it('knows whether its sockets are in use', () => {
    expect(stack.inUse()).toBe(false);
    for (const [domain, type] of [
      [AF.INET, SOCK.STREAM],
      [AF.NETLINK, SOCK.RAW],
      [AF.PACKET, SOCK.DGRAM],
    ] as const) {
      const fd = stack.socket(domain, type, 0);
      expect(stack.inUse()).toBe(true);
      closeFd(fd);
      expect(stack.inUse()).toBe(false);
    }
  });

  it('shows its own /proc/net and /sys/class/net', () => {
    const devices = readFileSync(`${stack.view.procNet}/dev`, 'latin1').match(/^ *\S+(?=:)/gm);
    expect(devices?.map((name) => name.trim())).toEqual(['lo', 'vde0']);
    expect(readdirSync(`/proc/self/fd/${stack.view.sysfs}/class/net`).sort()).toEqual(['lo', 'vde0']);
    expect(readFileSync(`/proc/self/fd/${stack.view.sysfs}/class/net/vde0/mtu`, 'latin1')).toBe('1500\n');
  });

  it('is gone when it is closed, and the others are not', async () => {
    const other = await newStack('vdestack,mtu=9000', [{ name: 'big', vnl: 'hub://' }], {}, host);
    expect(readFileSync(`/proc/self/fd/${other.view.sysfs}/class/net/big/mtu`, 'latin1')).toBe('9000\n');
    const before = descriptors();
    await other.close();
    await other.close();
    expect(descriptors()).toBeLessThan(before);
    expect(failure(() => other.socket(AF.INET, SOCK.STREAM, 0)).code).toBe('ENETDOWN');
    expect(other.inUse()).toBe(false);
    closeFd(stack.socket(AF.INET, SOCK.STREAM, 0));
  });

  it('is gone when the broker dies; new ones have a new broker', async () => {
    const broker = await host.broker();
    process.kill(broker.pid, 'SIGKILL');
    await until('the news', () => !broker.alive);
    expect(failure(() => stack.socket(AF.INET, SOCK.STREAM, 0)).code).toBe('ENETDOWN');
    const again = await newStackFromConfig('stack=vdestack,vnl=hub://,eth,ip=10.0.0.1', host);
    closeFd(again.socket(AF.INET, SOCK.STREAM, 0));
    await stack.close();
  });
});
