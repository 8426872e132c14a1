/** What unmodified programs find at paths that their view has claimed. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Errno } from '../../runtime/errno.ts';
import type { Stack } from '../../runtime/ioth/stack.ts';
import * as rules from '../../runtime/syscalls/path/rules.ts';
import type { Mount } from '../../runtime/vm/mounts.ts';
import { startVm, type Vm } from '../../runtime/vm/vm.ts';

const STACK = '/dev/net/path-test';
let vm: Vm;
let work: string;

function stackMount(): Mount {
  return {
    type: 'vunetioth',
    source: 'a stack',
    target: STACK,
    options: 'x=1',
    node: {
      attributes: { mode: 0o160777, uid: 0, gid: 0, ino: 77, time: 1_000_000_000, size: 0 },
      changeable: true,
      open: () => {
        throw new Errno('ENXIO');
      },
    },
    unmount: () => undefined,
  };
}

/** Runs a shell command in the VM: what it printed, and its status in the last line. */
async function sh(script: string): Promise<string> {
  const guest = await vm.spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'], cwd: work });
  const [out, end] = await Promise.all([text(guest.stdout!), guest.exited]);
  return `${out}${end.code === 0 ? '' : `status ${end.code ?? end.signal}\n`}`;
}

/** Runs Python code in the VM; the errno's name for each expression that fails, its value for the others. */
async function python(...expressions: string[]): Promise<string[]> {
  const code = [
    'import os, errno, stat',
    'def tried(f):',
    '  try: return repr(f())',
    '  except OSError as e: return errno.errorcode[e.errno]',
    `P = ${JSON.stringify(STACK)}`,
    `R = '/shown'`,
    ...expressions.map((each) => `print(tried(lambda: ${each}))`),
  ];
  fs.writeFileSync(join(work, 'script.py'), code.join('\n'));
  return (await sh('python3 script.py 2>&1')).trimEnd().split('\n');
}

beforeAll(async () => {
  work = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'umvu-path-')));
  fs.mkdirSync(join(work, 'real/sub'), { recursive: true });
  fs.writeFileSync(join(work, 'real/file'), 'content\n');
  fs.writeFileSync(join(work, 'real/sub/deep'), 'deep\n');
  fs.symlinkSync('sub/deep', join(work, 'real/link'));
  fs.symlinkSync('/shown/file', join(work, 'real/absolute'));
  fs.symlinkSync('loop', join(work, 'real/loop'));
  fs.symlinkSync('/etc/hostname', join(work, 'real/out'));
  fs.symlinkSync(STACK, join(work, 'to-stack'));
  vm = await startVm();
  vm.rootView.mount(stackMount());
  vm.addRule(rules.textFile('/etc/umvu-test.conf', () => 'nameserver 192.0.2.1\n'));
  vm.addRule(rules.directoryRedirect('/shown', () => ({ dirfd: -100, path: join(work, 'real') })));
  vm.addRule(rules.directoryRedirect('/hidden', () => null));
  for (const rule of rules.mountsRule((pid) => vm.processes.get(pid))) vm.addRule(rule);
});
afterAll(async () => {
  await vm.close();
  fs.rmSync(work, { recursive: true });
});

