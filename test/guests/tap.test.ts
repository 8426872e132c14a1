/** The self-checking guests of guests/tap, natively and under umvu, in their glibc, static and musl builds. */
import { existsSync } from 'node:fs';
import { describe } from 'vitest';
import { tapTests } from '../helpers/tap.ts';

const SHARED = ['sockets-basic', 'wild-pointers', 'threads', 'forks'];
const DYNAMIC = [...SHARED, 'signals', 'io_uring', 'own-seccomp', 'x32', 'race'];
/** The Makefile builds these where it finds the compiler. */
const MUSL = existsSync('/usr/bin/musl-gcc') ? [...SHARED, 'signals'] : [];

describe('with a module whose calls are trapped', () => {
  for (const name of [
    ...DYNAMIC,
    ...SHARED.map((name) => `static-${name}`),
    ...MUSL.map((name) => `musl-${name}`),
  ])
    tapTests(name, { umvuArgs: ['-m', 'vunetioth'], timeout: 60_000 });
});
