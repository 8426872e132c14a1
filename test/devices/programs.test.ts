/**
 * Unmodified programs on the devices of modules/vudev: as root, where FUSE serves partitions, and as an ordinary user,
 * who has it only where /dev/fuse lets him.
 */
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';
import type { ExecResult } from '../helpers/exec.ts';
import { umvu, type UmvuOptions } from '../helpers/umvu.ts';
import { USERS } from '../helpers/users.ts';

// The checkout may lie where an ordinary user cannot read.
const examples = mkdtempSync(join(tmpdir(), 'vt-examples-'));
chmodSync(examples, 0o755);
cpSync(join(projectRoot, 'docs/examples'), examples, { recursive: true });
afterAll(() => rmSync(examples, { recursive: true }));
const example = (name: string): string => join(examples, `${name}.ts`);
const inside = (
  script: string,
  options: UmvuOptions = {},
  modules: readonly string[] = [],
): Promise<ExecResult> =>
  umvu(
    [...['vudev', ...modules].flatMap((module) => ['-m', module]), '--', 'bash', '-c', script],
    // tsx keeps what it compiled, among the temporary files, unless it is told not to.
    { ...options, env: { ...options.env, TSX_DISABLE_CACHE: '1' } },
  );

/** A disk of 24 MiB with primary partitions 1 and 3 and, in the extended 2, logical ones 5 and 6. */
const DISK = `truncate -s 24M disk.img
  /sbin/sfdisk -q --no-reread disk.img <<END
label: dos
disk.img1 : start=2048, size=8M, type=83
disk.img2 : start=18432, size=10M, type=5
disk.img3 : start=38912, size=2M, type=83
disk.img5 : size=3M, type=83
disk.img6 : size=4M, type=83
END
`;