describe('a virtual file', () => {
  test('is seen by stat, ls and test', async () => {
    expect(
      await sh(
        `stat -c '%f %u %g %i %h %Y' ${STACK}; ls -l ${STACK} | cut -c1-10; ls -lL to-stack | cut -c2-10`,
      ),
    ).toBe('e1ff 0 0 77 1 1000000000\n?rwxrwxrwx\nrwxrwxrwx\n');
    expect(await sh(`test -e ${STACK} && test -e to-stack && test ! -f ${STACK} && echo yes`)).toBe('yes\n');
  });

  test('answers each call as a file does that something is mounted on', async () => {
    expect(
      await python(
        'stat.S_IFMT(os.stat(P).st_mode) == 0o160000',
        'os.lstat("to-stack").st_size',
        'os.stat(P + "/")',
        'os.stat(P + "/x/../..")',
        'os.open(P, os.O_RDWR)',
        'os.open(P, os.O_CREAT | os.O_EXCL)',
        'os.open(P, os.O_DIRECTORY)',
        'os.readlink(P)',
        'os.unlink(P)',
        'os.rmdir(P)',
        'os.rename(P, "/tmp/x")',
        'os.rename("script.py", P)',
        'os.link(P, "x")',
        'os.link("script.py", P)',
        'os.symlink("x", P)',
        'os.mkdir(P)',
        'os.mkfifo(P)',
        'os.truncate(P, 0)',
        'os.chdir(P)',
        'os.getxattr(P, "user.x")',
        'os.listxattr(P)',
        'os.access(P, os.W_OK)',
        'os.statvfs(P).f_namemax',
      ),
    ).toEqual(
      'True 18 ENOTDIR ENOTDIR ENXIO EEXIST ENOTDIR EINVAL EBUSY ENOTDIR EBUSY EBUSY EXDEV EEXIST EEXIST EEXIST EEXIST EINVAL ENOTDIR ENOTSUP [] True 255'.split(
        ' ',
      ),
    );
  });

  test('has a mode, an owner and a time that can be changed', async () => {
    const view = `stat -c '%a %u %g %Y' ${STACK}`;
    expect(await sh(`chmod 640 ${STACK}; chown 12:34 ${STACK}; touch -d @5 ${STACK}; ${view}`)).toBe(
      '640 12 34 5\n',
    );
    const other = 'setpriv --reuid=12 --regid=34 --clear-groups';
    const stranger = 'setpriv --reuid=65534 --regid=65534 --clear-groups';
    const quiet = '2>/dev/null; echo $?';
    expect(await sh(`${stranger} test -r ${STACK}; echo $?; ${stranger} chmod 777 ${STACK} ${quiet}`)).toBe(
      '1\n1\n',
    );
    expect(await sh(`${other} test -w ${STACK}; echo $?; ${other} chmod 777 ${STACK} ${quiet}`)).toBe(
      '0\n0\n',
    );
    expect(await sh(`${other} chown 13 ${STACK} ${quiet}; chown 0:0 ${STACK}`)).toBe('1\n');
  });
});

describe('a text', () => {
  test('can be read, and shows its size', async () => {
    const file = '/etc/umvu-test.conf';
    expect(
      await sh(`cat ${file}; wc -c < ${file}; stat -c %s,%a ${file}; cd /etc; head -c 4 umvu-test.conf`),
    ).toBe('nameserver 192.0.2.1\n21\n21,444\nname');
  });
  test('stat and fstat agree, and offsets are private', async () => {
    expect(
      await python(
        '(lambda s, f: (s.st_ino, s.st_dev, s.st_size) == (f.st_ino, f.st_dev, f.st_size))(os.stat("/etc/umvu-test.conf"), os.fstat(os.open("/etc/umvu-test.conf", 0)))',
        '[os.read(os.open("/etc/umvu-test.conf", 0), 4) for i in range(2)]',
        'os.open("/etc/umvu-test.conf", os.O_WRONLY)',
        'os.open("/etc/umvu-test.conf", os.O_RDONLY | os.O_TRUNC)',
        'os.truncate("/etc/umvu-test.conf", 0)',
        'os.chmod("/etc/umvu-test.conf", 0)',
        'os.unlink("/etc/umvu-test.conf")',
      ),
    ).toEqual(['True', "[b'name', b'name']", 'EROFS', 'EROFS', 'EROFS', 'EPERM', 'EBUSY']);
  });
});

describe('a redirect', () => {
  test('shows another tree, with its links', async () => {
    expect(
      await sh('cat /shown/file /shown/link /shown/absolute /shown/sub/../file; ls /shown; ls -R /shown/sub'),
    ).toBe('content\ndeep\ncontent\ncontent\nabsolute\nfile\nlink\nloop\nout\nsub\n/shown/sub:\ndeep\n');
    expect(await sh('readlink /shown/link; cat /shown/out; find /shown -name deep')).toBe(
      `sub/deep\n${fs.readFileSync('/etc/hostname', 'latin1')}/shown/sub/deep\n`,
    );
  });
  test('is read only', async () => {
    expect(
      await python(
        'os.open(R + "/file", os.O_WRONLY)',
        'os.open(R + "/new", os.O_CREAT | os.O_WRONLY)',
        'os.open(R + "/file", os.O_CREAT | os.O_EXCL)',
        'os.mkdir(R + "/new")',
        'os.mkdir(R + "/sub")',
        'os.unlink(R + "/file")',
        'os.unlink(R + "/missing")',
        'os.rename(R + "/file", R + "/other")',
        'os.rename(R + "/file", "here")',
        'os.chmod(R + "/file", 0)',
        'os.access(R + "/file", os.W_OK)',
        'os.access(R + "/file", os.R_OK)',
        'os.stat(R + "/loop")',
        'os.lstat(R + "/loop").st_size',
        'os.stat(R + "/file/")',
        'os.stat(R + "/missing/x")',
        'os.stat(R + "/file/..")',
        'sorted(os.listdir(os.open(R, os.O_RDONLY)))',
        'os.read(os.open("deep", 0, dir_fd=os.open(R + "/sub", os.O_RDONLY)), 9)',
        'os.stat("/hidden")',
        'os.open("/hidden/x", 0)',
      ),
    ).toEqual([
      ...'EROFS EROFS EEXIST EROFS EEXIST EROFS ENOENT EROFS EXDEV EROFS False True ELOOP 4 ENOTDIR ENOENT ENOTDIR'.split(
        ' ',
      ),
      "['absolute', 'file', 'link', 'loop', 'out', 'sub']",
      "b'deep\\n'",
      'ENOENT',
      'ENOENT',
    ]);
  });
  test('gives a guest no more than its own identity may have', async () => {
    fs.writeFileSync(join(work, 'real/secret'), 'secret', { mode: 0o600 });
    expect(await sh('setpriv --reuid=65534 --regid=65534 --clear-groups cat /shown/secret 2>&1')).toMatch(
      /Permission denied\nstatus 1/,
    );
    expect(await sh('cat /shown/secret')).toBe('secret');
    fs.unlinkSync(join(work, 'real/secret'));
  });
});

