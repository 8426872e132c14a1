/** The commands for guests, outside and inside of umvu, as far as they need no stack. */
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guestBinDir, projectRoot } from '../../runtime/native.ts';
import { exec, type ExecResult } from '../helpers/exec.ts';
import { umvu } from '../helpers/umvu.ts';
import { workDir } from '../helpers/users.ts';

const work = workDir('root');
afterAll(() => work.remove());

const COMMANDS = ['vumount', 'vuumount', 'vustack', 'vu_insmod', 'vu_rmmod', 'vu_lsmod', 'vuname'] as const;

/** Runs a command outside of umvu. */
const outside = (name: string, ...args: string[]): Promise<ExecResult> =>
  exec(join(guestBinDir, name), args, { cwd: work.path });

/** Runs shell commands in umvu. */
const inside = (script: string, ...modules: string[]): Promise<ExecResult> =>
  umvu([...modules.flatMap((module) => ['-m', module]), '--', 'sh', '-c', script]);

describe.each(COMMANDS)('%s', (name) => {
  it('explains itself on standard output', async () => {
    const { code, stdout, stderr } = await outside(name, '--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^usage: ${name} .*\n[^]*--help`));
  });

  it('says what is wrong with its arguments, and exits with 2', async () => {
    for (const option of ['-Z', '--no-such']) {
      const { code, stdout, stderr } = await outside(name, option);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(new RegExp(`^${name}: unknown option ${option}\nusage: ${name}`));
    }
  });

  it('is static and needs no library', async () => {
    const { stdout } = await exec('readelf', ['--program-headers', join(guestBinDir, name)]);
    expect(stdout).toContain('LOAD');
    expect(stdout).not.toMatch(/INTERP|DYNAMIC/);
  });
});

describe('outside of umvu', () => {
  it.each([
    ['vumount'],
    ['vumount', '-t', 'tmpfs', 'none', '/mnt'],
    ['vuumount', '/no/such/place'],
    ['vustack', '/dev/net/x', 'true'],
    ['vustack', '-H', 'true'],
    ['vu_insmod', 'vufs'],
    ['vu_rmmod', 'vufs'],
    ['vu_lsmod'],
    ['vuname', '-U'],
    ['vuname', '-V'],
    ['vuname', '-x'],
    ['vuname', 'NewName'],
  ])('%s %s %s says that it is not inside, and does nothing', async (name, ...args) => {
    expect(await outside(name, ...args)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: `${name}: not inside umvu\n`,
    });
  });

  it('vuname is like uname, with a prompt for the host', async () => {
    for (const flag of ['-s', '-n', '-r', '-v', '-m', '-o', '-sr', '']) {
      const { stdout } = await exec('uname', flag ? [flag] : []);
      expect(await outside('vuname', ...(flag ? [flag] : []))).toMatchObject({ code: 0, stdout, stderr: '' });
    }
    expect(await outside('vuname', '-P')).toMatchObject({ code: 0, stdout: `${hostname()}\n` });
    expect(await outside('vuname', '-qx')).toMatchObject({ code: 2, stdout: '', stderr: '' });
  });
});

describe('wrong arguments', () => {
  it.each([
    ['vumount', ['none'], 'SOURCE and TARGET are needed'],
    ['vumount', ['-t', 'x'], 'SOURCE and TARGET are needed'],
    ['vumount', ['a', 'b', 'c'], 'too many arguments'],
    ['vumount', ['-o'], 'option -o needs an argument'],
    ['vumount', ['-t', 'x', '-o', 'x'.repeat(4096), 'a', 'b'], 'options are longer than 4095 bytes'],
    ['vuumount', [], 'TARGET is needed'],
    ['vustack', [], 'STACK is needed'],
    ['vustack', ['-f', 'nonsense', '/dev/net/x'], 'unknown address family nonsense'],
    ['vustack', ['-f', '-1', '/dev/net/x'], 'unknown address family -1'],
    ['vustack', ['-f', '2x', '/dev/net/x'], 'unknown address family 2x'],
    ['vustack', ['-f', '99999', '/dev/net/x'], 'unknown address family 99999'],
    ['vustack', ['-sH', 'true'], 'options -s and -H exclude each other'],
    ['vu_insmod', [], 'no module given'],
    ['vu_rmmod', [], 'no module given'],
    ['vu_lsmod', ['x'], 'unexpected argument x'],
    ['vuname', ['a', 'b'], 'NAME stands alone'],
  ])('%s %j', async (name, args, message) => {
    const { code, stderr } = await outside(name, ...args);
    expect(code).toBe(2);
    expect(stderr.split('\n')[0]).toBe(`${name}: ${message}`);
  });
});

