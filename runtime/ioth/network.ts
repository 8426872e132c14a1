/**
 * The networks of a VM: who joins the same locator is on the same network, whose frames the addon switches in
 * process. Programs outside join through a VDE directory that a network serves, or are reached through an uplink.
 */
import { realpathSync, readFileSync } from 'node:fs';
import { basename, dirname, join as joinPath } from 'node:path';
import { Errno, errnoName } from '../errno.ts';
import { logger } from '../log.ts';
import { native, type NativeCapture, type NativeNetwork } from '../native.ts';
import { openClient, openPlug } from './uplink.ts';
import { parseVnl, type ServerVnl, type Vnl } from './vnl.ts';

const log = logger('ioth');

/** One user's part in a network. */
export interface Membership {
  readonly network: NativeNetwork;
  /** Calls `gone` once when `port`, which the caller added, fails or its peer hangs up. */
  onPortGone(port: number, gone: () => void): void;
  /** Leaves; the last one ends the network and removes the directory that it serves. Idempotent. */
  leave(): void;
}

export interface NetworksOptions {
  /**
   * Told of each directory that was created (`true`) and removed (`false`) on disk, so that somebody can clear it
   * away should this process be killed.
   */
  onPath?: (path: string, created: boolean) => void;
  /** Where relative paths in locators start. */
  cwd?: string;
  /** Records the interfaces of stacks on all networks. */
  capture?: NativeCapture;
}

/** Stands for the number of an uplink that is being opened. */
const OPENING = -1;

interface Entry {
  readonly key: string;
  readonly kind: 'hub' | 'switch';
  readonly network: NativeNetwork;
  readonly watchers: Map<number, () => void>;
  members: number;
  /** The directory that is served. */
  path?: string;
  /** Opens the way out; undefined where there is none. */
  openUplink?: () => Promise<number>;
  /** Settled when the network can be used; replaced when a lost uplink is opened anew. */
  ready: Promise<void>;
  uplink?: number;
}

/** The number of a group that is given by name or number. */
function groupId(group: string | undefined): number {
  if (group === undefined) return -1;
  if (/^\d{1,10}$/.test(group)) return Number(group);
  const line = readFileSync('/etc/group', 'latin1')
    .split('\n')
    .find((text) => text.startsWith(`${group}:`));
  const id = line?.split(':')[2];
  if (id === undefined) throw new Errno('EINVAL', `«${group}»: no such group`);
  return Number(id);
}

/** `path` without symbolic links in its parents, so that each directory has one name. */
function canonical(path: string): string {
  try {
    const parent = realpathSync.native(Buffer.from(dirname(path), 'latin1'), 'buffer').toString('latin1');
    return joinPath(parent, basename(path));
  } catch {
    return path; // it does not exist: who uses it will say so
  }
}

/** The networks of one VM (or of one user of the IoTh library). */
export class Networks {
  readonly #entries = new Map<string, Entry>();
  readonly #options: NetworksOptions;
  #closed = false;
  #sinks = 0;

  constructor(options: NetworksOptions = {}) {
    this.#options = options;
  }