describe('lists of mounts', () => {
  test('have the mounts of the view', async () => {
    const last = await sh(
      'tail -n 1 /proc/mounts; tail -n 1 /proc/self/mountinfo; tail -n 1 /proc/self/mountstats',
    );
    expect(last).toMatch(
      /^a\\040stack (\S+) vunetioth rw,x=1 0 0\n\d+ \d+ 0:1048575 \/ \1 rw - vunetioth a\\040stack rw,x=1\ndevice a\\040stack mounted on \1 with fstype vunetioth\n$/,
    );
    expect(await sh(`findmnt -n -o TARGET,FSTYPE,SOURCE ${STACK}`)).toMatch(
      /path-test\s+vunetioth\s+a stack/,
    );
  });
});

describe('the network of a stack', () => {
  test('shows in /proc/net and /sys/class/net of its processes', async () => {
    const view = { procNet: join(work, 'real'), sysfs: fs.openSync(work, 'r') };
    fs.mkdirSync(join(work, 'class/net/vde0'), { recursive: true });
    const stackOf = () => ({ view }) as unknown as Stack;
    const added = [
      ...rules.procNetRule((pid) => vm.processes.get(pid), stackOf),
      ...rules.sysClassNetRule(stackOf),
    ];
    for (const rule of added) vm.addRule(rule);
    try {
      expect(
        await sh(
          'ls /sys/class/net; cat /proc/net/file /proc/self/net/file /proc/thread-self/net/file; ls /proc/1/net | wc -l',
        ),
      ).toMatch(/^vde0\n(content\n){3}\d+\n$/);
      expect(
        await sh('cd /proc/self; ls net | head -n 1; test -d /sys/devices/virtual/net || echo none'),
      ).toBe('absolute\nnone\n');
    } finally {
      for (const rule of added) vm.removeRule(rule);
      fs.closeSync(view.sysfs);
    }
  });
});

test('a guest in a mount namespace of its own sees its mounts, and the view under its own root', async () => {
  const script = `mount --bind /etc real/sub && cat real/sub/hostname && cat /etc/umvu-test.conf /proc/self/root/shown/file &&
    mkdir -p jail/bin jail/lib jail/lib64 jail/etc && mount --bind /bin jail/bin && mount --bind /lib jail/lib &&
    mount --bind /lib64 jail/lib64 && echo inner > jail/etc/umvu-test.conf &&
    chroot jail cat /etc/umvu-test.conf; cat ../..${STACK} 2>&1; cat /etc/umvu-test.conf`;
  const hostname = fs.readFileSync('/etc/hostname', 'latin1');
  expect(await sh(`unshare -m sh -c '${script}'`)).toBe(
    `${hostname}nameserver 192.0.2.1\ncontent\ninner\ncat: ../..${STACK}: No such device or address\nnameserver 192.0.2.1\n`,
  );
});

test('paths that the view does not claim behave as they always do', async () => {
  const script =
    'cat /etc/hostname; readlink /proc/self/exe; stat -c %F /dev/null; cd /usr/lib; test -d ../bin && ls -d /lib';
  expect(await sh(script)).toBe(execFileSync('sh', ['-c', script], { encoding: 'utf8' }));
});