describe('inside of umvu', () => {
  it('vuname knows the supervisor and the view, and names it', async () => {
    const { code, stdout, stderr } = await inside(
      'vuname -P; vuname -V; vuname Galileo && vuname -V; vuname -P; vuname -a; vuname -U',
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [prompt, none, name, named, all, server] = stdout.split('\n');
    expect({ none, name, named }).toEqual({ none: '', name: 'Galileo', named: 'Galileo' });
    expect(Number(server)).toBeGreaterThan(1);
    expect(prompt).toBe(`${hostname()}[${server}]`);
    expect(all?.endsWith(` GNU/Linux ${server} Galileo`)).toBe(true);
  });

  it('modules come and go', async () => {
    const script =
      'vu_insmod vunetioth && vu_lsmod; vu_rmmod vunetioth; vu_lsmod; vu_rmmod vunetioth; echo $?; vu_insmod no-such; echo $?';
    const { stdout, stderr } = await inside(script);
    expect(stdout).toMatch(/^vunetioth: .+\n1\n1\n$/);
    expect(stderr.split('\n').map((line) => line.split(': ').slice(0, 2))).toEqual([
      ['vu_rmmod', 'vunetioth'],
      ['vu_insmod', 'no-such'],
      [''],
    ]);
  });

  it('a permanent module stays', async () => {
    const { stdout, stderr } = await inside('vu_insmod -p vunetioth; vu_rmmod vunetioth; echo $?; vu_lsmod');
    expect(stdout).toMatch(/^1\nvunetioth: /);
    expect(stderr).toMatch(/^vu_rmmod: vunetioth: .+\n$/);
  });

  it('a mount that fails says why in one line and exits with 1', async () => {
    for (const command of [
      'vumount -t no-such none /mnt',
      'vumount -t vunetioth -o no://such vdestack /dev/net/x',
      'vumount -t vunetioth no-such-driver /dev/net/x',
      'vuumount /mnt/nothing',
    ]) {
      const { code, stdout, stderr } = await inside(command, 'vunetioth');
      expect({ command, code, stdout }).toEqual({ command, code: 1, stdout: '' });
      expect(stderr).toMatch(/^vuu?mount: \/[^:]+: .+\n$/);
    }
  });

  it('vumount lists mounts, and vuumount takes them away', async () => {
    const script = `vumount; vumount -t vunetioth null "/dev/net/a b" && vumount && vuumount "/dev/net/a b"; echo $?; vumount`;
    expect(await inside(script, 'vunetioth')).toMatchObject({
      code: 0,
      stderr: '',
      stdout: 'null /dev/net/a\\040b vunetioth rw 0 0\n0\n',
    });
  });

  it('vustack ends as its command does and leaves options to it', async () => {
    const on = (rest: string) =>
      inside(`vumount -t vunetioth null /dev/net/n && vustack ${rest}`, 'vunetioth');
    expect(await on('/dev/net/n printf %s -v')).toMatchObject({ code: 0, stdout: '-v', stderr: '' });
    expect(await on('/dev/net/n -- sh -c "exit 9"')).toMatchObject({ code: 9, stdout: '', stderr: '' });
    expect(await on('/dev/net/n sh -c "kill -TERM \\$\\$"; echo $?')).toMatchObject({ stdout: '143\n' });
    expect(await on('/dev/net/n no-such')).toMatchObject({
      code: 127,
      stderr: 'vustack: no-such: No such file or directory\n',
    });
    expect(await on('/dev/net/n /etc/passwd')).toMatchObject({
      code: 126,
      stderr: 'vustack: /etc/passwd: Permission denied\n',
    });
    expect(await on('/dev/net/no-such true')).toMatchObject({ code: 125, stdout: '' });
    expect(await on('-v -H true')).toMatchObject({
      code: 0,
      stderr: 'vustack: all: host\nvustack: running true\n',
    });
  });

  it('vustack -H leads out of a stack again', async () => {
    const socket = 'perl -MSocket -e \'print socket(my $s, AF_INET, SOCK_STREAM, 0) ? "yes\\n" : "no\\n"\'';
    const script = `vumount -t vunetioth null /dev/net/n && vustack /dev/net/n sh -c '${socket.replaceAll("'", "'\\''")}; vustack -H ${socket.replaceAll("'", "'\\''")}'`;
    expect(await inside(script, 'vunetioth')).toMatchObject({ code: 0, stdout: 'no\nyes\n', stderr: '' });
  });
});

describe('libmsocket', () => {
  const program = join(work.path, 'probe');
  beforeAll(async () => {
    writeFileSync(
      `${program}.c`,
      `#include <errno.h>
       #include <msocket.h>
       #include <stdio.h>
       #include <string.h>
       static void show(const char *what, int result)
       {
         printf("%s: %s\\n", what, result >= 0 ? "yes" : strerror(errno));
       }
       int main(void)
       {
         show("default", msocket(NULL, AF_INET, SOCK_STREAM, 0));
         show("no path", msocket(NULL, AF_INET, SOCK_DEFAULT, 0));
         show("missing", msocket("/dev/net/missing", AF_INET, SOCK_STREAM, 0));
         show("host", msocket("/dev/net/host", AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
         show("null", msocket("/dev/net/null", AF_INET, SOCK_STREAM, 0));
         show("choose", msocket("/dev/net/null", AF_UNSPEC, SOCK_DEFAULT, 0));
         show("chosen", msocket(NULL, AF_INET, SOCK_STREAM, 0));
         return 0;
       }`,
    );
    const libraries = join(projectRoot, 'guests/build/lib');
    const flags = [
      '-Wall',
      '-Werror',
      '-std=c99',
      `-I${join(projectRoot, 'guests/include')}`,
      `${program}.c`,
      '-o',
    ];
    for (const [name, link] of [
      ['static', join(libraries, 'libmsocket.a')],
      ['shared', `-Wl,-rpath,${libraries}`],
    ] as const) {
      const result = await exec('cc', [
        ...flags,
        `${program}-${name}`,
        link,
        ...(name === 'shared' ? [`-L${libraries}`, '-lmsocket'] : []),
      ]);
      expect(result).toMatchObject({ code: 0, stderr: '' });
    }
  });

  it.each(['static', 'shared'])(
    'outside of umvu msocket() is socket(), and knows no other stack (%s)',
    async (name) => {
      expect((await exec(`${program}-${name}`, [])).stdout).toBe(
        [
          'default: yes',
          'no path: Invalid argument',
          ...['missing', 'host', 'null', 'choose'].map((what) => `${what}: Function not implemented`),
          'chosen: yes',
          '',
        ].join('\n'),
      );
    },
  );

  it('inside of umvu it makes sockets of named stacks and chooses the default', async () => {
    const script = `vumount -t vunetioth kernel /dev/net/host && vumount -t vunetioth null /dev/net/null && ${program}-static`;
    const lacking = 'Address family not supported by protocol';
    expect(await inside(script, 'vunetioth')).toMatchObject({
      stderr: '',
      stdout: `default: yes\nno path: Invalid argument\nmissing: No such file or directory\nhost: yes\nnull: ${lacking}\nchoose: yes\nchosen: ${lacking}\n`,
    });
  });
});
