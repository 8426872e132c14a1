/**
 * What calls with paths cost: single ones beside a notification that C answers, and whole programs beside the same
 * without umvu. Where they are installed, proot(1) and strace(1) run in the same rounds.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { median, ratioTarget, type Figure } from './figure.ts';
import { PINNED, type Surroundings } from './surroundings.ts';

const ROUNDS = 5;
/** Of programs, which take longer. */
const LONG_ROUNDS = 3;
/** Most that a call may cost, in notifications answered by C: of a path outside of all mounts, and in one. */
const OUTSIDE = 2.5;
const INSIDE = 4;
/** Most that reading, writing and mapping may cost beside the same without umvu. */
const DATA = 1.03;
const LISTING = 3;
const ENTRIES = 100_000;

/** Milliseconds or nanoseconds by name of what was measured, a number for each round. */
class Costs {
  readonly #rounds = new Map<string, number[]>();

  /** Adds the lines "NAME NUMBER" of `output`; all their names begin with `prefix` then. */
  add(prefix: string, output: string): void {
    for (const line of output.trim().split('\n')) {
      const [name = '', value] = line.split(' ');
      const key = `${prefix} ${name}`;
      this.#rounds.set(key, [...(this.#rounds.get(key) ?? []), Number(value)]);
    }
  }

