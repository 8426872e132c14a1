/** Machines that refuse what a stack needs: one clear line, status 125, and what needs no stack still works. */
import { describe, expect, it } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { tryScript } from '../helpers/script.ts';
import { umvuCommand, umvuEnvironment } from '../helpers/umvu.ts';
import { USERS, becoming, workDir } from '../helpers/users.ts';

const NET = 'stack=vdestack,vnl=hub://,eth,ip=10.0.0.1/24';

/** Words that start a command without any capability. */
const BARE = 'setpriv --bounding-set=-all --inh-caps=-all --';

/**
 * Runs umvu as root of a user namespace of its own, in which `limits` (shell commands) hold; they end with it.
 * `starter` are the words before umvu.
 */
async function limited(limits: string, starter: string, ...args: string[]) {
  const who = USERS.at(-1)!;
  const work = workDir(who);
  try {
    const shell = ['unshare', '-Ur', 'bash', '-c', `${limits}\nexec ${starter} "$@"`, 'bash'];
    const [command, ...rest] = [...becoming(who), ...shell, ...umvuCommand(args)];
    return await exec(command!, rest, { cwd: work.path, env: umvuEnvironment(work.path), timeout: 10_000 });
  } finally {
    work.remove();
  }
}

describe('where it is forbidden to make', () => {
  it('user namespaces, --net says so', async () => {
    const { code, stderr } = await limited(
      'echo 0 >/proc/sys/user/max_user_namespaces',
      BARE,
      '--net',
      NET,
      'true',
    );
    expect({ code, stderr }).toEqual({
      code: 125,
      stderr: `umvu: --net ${NET}: unshare(CLONE_NEWUSER): No space left on device (the sysctl user.max_user_namespaces=0 forbids it); stack=lwip works without namespaces\n`,
    });
  });

  it('network namespaces, --net says so', async () => {
    const { code, stderr } = await limited(
      'echo 0 >/proc/sys/user/max_net_namespaces',
      '',
      '--net',
      NET,
      'true',
    );
    expect({ code, stderr }).toEqual({
      code: 125,
      stderr: `umvu: --net ${NET}: unshare(CLONE_NEWNET): No space left on device (the sysctl user.max_net_namespaces=0 forbids it); stack=lwip works without namespaces\n`,
    });
  });

  it('either, everything else works', async () => {
    const limits = 'echo 0 >/proc/sys/user/max_user_namespaces; echo 0 >/proc/sys/user/max_net_namespaces';
    const command = [
      '-m',
      'vunetioth',
      'bash',
      '-c',
      'vumount -t vunetioth null /dev/net/n; vustack /dev/net/n ls /dev/net/n',
    ];
    const { code, stdout, stderr } = await limited(limits, BARE, ...command);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '/dev/net/n\n', stderr: '' });
  });
});

describe.each(USERS)('as %s, in a guest', (who) => {
  it.each([
    ['vumount -t nosuch x /dev/net/x', 'no module serves type «nosuch»'],
    [
      'vumount -t vunetioth -o null:// nosuch /dev/net/x',
      'unknown stack «nosuch» (known: vdestack, lwip, kernel, null)',
    ],
    ['vumount -t vunetioth -o nosuch:// vdestack /dev/net/x', 'nosuch://'],
    ['vumount -t vunetioth -o "vde://[" vdestack /dev/net/x', 'the bracket is not closed'],
    ['vumount -t vunetioth -o hub:///no/such/folder vdestack /dev/net/x', '/no/such/folder'],
    [
      'vumount -t vunetioth -o null://,eth,ip=10.0.0.300/24 vdestack /dev/net/x',
      '10.0.0.300 is not an IP address',
    ],
    ['vumount -t vunetioth -o null://,eth,ip=10.0.0.3/33 vdestack /dev/net/x', 'from 0 to 32'],
    ['vumount -t vunetioth -o null://,eth,ip=fd00::1/129 vdestack /dev/net/x', 'from 0 to 128'],
    ['vuumount /dev/net/x', 'No such file or directory'],
    ['vu_insmod nosuch', 'no module «nosuch»'],
    ['vu_insmod vunetioth', 'inserted already'],
    ['vu_rmmod nosuch', 'not inserted'],
  ])('%s fails with one line', async (command, why) => {
    const { code, stdout, stderr } = await tryScript(
      who,
      `s=0; ${command} || s=$?; echo $s; vumount | wc -l`,
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: '1\n0\n' });
    expect(stderr).toContain(why);
    expect(stderr.split('\n')).toHaveLength(2);
  });

  it.each(['/dev/net/x', '/etc', '/dev/null'])(
    'vustack %s fails with one line and the status of env(1)',
    async (path) => {
      const { code, stderr } = await tryScript(who, `exec vustack ${path} true`);
      expect(code).toBe(125);
      expect(stderr).toMatch(/^vustack: .*: No such file or directory\n$/);
    },
  );

  it('a second unmount fails as the first did not', async () => {
    const { stdout, stderr } = await tryScript(
      who,
      'mkdir x; vumount -t vunetioth null x; vuumount x; vuumount x || echo $?; vumount -t vunetioth null /no/such/x; vuumount /no/such/x',
    );
    expect(stdout).toBe('1\n');
    expect(stderr).toMatch(/^vuumount: x: .*\n$/);
  });
});
