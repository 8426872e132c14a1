/** Programs of Debian as peers on a network of ours: a network namespace with an interface that is a port of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from '../../runtime/errno.ts';
import type { IothHost } from '../../runtime/ioth/host.ts';
import { newNetns, type Netns } from './netns.ts';

export interface Peer extends Netns {
  /** A folder for the files of its programs. */
  readonly dir: string;
  /** Starts a program, and waits until what it writes (on either stream) matches. */
  start(ready: RegExp, ...command: string[]): Promise<{ output: () => string; stop: () => Promise<void> }>;
}

/** A peer on the network `vnl` of `host`, with the interface eth0 and these addresses. */
export async function newPeer(host: IothHost, vnl: string, ...addresses: string[]): Promise<Peer> {
  const membership = await host.networks.join(vnl);
  const netns = await newNetns();
  const dir = mkdtempSync(join(tmpdir(), 'peer-'));
  const fd = await netns.device(process.getuid?.() === 0 ? 'tap' : 'veth', 'eth0', false);
  const kind = process.getuid?.() === 0 ? 'tap' : 'packet';
  check(membership.network.addPort({ kind, fd, vnetHeader: false }));
  for (const address of addresses) {
    const nodad = address.includes(':') ? ['nodad'] : [];
    await netns.run('ip', 'addr', 'add', address, 'dev', 'eth0', ...nodad);
  }
  await netns.run('ip', 'link', 'set', 'eth0', 'up');
  return {
    ...netns,
    dir,
    async start(ready, ...command) {
      const child = netns.spawn(...command);
      let text = '';
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      await new Promise<void>((resolve, reject) => {
        const heard = (data: Buffer): void => {
          text += data.toString();
          if (ready.test(text)) resolve();
        };
        child.stdout.on('data', heard);
        child.stderr.on('data', heard);
        child.once('exit', (code) => reject(new Error(`${command.join(' ')}: exit ${code}: ${text}`)));
        setTimeout(() => reject(new Error(`${command[0]} is not ready: ${text}`)), 8000).unref();
      });
      return {
        output: () => text,
        stop: () => {
          child.kill('SIGTERM');
          return ended;
        },
      };
    },
    async close() {
      await netns.close();
      membership.leave();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