  of(prefix: string, name: string): number {
    return median(this.#rounds.get(`${prefix} ${name}`) ?? []);
  }
}

const has = (program: string): boolean => spawnSync('which', [program]).status === 0;

/** Other tools that see every path, and the words that start a program under them. */
const OTHERS = { proot: ['proot'], strace: ['strace', '-f', '-qq', '-o', '/dev/null'] };
const others = Object.entries(OTHERS).filter(([name]) => has(name));

/** The words that run a program in umvu after the mounts that `script` makes. */
const mounted = (at: Surroundings, script: string): string[] =>
  at.umvu('-m', 'vufs', '--', 'sh', '-ec', `${script}; exec "$0" "$@"`);

const figure = (
  what: string,
  unit: Figure['unit'],
  reference: number,
  umvu: number,
  most?: number,
): Figure => ({
  what,
  unit,
  reference,
  umvu,
  ...(most === undefined ? {} : { target: ratioTarget(reference, umvu, { most }) }),
});

/** stat and open+close, by where the path is. */
async function calls(at: Surroundings): Promise<Figure[]> {
  const costs = new Costs();
  const micro = async (prefix: string, words: readonly string[], ...args: string[]): Promise<void> =>
    costs.add(prefix, await at.run([...PINNED, ...words, at.micro, ...args], { first: true }));
  const bind = `vumount -t vufs /usr ${at.dir}/seen`;
  const cow = `${clean('up')}; vumount -t vufs -o cow up /usr`;
  const there = ['env', `MICRO_PATH=${at.dir}/seen/bin/env`];
  for (let round = 0; round < ROUNDS; round++) {
    await micro('C', [], 'unotify');
    await micro('native', [], 'stat', 'open_close');
    for (const [name, words] of others) await micro(name, words, 'stat', 'open_close');
    await micro('outside', mounted(at, bind), 'stat', 'open_close');
    await micro('bind', [...mounted(at, bind), ...there], 'stat', 'open_close');
    await micro('cow', mounted(at, cow), 'stat', 'open_close');
  }
  const beside = (name: string, where: string, most: number): Figure =>
    figure(
      `${name}, ${where} / notification in C`,
      'ns',
      costs.of('C', 'unotify'),
      costs.of(where, name),
      most,
    );
  return ['stat', 'open_close'].flatMap((name) => [
    beside(name, 'outside', OUTSIDE),
    beside(name, 'bind', INSIDE),
    beside(name, 'cow', INSIDE),
    figure(`${name}, cow / native`, 'ns', costs.of('native', name), costs.of('cow', name)),
    ...others.map(([other]) =>
      figure(
        `${name}, cow / ${other}`,
        'ns',
        costs.of(other, name),
        costs.of('cow', name),
        other === 'proot' ? 0.5 : 1,
      ),
    ),
  ]);
}

/** What is done to a file that was opened through a mount. */
async function data(at: Surroundings): Promise<Figure[]> {
  const costs = new Costs();
  const names = ['read_file', 'write_file', 'mmap_file'];
  const run = async (prefix: string, words: readonly string[], path: string): Promise<void> => {
    const all = [...PINNED, ...words, 'env', `MICRO_PATH=${at.dir}/${path}/data`, at.micro, ...names];
    costs.add(prefix, await at.run(all, { first: true }));
  };
  for (const name of ['tree', 'seen', 'up']) mkdirSync(join(at.dir, name), { recursive: true });
  at.program('tree/data', 'x'.repeat(65536));
  for (let round = 0; round < ROUNDS; round++) {
    await run('native', [], 'tree');
    await run('bind', mounted(at, 'vumount -t vufs tree seen'), 'seen');
    await run('cow', mounted(at, `${clean('up')}; vumount -t vufs -o cow up tree`), 'tree');
  }
  return ['bind', 'cow'].flatMap((where) =>
    names.map((name) =>
      figure(`${name}, 64 KiB, ${where}`, 'ns', costs.of('native', name), costs.of(where, name), DATA),
    ),
  );
}

/** Makes an empty directory. */
const clean = (...names: string[]): string => `rm -rf ${names.join(' ')}; mkdir ${names.join(' ')}`;

/** Most that programs may take, beside the same without umvu. */
const PROGRAMS = { make: 1.2, git: 1.2, find: 4, tar: 4, rsync: undefined } as const;

/** Times what programs do in the directory `work`, which has a project and a repository. */
const WORK = `now() { date +%s%N; }
timed() { name=$1; shift; t=$(now); "$@" >/dev/null 2>&1 || exit 1; echo $name $((($(now) - t) / 1000)); }
cd work
timed make make -s -j2 -C project
timed git sh -c 'git clone -q --no-local repository clone && git -C clone status --porcelain'
timed find find /usr/share -type f
timed tar tar cf - /usr/share/doc
timed rsync rsync -a project/ copy/
rm -rf clone copy project/*.o project/prog
`;

/** A project of sixty files in C and a repository of three hundred files. */
const PREPARE = `set -e; export HOME=$PWD GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
${clean('work', 'up', 'up2')}; mkdir work/project work/repository; cd work/project
for i in $(seq 60); do
  { echo '#include <stdio.h>'; echo '#include <stdlib.h>'; echo '#include <string.h>'; for k in $(seq 12); do
    echo "int f\${i}_$k(int x) { char b[64]; for (int i = 0; i < x; i++) if (i % 7 == 3) x ^= i * $k; snprintf(b, sizeof b, \\"%d\\", x); return strlen(b); }"
  done; } > f$i.c
done
echo 'int main(void) { return 0; }' > main.c
printf 'OBJS=$(patsubst %%.c,%%.o,$(wildcard *.c))\\nCFLAGS=-O1\\nprog: $(OBJS)\\n\\t$(CC) -o $@ $^\\n' > Makefile
cd ../repository; git init -q -b main .
for i in $(seq 300); do mkdir -p d$((i % 20)); seq $((i * 7)) $((i * 7 + 100)) > d$((i % 20))/f$i; done
git add -A; git commit -q -m all
`;

/** Real programs in a copy-on-write mount of /usr and of where they work. */
async function programs(at: Surroundings): Promise<Figure[]> {
  const costs = new Costs();
  const work = at.program('work.sh', WORK);
  await at.run(['bash', at.program('prepare.sh', PREPARE)]);
  // Under strace they take minutes.
  const proot = others.filter(([name]) => name === 'proot');
  const cow = `${clean('up', 'up2')}; vumount -t vufs -o cow up /usr; vumount -t vufs -o cow up2 work`;
  const run = async (prefix: string, words: readonly string[]): Promise<void> =>
    costs.add(prefix, await at.run([...PINNED, ...words, 'bash', work], { timeout: 120_000 }));
  for (let round = 0; round < LONG_ROUNDS; round++) {
    await run('native', []);
    await run('cow', mounted(at, cow));
    for (const [name, words] of proot) await run(name, words);
  }
  return Object.entries(PROGRAMS).flatMap(([name, most]) => [
    figure(`${name}, cow`, 'µs', costs.of('native', name), costs.of('cow', name), most),
    ...proot.map(([other]) =>
      figure(`${name}, cow / ${other}`, 'µs', costs.of(other, name), costs.of('cow', name), 1),
    ),
  ]);
}

/** A large directory that is merged of two, and what it costs in memory. */
async function listing(at: Surroundings): Promise<Figure[]> {
  const costs = new Costs();
  const make = (name: string, from: number, step: number): string =>
    `mkdir ${name}; cd ${name}; seq -f entry-%.0f ${from} ${step} ${ENTRIES} | xargs touch; cd ..`;
  await at.run(['sh', '-ec', `${make('whole', 1, 1)}; ${make('odd', 1, 2)}; ${make('even', 2, 2)}`]);
  const timed = (name: string, directory: string): string =>
    `for i in 1 2 3; do t=$(date +%s%N); ls ${directory} | wc -l | grep -qx ${ENTRIES}; echo ${name} $((($(date +%s%N) - t) / 1000)); done`;
  const resident = 'keeper=$PPID; supervisor=$(awk "/^PPid/ { print \\$2 }" /proc/$keeper/status)';
  const memory = 'awk "/^VmRSS/ { print \\"memory\\", \\$2 / 1024 }" /proc/$supervisor/status';
  const merged = `${resident}; ${memory}; vumount -t vufs -o merge odd even; ${timed('list', 'even')}; ${memory}`;
  for (let round = 0; round < LONG_ROUNDS; round++) {
    costs.add('native', await at.run([...PINNED, 'sh', '-ec', timed('list', 'whole')]));
    const output = await at.run([...PINNED, ...at.umvu('-m', 'vufs', '--', 'sh', '-ec', merged)]);
    const [before = '', ...rest] = output.trim().split('\n');
    costs.add('before', before);
    costs.add('merge', rest.join('\n'));
  }
  return [
    figure(
      `ls of ${ENTRIES} entries, merged`,
      'µs',
      costs.of('native', 'list'),
      costs.of('merge', 'list'),
      LISTING,
    ),
    figure(
      '… memory of the supervisor before and after',
      'MiB',
      costs.of('before', 'memory'),
      costs.of('merge', 'memory'),
    ),
  ];
}

export const PATHS: Record<string, (at: Surroundings) => Promise<Figure[]>> = {
  'paths-calls': calls,
  'paths-data': data,
  'paths-programs': programs,
  'paths-listing': listing,
};

/** All of it. */
export async function paths(at: Surroundings): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const part of Object.values(PATHS)) figures.push(...(await part(at)));
  return figures;
}