describe.each(USERS)('as %s', (as) => {
  it('ramdisk: mkfs.ext4, dumpe2fs, e2fsck, blockdev, fdisk, dd, hexdump', async () => {
    const { stdout, stderr } = await inside(
      `vumount -t vudevramdisk -o size=16m,mbr,mode=640,major=1,minor=7 none $PWD/ram
       stat -c '%F %t:%T %a %s' ram; stat -L -c '%F %t:%T' - <ram
       /sbin/fdisk -l $PWD/ram | head -2
       /sbin/blockdev --getsize64 --getss --getpbsz --getro --getsz ram
       /sbin/mkfs.ext4 -q -F ram && /sbin/e2fsck -fn ram >/dev/null 2>&1; echo $?
       /sbin/dumpe2fs -h ram 2>/dev/null | grep -i '^block count'
       dd if=/dev/zero of=ram bs=1M 2>&1 | sed 1q
       printf 'some text' | dd of=ram bs=1 seek=4096 conv=notrunc status=none; hexdump -C -s 4096 -n 9 ram
       tail -c 3 ram | od -An -tx1; cat ram | wc -c`,
      { as },
    );
    expect(stdout, stderr).toBe(
      `block special file 1:7 640 0
block special file 1:7
Disk /WORK/ram: 16 MiB, 16777216 bytes, 32768 sectors
Units: sectors of 1 * 512 = 512 bytes
16777216
512
512
0
32768
0
Block count:              16384
dd: error writing 'ram': Operation not permitted
00001000  73 6f 6d 65 20 74 65 78  74                       |some text|
00001009
 00 00 00
16777216
`.replace('/WORK', /Disk (.*)\/ram:/.exec(stdout)?.[1] ?? ''),
    );
  });

  it('partx: partitions of an image, each a device, and the whole', async () => {
    const { stdout, stderr } = await inside(
      `${DISK}
       vumount -t vudevpartx -o minor=16,mode=666 $PWD/disk.img $PWD/hda
       for n in '' 1 2 3 4 5 6 7; do test -b hda$n && echo "hda$n $(stat -c %T hda$n) $(/sbin/blockdev --getsize64 hda$n)"; done
       /sbin/sfdisk -d hda | grep -c start=
       /sbin/mkfs.ext4 -q -F hda6 && /sbin/e2fsck -fn hda6 >/dev/null 2>&1; echo $?
       printf 'end of five' | dd of=hda5 bs=1 seek=$((3*1024*1024-11)) status=none
       printf more | dd of=hda5 bs=1 seek=$((3*1024*1024-2)) conv=notrunc 2>/dev/null; echo $?
       printf 'as seen from the whole' | dd of=hda bs=512 seek=2048 status=none
       sleep 0.5; head -c 22 hda1; echo; tail -c 11 hda5; echo
       vuumount $PWD/hda; test -e hda1 || echo gone
       vumount -t vudevpartx -o ro $PWD/disk.img $PWD/hda
       head -c 22 hda1; echo; /sbin/e2fsck -fn hda6 >/dev/null 2>&1; echo $?; tail -c 11 hda5; echo
       (echo >hda1) 2>&1 | grep -o 'Read-only.*'; /sbin/blockdev --getro hda1`,
      { as },
    );
    expect(stdout, stderr).toBe(`hda 10 25165824
hda1 11 8388608
hda2 12 10485760
hda3 13 2097152
hda5 15 3145728
hda6 16 4194304
5
0
1
as seen from the whole
end of fimo
gone
as seen from the whole
0
end of fimo
Read-only file system
1
`);
  });

  it('partx: a table that is changed by fdisk and read again', async () => {
    const { stdout } = await inside(
      `truncate -s 16M disk.img; vumount -t vudevpartx $PWD/disk.img $PWD/sda
       printf 'o\\nn\\np\\n1\\n\\n+4M\\nn\\np\\n2\\n\\n\\nw\\n' | /sbin/fdisk $PWD/sda >/dev/null 2>&1
       sleep 0.3; /sbin/blockdev --rereadpt $PWD/sda; echo $?; /sbin/blockdev --getsize64 sda1 sda2; test -e sda3 || echo no more
       printf 'label: gpt\\nsize=2M\\nsize=1M\\nsize=3M\\n' | /sbin/sfdisk -q --no-reread --no-tell-kernel $PWD/sda
       sleep 0.3; /sbin/blockdev --rereadpt $PWD/sda; /sbin/blockdev --getsize64 sda1 sda2 sda3`,
      { as },
    );
    expect(stdout).toBe('0\n4194304\n11534336\nno more\n2097152\n1048576\n3145728\n');
  });

  it('partx on a ramdisk', async () => {
    const { stdout, stderr } = await inside(
      `vumount -t vudevramdisk -o size=16m none $PWD/ram
       printf 'label: dos\\nsize=4M\\nsize=4M\\n' | /sbin/sfdisk -q --no-reread ram
       vumount -t vudevpartx $PWD/ram $PWD/disk; /sbin/mkfs.ext4 -q -F disk2; echo $?
       vuumount $PWD/disk; dd if=ram bs=512 skip=10240 count=8192 of=copy status=none; /sbin/e2fsck -fn copy >/dev/null 2>&1; echo $?`,
      { as },
    );
    expect(stdout, stderr).toBe('0\n0\n');
  });

  it('null, log, tty: cat, stty -F, script, tty', async () => {
    const { stdout, stderr } = await inside(
      `vumount -t vudevnull none $PWD/nothing; echo gone >nothing; cat nothing; stat -c %F nothing
       vumount -t vudevlog -o tag=guest none $PWD/kmsg; echo 'not shown' >kmsg; echo '<4>a warning' >kmsg; printf '<3>no newline' >kmsg
       vumount -t vudevtty -o rows=30,columns=100 hex $PWD/line
       stty -F line size; stty -F line -echo raw; stty -F line -a | grep -o -e '-icanon' -e '-echo '
       exec 4<>line; printf abc >&4; head -n1 <&4; tty -s <&4 && echo terminal; exec 4>&-
       vumount -t vudevtty clock $PWD/clock; stty -F clock -echo; exec 5<>clock; echo >&5; head -n1 <&5 | grep -c '^20.*Z'
       setsid script -qec 'echo in script; tty -s && echo yes' typescript <line`,
      { as },
    );
    expect(stdout.replaceAll('\r', ''), stderr).toBe(
      `character special file\n30 100\n-icanon\n-echo \n616263\nterminal\n1\nin script\nyes\n`,
    );
    expect(stderr).toContain('guest: a warning\n');
    expect(stderr).toContain('guest: no newline\n');
    expect(stderr).not.toContain('not shown');
  });

  it('devices of users: a character device, a stream, ioctl by hwclock', async () => {
    const { stdout, stderr } = await inside(
      `vumount -t vudevcounter -o start=41 none $PWD/counter; cat counter; cat counter
       vumount -t vudevshout none $PWD/shout; exec 3<>shout; echo hello >&3; head -n1 <&3; exec 3>&-
       vumount -t vudevrtc -o years=100 none $PWD/rtc; /sbin/hwclock --rtc $PWD/rtc --utc --show | cut -c1-2`,
      { as },
      ['counter', 'shout', 'rtc'].map(example),
    );
    expect(stdout, stderr).toBe('42\n43\nHELLO\n21\n');
  });
});

