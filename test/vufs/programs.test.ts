/** Real programs in views, as an ordinary user and with a stack beside the mounts: what they do natively. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { script } from '../helpers/script.ts';
import { umvuEnvironment } from '../helpers/umvu.ts';
import { becoming, workDir } from '../helpers/users.ts';
import { snapshot } from '../helpers/snapshot.ts';

const USER = 'an ordinary user';
const STACK = 'stack=lwip,vnl=null://,eth,ip=10.0.0.1/24';
let work: ReturnType<typeof workDir>;
const at = (...names: string[]): string => join(work.path, ...names);
beforeAll(() => {
  work = workDir(USER);
  fs.copyFileSync(join(import.meta.dirname, 'programs.sh'), at('programs.sh'));
});
afterAll(() => work.remove());

/** Runs a script natively, as the user; its output. */
async function natively(body: string): Promise<string> {
  const words = [...becoming(USER), 'bash', '-euc', body];
  const env = umvuEnvironment(work.path);
  const result = await exec(words[0]!, words.slice(1), { cwd: work.path, env, timeout: 60_000 });
  expect(result.code, result.stderr).toBe(0);
  return result.stdout;
}

/** Runs a script in umvu, as the user. */
const inside = (body: string, ...options: string[]): Promise<string> =>
  script(USER, body, {
    options: ['-m', 'vufs', ...options],
    cwd: work.path,
    env: { HOME: work.path },
    timeout: 60_000,
  });

test(
  'a compiler, git, tar, rsync, npm, python, sqlite and vim on a copy-on-write mount',
  { timeout: 90_000 },
  async () => {
    const wanted = await natively(
      'mkdir tree up; cd tree; bash ../programs.sh prepare; cp -a . ../kept; bash ../programs.sh work; cd ..; mv tree native; mv kept tree',
    );
    const before = snapshot(at('tree'));
    const out = await inside(
      `vumount -t vufs -o cow up tree; cd tree; bash ../programs.sh work
     vumount | wc -l; ip -br -4 addr show vd0 2>/dev/null || ip -br -4 addr | grep -o 10.0.0.1
     python3 - <<'END'
import http.server, threading, urllib.request
server = http.server.ThreadingHTTPServer(('10.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(urllib.request.urlopen('http://10.0.0.1:%d/script' % server.server_port).read() == open('script', 'rb').read())
END`,
      '--net',
      STACK,
    );
    expect(out).toBe(`${wanted}2\n10.0.0.1\nTrue\n`);
    expect(snapshot(at('tree'))).toBe(before);
  },
);

test('find, du, cp -a and rm -rf on a copy-on-write mount of /usr', { timeout: 60_000 }, async () => {
  const look = `find /usr/include /usr/share/perl5 | sort | md5sum; du -s /usr/include; du -sh --apparent-size /usr/share/perl5; find /usr/include -newer /etc/passwd | wc -l`;
  const wanted = await natively(look);
  const out = await inside(
    `mkdir usr; vumount -t vufs -o cow usr /usr; ${look}
     cp -a /usr/include/linux /usr/share/copied; diff -r /usr/include/linux /usr/share/copied && echo copied
     rm -rf /usr/include/linux /usr/share/perl5; for gone in /usr/include/linux /usr/share/perl5; do test -e $gone || echo gone; done
     mkdir /usr/share/perl5; ls -A /usr/share/perl5; du -s /usr/share/copied | wc -l`,
  );
  expect(out).toBe(`${wanted}copied\ngone\ngone\n1\n`);
  expect(await natively(look)).toBe(wanted);
});

const PACKAGE = `mkdir -p hello/DEBIAN hello/usr/bin hello/usr/share/hello-umvu
printf '%s\\n' 'Package: hello-umvu' 'Version: 1' 'Architecture: all' 'Maintainer: N <n@example.org>' 'Description: small' >hello/DEBIAN/control
printf '#!/bin/sh\\necho "$1" >/usr/share/hello-umvu/state\\n' >hello/DEBIAN/postinst
printf '#!/bin/sh\\nrm /usr/share/hello-umvu/state\\n' >hello/DEBIAN/prerm
printf '#!/bin/sh\\necho hello\\n' >hello/usr/bin/hello-umvu
echo text >hello/usr/share/hello-umvu/text; chmod 755 hello/DEBIAN/p* hello/usr/bin/*; dpkg-deb --root-owner-group -b hello hello.deb >/dev/null`;

test(
  'a package of Debian is installed in a copy-on-write view of the whole system',
  { timeout: 60_000 },
  async () => {
    const out = await inside(
      `${PACKAGE}; mkdir system; vumount -t vufs -o cow,except=/tmp,except=/proc,except=/dev,except=/sys system /
     rm -f /var/lib/dpkg/lock /var/lib/dpkg/lock-frontend
     dpkg --force-not-root -i hello.deb >/dev/null; hello-umvu; cat /usr/share/hello-umvu/state; dpkg -s hello-umvu | sed -n 2p
     dpkg --force-not-root -r hello-umvu >/dev/null; test -e /usr/share/hello-umvu || echo gone`,
    );
    expect(out).toBe('hello\nconfigure\nStatus: install ok installed\ngone\n');
    expect(fs.existsSync('/usr/bin/hello-umvu')).toBe(false);
  },
);

test('a shell that lives in a merged tree, and one below a root directory that is one', async () => {
  const shell = `type added; added; echo $(cat <<<word | tr a-z A-Z); (cd /usr/bin && test -e added && pwd); ls / | grep -c '^usr$'; wait`;
  const seen = 'added is /usr/bin/added\nfrom the other tree\nWORD\n/usr/bin\n1\n';
  const out = await inside(
    `mkdir -p other/usr/bin jail; printf '#!/bin/sh\\necho from the other tree\\n' >other/usr/bin/added; chmod +x other/usr/bin/added
     W=$PWD; vumount -t vufs -o merge $W/other /; PATH=/usr/bin:$PATH; bash -c "cd /; ${shell.replaceAll('$', '\\$')}"
     vumount -t vufs / $W/jail; chroot $W/jail bash -c "pwd; ${shell.replaceAll('$', '\\$')}"`,
  );
  expect(out).toBe(`${seen}/\n${seen}`);
});