  /**
   * Joins the network that `text`, a virtual network locator without interface name, names. Throws Errno with a
   * reason for people: EINVAL for a malformed locator, EEXIST for a directory that is in use, EPROTONOSUPPORT for an
   * unknown scheme, ENOENT and ECONNREFUSED for a switch that is not there.
   */
  async join(text: string): Promise<Membership> {
    if (this.#closed) throw new Errno('ENETDOWN', 'the virtual machine has ended');
    const vnl = parseVnl(text, this.#options.cwd === undefined ? {} : { cwd: this.#options.cwd });
    const entry = this.#find(vnl) ?? this.#create(vnl);
    entry.members++;
    try {
      if (entry.openUplink && !hasUplink(entry)) this.#connect(entry);
      await entry.ready;
      if (this.#closed) throw new Errno('ENETDOWN', 'the virtual machine has ended');
    } catch (error) {
      this.#leave(entry);
      throw error;
    }
    return this.#membership(entry);
  }

  /** Ends all networks. */
  close(): void {
    this.#closed = true;
    for (const entry of [...this.#entries.values()]) this.#end(entry);
  }

  #membership(entry: Entry): Membership {
    let left = false;
    return {
      network: entry.network,
      onPortGone: (port, gone) => void entry.watchers.set(port, gone),
      leave: () => {
        if (left) return;
        left = true;
        this.#leave(entry);
      },
    };
  }

  #leave(entry: Entry): void {
    if (--entry.members === 0) this.#end(entry);
  }

  #end(entry: Entry): void {
    if (!this.#entries.delete(entry.key)) return;
    entry.network.close();
    if (entry.path !== undefined) this.#options.onPath?.(entry.path, false);
  }

  /** The network of a locator, if somebody in this VM is on it already. */
  #find(vnl: Vnl): Entry | undefined {
    if (vnl.scheme === 'null') return undefined; // each is alone
    if (vnl.scheme === 'vde') {
      const served = vnl.paths.map((path) => this.#entries.get(`path ${canonical(path)}`)).find(Boolean);
      if (served) return served;
    }
    const found = this.#entries.get(this.#key(vnl));
    if (found && 'path' in vnl && found.kind !== vnl.scheme) {
      throw new Errno(
        'EEXIST',
        `${vnl.path} is a ${found.kind} of this virtual machine, not a ${vnl.scheme}`,
      );
    }
    return found;
  }

  #key(vnl: Vnl): string {
    switch (vnl.scheme) {
      case 'null':
        return `null ${++this.#sinks}`;
      case 'hub':
      case 'switch':
        return vnl.path === undefined ? `private ${vnl.text}` : `path ${canonical(vnl.path)}`;
      case 'vde':
        return `vde ${vnl.paths.map(canonical).join(' ')} ${vnl.port}`;
      case 'plug':
        return `plug ${vnl.text}`;
    }
  }

  #create(vnl: Vnl): Entry {
    const watchers = new Map<number, () => void>();
    const server = vnl.scheme === 'hub' || vnl.scheme === 'switch' ? vnl : undefined;
    const kind = server?.scheme ?? 'switch';
    const options = {
      hashSize: server?.hashSize ?? 256,
      expireSeconds: server?.expireSeconds ?? 120,
      ...(server?.link ? { link: server.link } : {}),
    };
    const network = new (native().Network)(kind, options, (port) => this.#portGone(entry, port));
    if (this.#options.capture) network.record(this.#options.capture, vnl.text);
    const entry: Entry = {
      key: this.#key(vnl),
      kind,
      network,
      watchers,
      members: 0,
      ready: Promise.resolve(),
    };
    if (server?.path !== undefined) this.#serve(entry, server, server.path);
    if (vnl.scheme === 'vde') entry.openUplink = () => openClient(network, vnl);
    if (vnl.scheme === 'plug') entry.openUplink = () => openPlug(network, vnl);
    this.#entries.set(entry.key, entry);
    return entry;
  }

  #serve(entry: Entry, vnl: ServerVnl, path: string): void {
    try {
      const result = entry.network.listen(path, vnl.mode, vnl.dirMode, groupId(vnl.group));
      if (result < 0) throw serveError(path, -result);
    } catch (error) {
      entry.network.close();
      throw error;
    }
    entry.path = path;
    this.#options.onPath?.(path, true);
  }

  /** Opens the uplink of `entry`, once for all that wait for it. */
  #connect(entry: Entry): void {
    entry.uplink = OPENING;
    entry.ready = entry.openUplink!().then(
      (port) => {
        entry.uplink = port;
      },
      (error: unknown) => {
        delete entry.uplink;
        throw error;
      },
    );
    // All who wait see the error; nobody may be left to do so after close().
    entry.ready.catch(() => undefined);
  }

  #portGone(entry: Entry, port: number): void {
    if (port === entry.uplink) {
      delete entry.uplink;
      log.warn(`${entry.key}: the connection to the network was lost; the next to join opens it again`);
      return;
    }
    const gone = entry.watchers.get(port);
    entry.watchers.delete(port);
    gone?.();
  }
}

/** True also while the uplink is being opened. That it was lost may be known to the addon before we are told. */
function hasUplink({ uplink, network }: Entry): boolean {
  return uplink !== undefined && (uplink === OPENING || network.stats(uplink) !== undefined);
}

function serveError(path: string, errno: number): Errno {
  if (errnoName(errno) === 'EEXIST') {
    return new Errno(
      'EEXIST',
      `${path} exists already; if another program serves a network there, join it with vde://${path}`,
    );
  }
  return new Errno(errno, `${path}: a network cannot be served here (${errnoName(errno)})`);
}
