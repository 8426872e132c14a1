/** The broker process: its protocol, what it survives, how it ends, and what it clears away then. */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Errno } from '../../runtime/errno.ts';
import { AF, SOCK } from '../../runtime/ioth/stack.ts';
import { Broker, closeFd } from '../../runtime/ioth/vdestack/broker.ts';
import { CARRIER, MAX_FDS, MAX_REPLY, OP, PROTOCOL_VERSION } from '../../runtime/ioth/vdestack/protocol.ts';
import { native, nativeDir, projectRoot } from '../../runtime/native.ts';
import { until } from '../helpers/exec.ts';
import { descriptors } from '../helpers/leaks.ts';
import { workDir } from '../helpers/users.ts';

function failure(action: () => unknown): Errno {
  try {
    action();
  } catch (error) {
    if (error instanceof Errno) return error;
    throw error;
  }
  throw new Error('no error');
}

const threads = (broker: Broker): number => readdirSync(`/proc/${broker.pid}/task`).length;

it('the two halves of the protocol are the same', () => {
  const header = readFileSync(join(projectRoot, 'native/broker/protocol.h'), 'latin1');
  const values = (of: string): Record<string, number> => {
    const [, body = ''] = new RegExp(`enum class ${of} [^{]*{([^}]*)}`).exec(header) ?? [];
    const upper = (name: string) => name.replace(/(?!^)([A-Z])/g, '_$1').toUpperCase();
    return Object.fromEntries(
      [...body.matchAll(/k(\w+) = (\d+),/g)].map(([, k, v]) => [upper(k!), Number(v)]),
    );
  };
  expect(values('Op')).toEqual(OP);
  expect(values('Carrier')).toEqual(CARRIER);
  expect(header).toContain(`kProtocolVersion = ${PROTOCOL_VERSION};`);
  expect(header).toContain(`kMaxFds = ${MAX_FDS};`);
  expect(header).toContain(`kMaxReason = ${MAX_REPLY - 12};`);
});

describe('the broker', () => {
  let broker: Broker;
  beforeEach(() => {
    broker = Broker.start();
  });
  afterEach(() => broker.close());

  it('makes and removes stacks, without a thread too many', async () => {
    for (let stack = 1; stack <= 5; stack++) {
      const { result: tid } = broker.call(OP.ADD_STACK, { stack });
      expect(readFileSync(`/proc/${broker.pid}/task/${tid}/net/dev`, 'latin1')).toContain('lo:');
    }
    expect(failure(() => broker.call(OP.ADD_STACK, { stack: 5 })).code).toBe('EEXIST');
    expect(threads(broker)).toBe(6);
    for (let stack = 1; stack <= 5; stack++) broker.call(OP.DEL_STACK, { stack });
    await until('the end of the threads', () => threads(broker) === 1);
    expect(failure(() => broker.call(OP.DEL_STACK, { stack: 5 })).code).toBe('ENODEV');
  });

  it('makes sockets of network families only', () => {
    broker.call(OP.ADD_STACK, { stack: 1 });
    const ask = (a: number, b: number, c: number, count = 1) =>
      broker.call(OP.SOCKET, { stack: 1, a, b, c, count });
    const before = descriptors();
    for (const [domain, type, protocol] of [
      [AF.INET, SOCK.STREAM, 0],
      [AF.INET6, SOCK.DGRAM, 58],
      [AF.INET, SOCK.RAW, 1],
      [AF.PACKET, SOCK.RAW, 0x300],
      [AF.NETLINK, SOCK.RAW, 0],
    ] as const) {
      const { result, fds } = ask(domain, type, protocol, 3);
      expect(result).toBe(3);
      fds.forEach(closeFd);
    }
    expect(failure(() => ask(AF.UNIX, SOCK.STREAM, 0)).code).toBe('EAFNOSUPPORT');
    expect(failure(() => ask(AF.INET, SOCK.STREAM, 17)).code).toBe('EPROTONOSUPPORT');
    expect(failure(() => ask(AF.INET, 77, 0)).code).toBe('EINVAL');
    expect(failure(() => ask(AF.INET, SOCK.STREAM, 0, 0)).code).toBe('EINVAL');
    expect(failure(() => ask(AF.INET, SOCK.STREAM, 0, 1000)).code).toBe('EINVAL');
    expect(failure(() => broker.call(OP.SOCKET, { stack: 2, a: AF.INET, b: 1, count: 1 })).code).toBe(
      'ENODEV',
    );
    expect(descriptors()).toBe(before);
  });

  it('makes interfaces with good names and sizes only', () => {
    broker.call(OP.ADD_STACK, { stack: 1 });
    const add = (text: string, a = 1500, b: number = CARRIER.VETH) => {
      const { result, fd } = broker.callForFd(OP.ADD_INTERFACE, { stack: 1, a, b, text });
      closeFd(fd);
      return result;
    };
    expect(add('vde0')).toBe(CARRIER.VETH);
    expect(failure(() => add('vde0')).code).toBe('EEXIST');
    for (const name of ['', '.', '..', 'a/b', 'a b', 'a:b', 'vde%d', 'sixteen-letters-', 'a\0b', 'a\n']) {
      expect(failure(() => add(name)).code, JSON.stringify(name)).toBe('EINVAL');
    }
    for (const mtu of [0, 67, 70_000, 0xffffffff])
      expect(failure(() => add('vde1', mtu)).code).toBe('EINVAL');
    expect(failure(() => add('vde1', 1500, 9)).code).toBe('EINVAL');
    expect(failure(() => add('lo')).code).toBe('EEXIST');
  });

  it('is deaf to the signals of a terminal and of a hurried user', () => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const)
      process.kill(broker.pid, signal);
    expect(broker.call(OP.PING).result).toBe(1);
  });

  it('tells of its death and answers ENETDOWN from then on', async () => {
    let ends = 0;
    broker.onEnd(() => ends++);
    process.kill(broker.pid, 'SIGKILL');
    await until('the news', () => !broker.alive);
    expect(ends).toBe(1);
    expect(failure(() => broker.call(OP.PING)).code).toBe('ENETDOWN');
  });

  it('is given up when it does not answer', () => {
    process.kill(broker.pid, 'SIGSTOP');
    try {
      expect(failure(() => broker.call(OP.PING))).toMatchObject({ code: 'ENETDOWN' });
      expect(broker.alive).toBe(false);
    } finally {
      process.kill(broker.pid, 'SIGCONT');
    }
  });
});

