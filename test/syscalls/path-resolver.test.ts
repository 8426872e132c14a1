/** The native path resolver, compared with a model of path_resolution(7) and with realpath(3) on random trees. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { native, PATH_FLAGS } from '../../runtime/native.ts';
import { SYS } from '../../runtime/syscalls/table.ts';

const AT_FDCWD = -100;
const bytes = (path: string): Buffer => Buffer.from(path, 'latin1');

function resolveWith(prefixes: string[], path: string, flags = 0, dirfd = AT_FDCWD): string | undefined {
  return new (native().PathTable)(prefixes).resolve(process.pid, process.pid, dirfd, path, flags);
}

/** Small generator of numbers with a seed (mulberry32), so that a failure can be repeated. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

function linkText(path: string): string | undefined {
  try {
    return fs.readlinkSync(bytes(path), 'latin1');
  } catch {
    return undefined;
  }
}

function look(path: string): fs.Stats | undefined {
  try {
    return fs.lstatSync(bytes(path || '/'));
  } catch {
    return undefined;
  }
}

/** The same question answered slowly: where the path first meets `claim`, or where it ends. */
function model(
  start: string,
  path: string,
  claim: string,
  noFollow: boolean,
): { answer?: string; end?: string } {
  let at = path.startsWith('/') ? '' : start;
  let rest = path;
  if (`${at}/`.startsWith(`${claim}/`)) return { answer: `${claim}\0${at.slice(claim.length)}/${path}` };
  let missing = false;
  for (let links = 0; ;) {
    const [, name = '', tail = ''] = /^\/*([^/]*)(.*)$/s.exec(rest) ?? [];
    if (name === '') return missing ? {} : { end: at || '/' };
    const last = !/[^/]/.test(tail);
    rest = tail;
    if (name === '.') continue;
    if (name === '..') {
      if (missing || !look(at)?.isDirectory()) return {};
      at = at.slice(0, Math.max(at.lastIndexOf('/'), 0));
      continue;
    }
    const here = `${at}/${name}`;
    // Slashes between components do not matter.
    if (here === claim) return { answer: rest === '' ? here : `${here}\0${rest.replace(/^\/+/, '/')}` };
    if (last && rest === '' && noFollow) return { end: here };
    const text = missing ? undefined : linkText(here);
    if (text !== undefined) {
      if (++links > 40) return {};
      if (text.startsWith('/')) at = '';
      rest = text + rest;
      continue;
    }
    if (!missing && !look(here)) missing = true;
    if (missing && !claim.startsWith(`${here}/`)) return {};
    at = here;
  }
}

/** Normal form of the rest of an answer, for both sides: the kernel does not care about its slashes and dots. */
function plain(answer: string | undefined): string | undefined {
  if (answer === undefined) return undefined;
  const [head = '', rest] = answer.split('\0');
  if (rest === undefined) return head;
  const parts = rest.split('/').filter((part) => part !== '' && part !== '.');
  const directory = /(^|\/)\.?$/.test(rest) || parts.at(-1) === '..';
  return `${head}\0${parts.map((part) => `/${part}`).join('')}${directory ? '/' : ''}`;
}

const NAMES = ['a', 'b', 'c', 'dir', 'lnk', '\xff\xfe', 'x y'];

/** A tree of directories, files and links of every kind; its directories, and everything in it. */
function makeTree(root: string, pick: (below: number) => number): { dirs: string[]; all: string[] } {
  const dirs = [root];
  const all = [root];
  const any = <T>(list: readonly T[]): T => list[pick(list.length)]!;
  const target = (): string => {
    const where = any([
      () => any(NAMES),
      () => `../${any(NAMES)}`,
      () => any(all),
      () => '../..',
      () => `${any(all)}/`,
      () => `./${any(NAMES)}/../${any(NAMES)}`,
    ]);
    return where();
  };
  for (let i = 0; i < 40; i++) {
    const path = `${any(dirs)}/${any(NAMES)}`;
    if (look(path)) continue;
    const kind = pick(10);
    if (kind < 4) {
      fs.mkdirSync(bytes(path));
      dirs.push(path);
    } else if (kind < 6) fs.writeFileSync(bytes(path), '');
    else fs.symlinkSync(bytes(target()), bytes(path));
    all.push(path);
  }
  return { dirs, all };
}

function randomPath(root: string, pick: (below: number) => number): string {
  const count = 1 + pick(6);
  const parts = Array.from({ length: count }, () =>
    pick(5) === 0 ? '..' : pick(9) === 0 ? '.' : NAMES[pick(NAMES.length)]!,
  );
  const path = parts.join(pick(8) === 0 ? '//' : '/') + (pick(6) === 0 ? '/' : '');
  return pick(3) === 0 ? path : `${root}/${path}`;
}

describe('random trees', () => {
  let top: string;
  const home = process.cwd();
  beforeAll(() => {
    top = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'umvu-path-')));
  });
  afterAll(() => {
    process.chdir(home);
    fs.rmSync(top, { recursive: true });
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('seed %i', (seed) => {
    const pick = random(seed);
    const root = join(top, String(seed));
    fs.mkdirSync(root);
    const { dirs, all } = makeTree(root, pick);
    let met = 0;
    for (let i = 0; i < 1500; i++) {
      const start = dirs[pick(dirs.length)]!;
      expect(native().syscall(SYS.chdir, start)).toBe(0);
      const path = randomPath(root, pick);
      const noFollow = pick(3) === 0;
      // A claim may also lie where there is nothing, and nothing on the way to it either.
      const claim =
        pick(4) === 0
          ? `${dirs[pick(dirs.length)]}/new/${NAMES[pick(NAMES.length)]}`
          : all[pick(all.length)]!;
      const { answer, end } = model(start, path, claim, noFollow);
      for (const own of [0, PATH_FLAGS.ownRoot]) {
        const flags = own | (noFollow ? PATH_FLAGS.noFollow : 0);
        const found = resolveWith([claim], path, flags);
        expect(plain(found), JSON.stringify({ seed, i, start, path, claim, flags })).toBe(plain(answer));
      }
      if (answer !== undefined) met++;
      // The model itself, against the C library.
      if (end !== undefined && !noFollow && answer === undefined) {
        let real: string | undefined;
        try {
          real = fs.realpathSync.native(bytes(path.startsWith('/') ? path : `${start}/${path}`), 'latin1');
        } catch {
          real = undefined;
        }
        if (real !== undefined) expect(real).toBe(end);
      }
    }
    expect(met).toBeGreaterThan(20);
  });
});

describe('the proc file system', () => {
  const me = process.pid;
  const claims = ['/proc/*/net', '/proc/*/task/*/net', '/etc/resolv.conf', '/proc/*/mounts'];

  test.each([
    ['/proc/self/net/tcp', `/proc/${me}/net\0/tcp`],
    ['/proc/net', `/proc/${me}/net`],
    ['/proc/thread-self/net/', `/proc/${me}/task/${me}/net\0/`],
    ['/proc/mounts', `/proc/${me}/mounts`],
    ['/etc/mtab', `/proc/${me}/mounts`],
    ['/proc/1/mounts', '/proc/1/mounts'],
    ['/proc/self/root/etc/resolv.conf', '/etc/resolv.conf'],
    ['/proc/self/root/../proc/./net/dev', `/proc/${me}/net\0/dev`],
    ['/proc/self/stat', undefined],
    ['/proc/self/exe', undefined],
    ['/proc/self/ns/net', undefined],
    ['/etc/passwd/../resolv.conf', undefined],
    ['/etc/missing/../resolv.conf', undefined],
    ['', undefined],
  ])('%s', (path, expected) => {
    if (path === '/etc/mtab' && !fs.existsSync(path)) return;
    expect(resolveWith(claims, path)).toBe(expected);
    expect(resolveWith(claims, path, PATH_FLAGS.ownRoot)).toBe(expected);
  });

  test('a descriptor leads to what it is open on', () => {
    const fd = fs.openSync('/etc', 'r');
    try {
      expect(resolveWith(claims, 'resolv.conf', 0, fd)).toBe('/etc/resolv.conf');
      expect(resolveWith(claims, `/proc/self/fd/${fd}/resolv.conf`)).toBe('/etc/resolv.conf');
      expect(resolveWith(claims, 'hosts', 0, fd)).toBeUndefined();
    } finally {
      fs.closeSync(fd);
    }
    expect(resolveWith(claims, 'resolv.conf', 0, 9999)).toBeUndefined();
  });

  test('a link that is meant itself is not followed', () => {
    expect(resolveWith(claims, '/proc/net', PATH_FLAGS.noFollow)).toBeUndefined();
    expect(resolveWith(claims, '/proc/net/', PATH_FLAGS.noFollow)).toBe(`/proc/${me}/net\0/`);
  });

  test('the root directory itself can be claimed', () => {
    expect(resolveWith(['/'], '/')).toBe('/');
    expect(resolveWith(['/'], '/etc/./hosts')).toBe('/\0/etc/hosts');
    expect(resolveWith(['/'], '/proc/self')).toBe('/\0/proc/self');
  });

  test('a process that is gone, wild addresses and endless strings are left to the kernel', () => {
    const table = new (native().PathTable)(claims);
    expect(table.resolve(2 ** 22 - 1, 1, AT_FDCWD, 'resolv.conf', 0)).toBeUndefined();
    expect(table.resolve(process.pid, process.pid, AT_FDCWD, 1, 0)).toBeUndefined();
    expect(table.resolve(process.pid, process.pid, AT_FDCWD, -1, 0)).toBeUndefined();
    expect(table.resolve(process.pid, process.pid, AT_FDCWD, '/x'.repeat(5000), 0)).toBeUndefined();
  });
});
