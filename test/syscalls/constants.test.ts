import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';
import * as constants from '../../runtime/syscalls/constants.ts';
import { strerror } from '../../runtime/syscalls/strerror.ts';
import { Workshop } from '../helpers/cc.ts';

const workshop = new Workshop();
afterAll(() => workshop.close());

const HEADERS = [
  'stdio.h',
  'string.h',
  'fcntl.h',
  'unistd.h',
  'sys/stat.h',
  'sys/mount.h',
  'sys/socket.h',
  'sys/inotify.h',
  'sys/xattr.h',
  'sys/prctl.h',
  'netinet/in.h',
  'netinet/tcp.h',
  'linux/openat2.h',
  'linux/netlink.h',
  'linux/if_ether.h',
  'linux/sockios.h',
];
/** Names that are enumerators in the headers, so the preprocessor cannot ask for them; all of the headers have them. */
const ENUMERATED = /^(SOCK|IPPROTO|SHUT|MS|MSG|MNT|UMOUNT)_/;
/** Not in the headers of Debian 12, or with another meaning for programs than for the kernel. */
const OTHERWISE = ['MS_NOSYMFOLLOW', 'MS_LAZYTIME', 'O_LARGEFILE', 'IPPROTO_MPTCP'];

const groups = Object.entries(constants).filter(
  ([name, group]) => typeof group === 'object' && !['VU', 'SIG'].includes(name),
) as [string, constants.Names][];

test('numbers are those of the headers', () => {
  const checks = groups.flatMap(([, names]) =>
    Object.entries(names)
      .filter(([name]) => !OTHERWISE.includes(name))
      .map(([name, value]) => {
        const check = `if ((unsigned)(${name}) != ${value >>> 0}u) puts("${name}");`;
        return ENUMERATED.test(name) ? check : `#ifdef ${name}\n${check}\n#endif`;
      }),
  );
  const includes = HEADERS.map((header) => `#include <${header}>`);
  const source = ['#define _GNU_SOURCE', ...includes, 'int main(void) {', ...checks, 'return 0; }', ''].join(
    '\n',
  );
  const program = workshop.compile('constants', source);
  expect(execFileSync(program, { encoding: 'utf8' })).toBe('');
  expect(checks.length).toBeGreaterThan(200);
});

test('operations of vuctl are those of guests/include/vu.h', () => {
  const header = readFileSync(join(projectRoot, 'guests/include/vu.h'), 'utf8');
  const operations = Array.from(header.matchAll(/^\t(VU_\w+) = (\d+)/gm), ([, name, value]) => [
    name,
    Number(value),
  ]);
  expect(Object.fromEntries(operations)).toEqual(constants.VU);
});

test('the words of errors are those of the C library', () => {
  const source = `
#include <stdio.h>
#include <string.h>
int main(void) { for (int i = 1; i < 140; i++) puts(strerror(i)); return 0; }
`;
  const words = execFileSync(workshop.compile('strerror', source), { encoding: 'utf8' })
    .trimEnd()
    .split('\n');
  expect(Array.from({ length: 139 }, (_, index) => strerror(index + 1))).toEqual(words);
});
