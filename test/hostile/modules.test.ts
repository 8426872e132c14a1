/** Modules that do not keep to their contract: the caller gets EIO, the log says why, and the VM goes on. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { umvu } from '../helpers/umvu.ts';
import { USERS, workDir } from '../helpers/users.ts';

const who = USERS.at(-1)!;
const work = workDir(who);
afterAll(work.remove);

const NODE = `{ attributes: { mode: 0o100644, uid: 0, gid: 0, ino: 1, time: 0, size: 0 }, changeable: false, open() {} }`;
/** Module files by name: what stands for the body of create(). */
const MODULES: Record<string, string> = {
  throws: `throw new Error('boom')`,
  rejects: `return Promise.reject(new RangeError('boom'))`,
  nothing: ``,
  number: `return 7`,
  wrong: `return { mount: 'no function' }`,
  never: `return new Promise(() => {})`,
  mounts: `return { mount(request) {
    const { type, source, target, data: options } = request;
    const good = { type, source, target, options, node: ${NODE}, unmount() {} };
    switch (options) {
      case 'throws': throw new Error('boom');
      case 'rejects': return Promise.reject(new RangeError('boom'));
      case 'never': return new Promise(() => {});
      case 'nothing': return;
      case 'target': return { ...good, target: '/' };
      case 'node': return { ...good, node: {} };
      case 'unmount': return { ...good, unmount: 3 };
      case 'throwing-unmount': return { ...good, unmount() { throw new Error('stays') } };
      case 'hanging-unmount': return { ...good, unmount: () => new Promise(() => {}) };
    }
    return good;
  } }`,
  closes: `return { close() { throw new Error('stays') } }`,
  hangs: `return { close: () => new Promise(() => {}) }`,
  rejecting: `setTimeout(() => { void Promise.reject(new Error('lost')) }); return {}`,
  fatal: `setTimeout(() => { throw new Error('lost') }, 100); return {}`,
};
const STACK = `export default { name: 'sick', summary: '', create({ options: { kind } }) {
  if (kind === 'nothing') return;
  const socket = () => { if (kind === 'throws') throw new Error('boom'); return kind === 'number' ? NaN : undefined };
  return { driver: 'sick', isHost: false, families: new Set([2]), view: {}, socket, inUse: () => false, async close() {} };
} }`;

beforeAll(() => {
  for (const [name, body] of Object.entries(MODULES))
    writeFileSync(
      join(work.path, `${name}.js`),
      `export default { name: '${name}', summary: '', syscalls: [], create() { ${body} } }\n`,
    );
  writeFileSync(join(work.path, 'sick.js'), STACK);
  writeFileSync(join(work.path, 'broken.js'), 'export default {');
  writeFileSync(join(work.path, 'empty.js'), '');
  writeFileSync(join(work.path, 'exploding.js'), 'throw new Error("boom")');
});

const inside = (body: string) => umvu(['bash', '-c', body], { as: who, cwd: work.path, timeout: 15_000 });

describe('a module', () => {
  it.each(['throws', 'rejects', 'nothing', 'number', 'wrong'])(
    'whose create() is wrong: %s',
    async (name) => {
      const { code, stdout, stderr } = await inside(`vu_insmod ./${name}.js; echo $?; vu_lsmod`);
      expect({ code, stdout }).toEqual({ code: 0, stdout: '1\n' });
      expect(stderr).toMatch(
        /^umvu: internal error in vuctl: (RangeError|TypeError|Error): (boom|create\(\) of module)/,
      );
      expect(stderr).toMatch(new RegExp(`^vu_insmod: ./${name}.js: internal error$`, 'm'));
    },
  );

  it.each([
    ['broken', 'cannot be loaded: Unexpected end of input'],
    ['empty', 'has no default export made with defineModule() or defineStack()'],
    ['exploding', 'cannot be loaded: boom'],
  ])('whose file is wrong: %s', async (name, why) => {
    const { code, stderr } = await inside(`vu_insmod ./${name}.js`);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `vu_insmod: ./${name}.js: module «./${name}.js» ${why}\n`,
    });
  });

  it('that never arrives: its callers can be interrupted and killed', async () => {
    const { stdout } = await inside(
      'timeout -s INT 0.3 vu_insmod ./never.js; echo $?; vu_insmod ./mounts.js; timeout -s KILL 0.3 vumount -t mounts -o never none /dev/net/x; echo $?; vumount',
    );
    expect(stdout).toBe('124\n137\n');
  });

  it.each(['throws', 'rejects', 'nothing', 'target', 'node', 'unmount'])(
    'whose mount() is wrong: %s',
    async (how) => {
      const { code, stdout, stderr } = await inside(
        `vu_insmod ./mounts.js; vumount -t mounts -o ${how} none /dev/net/x; echo $?; vumount; ls -d /; vu_rmmod mounts`,
      );
      expect({ code, stdout }).toEqual({ code: 0, stdout: '1\n/\n' });
      expect(stderr).toMatch(
        /^umvu: internal error in mount: (RangeError|TypeError|Error): (boom|mount\(\) of type)/,
      );
      expect(stderr).toMatch(/^vumount: \/dev\/net\/x: internal error$/m);
    },
  );

  it('that does not unmount or close does not hold up the end', async () => {
    const { code, stderr, timedOut } = await inside(
      `for m in mounts closes hangs; do vu_insmod ./$m.js; done
       vumount -t mounts -o throwing-unmount none /dev/net/x; vumount -t mounts -o hanging-unmount none /dev/net/y`,
    );
    expect({ code, timedOut }).toEqual({ code: 0, timedOut: false });
    expect(stderr.split('\n').sort().join('\n').trim()).toBe(
      [
        'umvu: warn: vm: closing module «closes»: stays',
        'umvu: warn: vm: closing module «hangs»: not done after 3000 ms',
        'umvu: warn: vm: unmounting /dev/net/x: stays',
        'umvu: warn: vm: unmounting /dev/net/y: not done after 3000 ms',
      ].join('\n'),
    );
  });

  it('whose stack is wrong', async () => {
    const { stdout, stderr } = await inside(
      `vu_insmod vunetioth; vu_insmod ./sick.js
       for kind in nothing number throws else; do
         vumount -t vunetioth "sick,kind=$kind" /dev/net/$kind
         vustack /dev/net/$kind bash -c 'exec 3<>/dev/udp/127.0.0.1/9' 2>&1 | grep -o '[^:]*error$' | uniq
       done`,
    );
    expect(stdout).toBe(' Input/output error\n'.repeat(3));
    expect(stderr).toContain('TypeError: create() of stack «sick» returned no Stack');
    expect(stderr).toContain('TypeError: no descriptor: NaN');
  });

  it('that rejects a promise which nobody waits for', async () => {
    const { code, stdout, stderr } = await inside('vu_insmod ./rejecting.js; sleep 0.2; echo alive');
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'alive\n' });
    expect(stderr).toMatch(/^umvu: internal error \(a promise was rejected\): Error: lost/);
  });

  it('that throws in the middle of nowhere ends the VM with status 125, and its guests', async () => {
    const { code, signal, stderr } = await inside(
      'vu_insmod ./fatal.js; trap "" TERM; sleep 100 & sleep 100',
    );
    expect({ code, signal }).toEqual({ code: 125, signal: null });
    expect(stderr).toMatch(/^umvu: internal error, the virtual machine ends: Error: lost/);
    expect(stderr).toMatch(/^umvu: the virtual machine was ended because of an internal error$/m);
  });
});