describe('what the broker is sent', () => {
  it('may be anything', () => {
    const [ours, theirs] = native().socketPair(5) as [number, number];
    const child = spawn(join(nativeDir, 'umvu-broker'), [], {
      stdio: ['ignore', 'ignore', 'inherit', theirs],
    });
    closeFd(theirs);
    const reply = new Uint8Array(1024);
    const fds = new Int32Array(8);
    const send = (bytes: Uint8Array): number => {
      const size = native().request(ours, bytes, reply, fds, 2000);
      expect(size).toBeGreaterThanOrEqual(12);
      return new DataView(reply.buffer).getInt32(0, true);
    };
    const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
    expect(send(words(1))).toBe(-22);
    expect(send(new Uint8Array(27))).toBe(-22);
    expect(send(new Uint8Array(28))).toBe(-22);
    expect(send(new Uint8Array(20_000))).toBe(-22);
    expect(send(words(1, 0, 0, 0, 0, 0, 4))).toBe(-22);
    expect(send(words(7, 0, 0, 0, 0, 0, 0xffffffff))).toBe(-22);
    let seed = 1;
    const random = (): number => (seed = (seed * 1103515245 + 12345) % 2147483648);
    for (let i = 0; i < 500; i++) {
      const bytes = Uint8Array.from({ length: 1 + (random() % 60) }, () => random() >> 8);
      expect(send(bytes)).toBeLessThan(0);
    }
    expect(send(words(1, 0, 0, 0, 0, 0, 0))).toBe(1);
    closeFd(ours);
    return until('its end', () => child.exitCode === 0);
  });
});

describe('when its supervisor ends, the broker', () => {
  const work = workDir('root');
  const servers: Server[] = [];
  const serve = (path: string) =>
    new Promise<void>((resolve) => servers.push(createServer().listen(path, () => resolve())));
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
    work.remove();
  });

  it('removes the sockets and directories that it owns, and nothing else', async () => {
    const path = (name: string) => join(work.path, name);
    for (const name of ['hub', 'disowned', 'strange', 'elsewhere']) mkdirSync(path(name));
    for (const name of ['hub/ctl', 'hub/fd7', 'disowned/ctl', 'strange/ctl', 'elsewhere/ctl', 'lone'])
      await serve(path(name));
    writeFileSync(path('strange/fd-file'), 'a file');
    symlinkSync(path('elsewhere/ctl'), path('strange/fd9'));
    symlinkSync(path('elsewhere'), path('link'));
    const broker = Broker.start();
    for (const name of ['hub', 'disowned', 'strange', 'lone']) broker.ownPath(path(name));
    broker.disownPath(path('disowned'));
    for (const name of ['link', 'nothing', 'strange/fd-file']) {
      expect(failure(() => broker.ownPath(path(name))).code, name).toMatch(/ENOTDIR|ENOENT/);
    }
    expect(failure(() => broker.ownPath('relative')).code).toBe('EINVAL');
    // As at the end of the supervisor: only the socket closes.
    await broker.close();
    const left = [
      'hub',
      'lone',
      'strange/ctl',
      'strange/fd-file',
      'strange/fd9',
      'disowned/ctl',
      'elsewhere/ctl',
      'link',
    ];
    expect(left.filter((name) => existsSync(path(name)))).toEqual([
      'strange/fd-file', 'strange/fd9', 'disowned/ctl', 'elsewhere/ctl', 'link',
    ]); // prettier-ignore
  });

  it('leaves a directory alone that took the place of its own', async () => {
    const work2 = workDir('root');
    const path = join(work2.path, 'hub');
    mkdirSync(path);
    const broker = Broker.start();
    broker.ownPath(path);
    renameSync(path, `${path}.old`);
    mkdirSync(path);
    await serve(join(path, 'ctl'));
    await broker.close();
    expect(existsSync(join(path, 'ctl'))).toBe(true);
    work2.remove();
  });
});