describe('permissions, and what is in use', () => {
  it('mode and owner of a device count, and can be changed', async () => {
    const { stdout } = await inside(
      `vumount -t vudevramdisk -o size=1m,mode=600,uid=0,gid=0 none /dev/vu-ram; cd /
       nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
       nobody head -c1 /dev/vu-ram 2>&1 | grep -o 'Permission denied'; chmod 666 /dev/vu-ram; nobody head -c1 /dev/vu-ram | wc -c
       chown 65534:65534 /dev/vu-ram; stat -c '%u:%g %a' /dev/vu-ram`,
    );
    expect(stdout).toBe('Permission denied\n1\n65534:65534 666\n');
  });

  it('a device that is open cannot be unmounted, save lazily', async () => {
    const { stdout, stderr } = await inside(
      `${DISK} for t in 'ramdisk none' 'partx '$PWD/disk.img 'tty echo' 'log none'; do set -- $t
         vumount -t vudev$1 $2 $PWD/d; sleep 60 <>d & sleep 0.1; vuumount $PWD/d; echo $?
         kill $!; wait $! 2>/dev/null; vuumount $PWD/d && echo done; done
       vumount -t vudevramdisk none $PWD/d; exec 3<>d; vuumount -l $PWD/d; echo $?; head -c 2 <&3 | wc -c`,
    );
    expect(stdout, stderr).toBe('1\ndone\n'.repeat(4) + '0\n2\n');
    expect(stderr.match(/has .*\/d open/g)).toHaveLength(4);
  });

  it('the supervisor looks at files that it serves itself', async () => {
    // With a tree mounted, paths of /proc/self/fd are followed by the supervisor.
    const { stdout, stderr, timedOut } = await inside(
      `${DISK} mkdir tree; vumount -t vufs $PWD/tree /mnt; vumount -t vudevpartx $PWD/disk.img $PWD/d
       exec 3<>d1; echo hello >&3; head -c 3 <&3 >/dev/null; fd=/proc/self/fd/3
       stat -L -c %s $fd; head -c 2 $fd; cat /dev/stdin <d1 | head -c 5; echo; ls -lL /proc/self/fd | wc -l; realpath -q $fd | wc -l
       truncate -s 1 $fd; touch $fd; cd $fd; ln -s $fd link; head -c 2 link; echo; echo end`,
      {},
      ['vufs'],
    );
    expect({ timedOut, lines: stdout.split('\n').length }, stderr).toEqual({ timedOut: false, lines: 7 });
    expect(stdout).toMatch(/^8388608\nhehello\n[^]*\nhe\nend\n$/);
  });

  it('seeking, positions of several openers, mapping, poll', async () => {
    const program = `
import mmap, os, select
a, b = os.open('./ram', os.O_RDWR), os.open('./ram', os.O_RDWR)
os.write(a, b'0123456789')
print(os.read(b, 4), os.lseek(b, 0, os.SEEK_CUR), os.lseek(b, 0, os.SEEK_END), os.read(b, 1))
m = mmap.mmap(a, 4096)
m[2:4] = b'xy'
print(os.pread(b, 6, 0), os.pwrite(b, b'zz', 4), bytes(m[:8]))
c = os.open('./counter', os.O_RDONLY)
print(os.read(c, 100), os.read(c, 100), os.pread(c, 1, 1), os.lseek(c, 1, os.SEEK_SET), os.read(c, 100))
p = select.poll(); p.register(c, select.POLLIN | select.POLLOUT); print(p.poll(0)[0][1] & 5)
os.fsync(a)
`;
    const { stdout, stderr } = await inside(
      `vumount -t vudevramdisk -o size=64k none $PWD/ram; vumount -t vudevcounter -o start=122 none $PWD/counter
       python3 - <<'EOF'\n${program}\nEOF`,
      {},
      [example('counter')],
    );
    expect(stdout, stderr).toBe(
      `b'0123' 4 65536 b''\nb'01xy45' 2 b'01xyzz67'\nb'123\\n' b'' b'2' 1 b'23\\n'\n5\n`,
    );
  });

  it('a disk that is full says so', async () => {
    const { stdout } = await inside(
      `vumount -t vudevsparse -o size=64m,real=1m none $PWD/d; /sbin/mkfs.ext4 -q -F d; /sbin/e2fsck -fn d >/dev/null 2>&1; echo $?
       dd if=/dev/urandom of=d bs=64k count=100 2>&1 | sed 1q; tail -c 1 d | wc -c
       dd if=/dev/zero of=d bs=1 seek=64M count=1 2>&1 | sed 1q`,
      {},
      [example('sparse')],
    );
    expect(stdout).toBe(
      "0\ndd: error writing 'd': No space left on device\n1\ndd: error writing 'd': No space left on device\n",
    );
  });
});
