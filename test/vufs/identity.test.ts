/** A VM of root whose guests have become other users: in trees they may do what they may do without umvu. */
import { expect, it } from 'vitest';
import { inVmOfRoot, script } from '../helpers/script.ts';

/** What another user tries; each line says what came of it. */
const TRIES = String.raw`
import errno, os
def t(what, act):
    try: print(what, act())
    except OSError as e: print(what, errno.errorcode[e.errno])
def write(path, flags=os.O_WRONLY):
    fd = os.open(path, flags, 0o644); os.write(fd, b'x'); os.close(fd)
t('read secret', lambda: open('secret').read())
t('write secret', lambda: write('secret'))
t('write public', lambda: write('public'))
t('truncate', lambda: os.truncate('public', 0))
t('chmod', lambda: os.chmod('public', 0o666))
t('chown', lambda: os.chown('public', 65534, 65534))
t('touch', lambda: os.utime('public', (1, 1)))
t('xattr', lambda: os.setxattr('public', 'user.x', b'y'))
t('make', lambda: write('new', os.O_CREAT | os.O_WRONLY))
t('mkdir', lambda: os.mkdir('newdir'))
t('symlink', lambda: os.symlink('x', 'newlink'))
t('link', lambda: os.link('open/mine', 'linked'))
t('unlink', lambda: os.unlink('public'))
t('rename', lambda: os.rename('public', 'open/public'))
t('replace', lambda: os.rename('open/mine', 'public'))
t('list closed', lambda: os.listdir('closed'))
t('stat in closed', lambda: os.stat('closed/file').st_size)
t('lstat in closed', lambda: os.lstat('closed/none').st_size)
t('readlink in closed', lambda: os.readlink('closed/link'))
t('read in closed', lambda: open('closed/file').read())
t('chdir open', lambda: (os.chdir('open'), os.chdir('..')))
t('chdir closed', lambda: os.chdir('closed'))
t('exec in closed', lambda: os.execv('closed/program', ['program']))
t('access', lambda: [os.access('public', mode) for mode in (os.R_OK, os.W_OK)])
t('sticky', lambda: os.unlink('sticky/file'))
t('other name', lambda: open('open/name2').read())
t('own file', lambda: write('open/mine'))
t('own new', lambda: write('open/new', os.O_CREAT | os.O_WRONLY))
t('chroot', lambda: os.chroot('open'))
print(sorted(os.listdir('open')), os.stat('open/new').st_uid)
`;

const PREPARE = String.raw`
chmod 755 "$PWD"
prepare() {
  rm -rf low && mkdir -p low/closed low/open low/sticky
  echo secret >low/secret && chmod 600 low/secret && echo public >low/public
  echo closed >low/closed/file && ln -s /closed/target low/closed/link && cp /bin/true low/closed/program && chmod 700 low/closed
  echo mine >low/open/mine && chown 65534 low/open/mine && chmod 777 low/open
  echo names >low/open/name1 && ln low/open/name1 low/open/name2
  touch low/sticky/file && chmod 1777 low/sticky
}
nobody() { (cd "$1" && setpriv --reuid=65534 --regid=65534 --clear-groups -- python3 -c "$TRIES"); }
`;

inVmOfRoot('in trees of a VM of root, another user', () => {
  it('has the permissions of his own', async () => {
    const out = await script(
      'root',
      `${PREPARE}
       prepare; nobody low; echo ====
       prepare; mkdir at; vumount -t vufs low at; nobody at; vuumount at; echo ====
       prepare; mkdir over; vumount -t vufs -o merge over low; nobody low; vuumount low; echo ====
       prepare; mkdir up; vumount -t vufs -o cow up low; echo changed >>low/open/name1; nobody low; vuumount low
       cat low/public low/open/name1; ls low; ls low/open`,
      { options: ['-m', 'vufs'], env: { TRIES }, timeout: 25_000 },
    );
    const [native = '', bind, merge, cow] = out.split('====\n');
    expect(native).toContain('read secret EACCES\n');
    expect(native).toContain('own new None\n');
    // What has a copy of root's making is written to that.
    expect(bind).toBe(native);
    expect(merge).toBe(native);
    const kept = 'public\nnames\nclosed\nopen\npublic\nsecret\nsticky\nmine\nname1\nname2\n';
    expect(cow).toBe(native.replace('other name names\n\n', 'other name names\nchanged\n\n') + kept);
  });
});
