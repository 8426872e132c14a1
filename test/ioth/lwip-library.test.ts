/** Programs on stacks in user space: what is special about them beside sockets.test.ts, node.test.ts and their like. */
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AF, SO, SOCK, SOL, inetAddress } from '../../runtime/ioth/index.ts';
import { exec } from '../helpers/exec.ts';
import { twoStacks } from '../helpers/stacks.ts';
import { tree } from '../helpers/tree.ts';
import { nodeCommand, umvuEnvironment } from '../helpers/umvu.ts';
import { becoming } from '../helpers/users.ts';

const two = twoStacks('lwip');

describe('a program on a stack in user space', () => {
  it('needs no privilege and no user namespace', async () => {
    // In a namespace of its own an ordinary user may forbid all others.
    const forbidden =
      'echo 0 > /proc/sys/user/max_user_namespaces && ! unshare -U true 2> /dev/null && exec "$@"';
    const node = [...nodeCommand(), join(tree(), 'dist/test/ioth/stack-worker.js'), 'library'];
    const words = [...becoming('an ordinary user'), 'unshare', '-Ur', 'sh', '-c', forbidden, 'sh', ...node];
    const [command, ...rest] = words;
    const { stdout, stderr } = await exec(command!, rest, { cwd: '/', env: umvuEnvironment('/tmp') });
    expect(stdout, stderr).toBe('{"text":"10.0.0.1","said":"echo"}\n');
  });

  it('is told of a reset: by its own sockets, and by those of Node', async () => {
    const listener = two.use(two.b.msocket(AF.INET, SOCK.STREAM));
    listener.bind(inetAddress('10.0.0.2', 0));
    listener.listen();
    const there = listener.getsockname() as { port: number };
    const reset = async (): Promise<void> => {
      const { socket } = await listener.accept();
      socket.setsockopt(SOL.SOCKET, SO.LINGER, new Uint8Array(Int32Array.of(1, 0).buffer));
      socket.close();
    };
    const own = two.use(two.a.msocket(AF.INET, SOCK.STREAM));
    await own.connect(inetAddress('10.0.0.2', there.port));
    const waiting = own.recv();
    await reset();
    await expect(waiting).rejects.toMatchObject({ code: 'ECONNRESET' });
    const nodes = two.a.net.connect(there.port, '10.0.0.2').resume();
    await once(nodes, 'connect');
    const failed = once(nodes, 'error');
    await reset();
    expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' });
  });

  it('can call off a connection that Node makes', async () => {
    const before = process.getActiveResourcesInfo().length;
    const nowhere = two.a.net.connect(1, '10.0.0.99');
    nowhere.destroy();
    await once(nowhere, 'close');
    const alive = two.a.net.connect({ port: 1, host: '10.0.0.99' });
    expect(alive.connecting).toBe(true);
    alive.destroy(new Error('enough'));
    expect((await once(alive, 'error'))[0]).toMatchObject({ message: 'enough' });
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before + 2);
  });

  it('closes half of a connection', async () => {
    const server = two.use(
      two.b.net.createServer({ allowHalfOpen: true }, (socket) => {
        let all = '';
        socket.on('data', (data: Buffer) => (all += data.toString()));
        socket.on('end', () => socket.end(`${all} and back`));
      }),
    );
    server.listen(0, '10.0.0.2');
    await once(server, 'listening');
    const client = two.a.net.connect((server.address() as { port: number }).port, '10.0.0.2');
    client.end('there');
    expect(await text(client)).toBe('there and back');
  });

  it('binds, connects and measures datagram sockets of Node', async () => {
    const server = two.use(two.b.dgram.createSocket('udp4'));
    await new Promise<void>((resolve) => server.bind(0, '10.0.0.2', resolve));
    const client = two.use(two.a.dgram.createSocket('udp4'));
    await new Promise<void>((resolve) => client.connect(server.address().port, '10.0.0.2', resolve));
    expect(client.remoteAddress()).toMatchObject({ address: '10.0.0.2', family: 'IPv4' });
    client.setRecvBufferSize(100_000);
    expect(client.getRecvBufferSize()).toBe(200_000);
    client.setTTL(3);
    await new Promise<void>((resolve, reject) =>
      client.send(['a', 'b'], (error, bytes) =>
        bytes === 2 ? resolve() : reject(error ?? new Error('short')),
      ),
    );
    expect(String((await once(server, 'message'))[0])).toBe('ab');
    const sent = new Promise((resolve) =>
      two.use(two.a.dgram.createSocket('udp4')).send('x', 1, '192.0.2.1', resolve),
    );
    expect(await sent).toMatchObject({ code: 'ENETUNREACH' });
  });
});
