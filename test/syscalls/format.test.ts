import { describe, expect, test } from 'vitest';
import { ERRNO, Errno } from '../../runtime/errno.ts';
import { formatCall, formatOutcome, type CallView } from '../../runtime/syscalls/format.ts';
import { Injection, PASS } from '../../runtime/syscalls/outcome.ts';
import { quote } from '../../runtime/syscalls/show.ts';
import { byName, SYSCALLS, type SyscallName } from '../../runtime/syscalls/table.ts';
import { seeded } from '../helpers/bpf.ts';

/** Memory of a guest that does not exist; texts and structures are put one after another. */
class Memory {
  static readonly BASE = 0x7ffe_0000_1000;
  #bytes = Buffer.alloc(0);

  /** Puts bytes there. Their address. */
  put(bytes: Uint8Array): number {
    const address = Memory.BASE + this.#bytes.length;
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    return address;
  }

  text(text: string): number {
    return this.put(Buffer.from(`${text}\0`, 'latin1'));
  }

  /** Puts 64-bit words there. */
  words(...values: number[]): number {
    return this.put(new Uint8Array(BigUint64Array.from(values.map(BigInt)).buffer));
  }

  read = (address: number, length: number): Buffer => {
    const from = address - Memory.BASE;
    if (from < 0 || from + length > this.#bytes.length) throw new Errno('EFAULT');
    return this.#bytes.subarray(from, from + length);
  };

  readString = (address: number, max = 4095): string => {
    const from = address - Memory.BASE;
    const end = this.#bytes.indexOf(0, from);
    if (from < 0 || end < 0) throw new Errno('EFAULT');
    if (end - from > max) throw new Errno('ENAMETOOLONG');
    return this.#bytes.toString('latin1', from, end);
  };
}

function callOf(memory: Memory, name: SyscallName, args: readonly (number | bigint)[]): CallView {
  const words = Array.from({ length: 6 }, (_, index) => BigInt.asUintN(64, BigInt(args[index] ?? 0))).flatMap(
    (word) => [Number(word & 0xffffffffn), Number(word >> 32n)],
  );
  return {
    spec: byName.get(name)!,
    words,
    arg: (index) => (words[2 * index + 1]! | 0) * 2 ** 32 + words[2 * index]!,
    int: (index) => words[2 * index]! | 0,
    read: memory.read,
    readString: memory.readString,
  };
}

const memory = new Memory();
const show = (name: SyscallName, ...args: (number | bigint)[]): string =>
  formatCall(callOf(memory, name, args));
const resolv = memory.text('/etc/resolv.conf');

describe('files', () => {
  test.each<[string, SyscallName, (number | bigint)[]]>([
    ['openat(AT_FDCWD, "/etc/resolv.conf", O_RDONLY|O_CLOEXEC)', 'openat', [-100, resolv, 0o2000000]],
    ['openat(AT_FDCWD, "/etc/resolv.conf", O_RDONLY|O_CLOEXEC)', 'openat', [0xffffff9cn, resolv, 0o2000000]],
    ['open("/etc/resolv.conf", O_WRONLY|O_CREAT|O_TRUNC, 0644)', 'open', [resolv, 0o1101, 0o644]],
    ['open("/etc/resolv.conf", O_RDWR|O_TMPFILE, 0600)', 'open', [resolv, 0o20200002, 0o600]],
    ['open("/etc/resolv.conf", O_RDWR|O_SYNC)', 'open', [resolv, 0o4010002, 0]],
    ['openat(5, NULL, O_RDONLY)', 'openat', [5, 0, 0]],
    ['stat("/etc/resolv.conf", 0x7ffd00000010)', 'stat', [resolv, 0x7ffd00000010]],
    [
      'newfstatat(AT_FDCWD, "/etc/resolv.conf", 0x10, AT_SYMLINK_NOFOLLOW|AT_EMPTY_PATH)',
      'newfstatat',
      [-100, resolv, 16, 0x1100],
    ],
    [
      'statx(3, "/etc/resolv.conf", 0, STATX_BASIC_STATS|STATX_MNT_ID, 0x10)',
      'statx',
      [3, resolv, 0, 0x17ff, 16],
    ],
    ['access("/etc/resolv.conf", F_OK)', 'access', [resolv, 0]],
    ['faccessat(AT_FDCWD, "/etc/resolv.conf", R_OK|W_OK)', 'faccessat', [-100, resolv, 6]],
    ['unlinkat(AT_FDCWD, "/etc/resolv.conf", AT_REMOVEDIR)', 'unlinkat', [-100, resolv, 0x200]],
    ['mknod("/etc/resolv.conf", S_IFCHR|0600, makedev(0x1, 0x3))', 'mknod', [resolv, 0o20600, 0x103]],
    ['mknod("/etc/resolv.conf", S_IFSTACK|0644, makedev(0, 0))', 'mknod', [resolv, 0o160644, 0]],
    ['chown("/etc/resolv.conf", -1, 1000)', 'chown', [resolv, 0xffffffff, 1000]],
    [
      'renameat2(AT_FDCWD, "/etc/resolv.conf", 3, "/etc/resolv.conf", RENAME_EXCHANGE)',
      'renameat2',
      [-100, resolv, 3, resolv, 2],
    ],
    ['readlink("/etc/resolv.conf", 0x20, 4095)', 'readlink', [resolv, 32, 4095]],
    ['truncate("/etc/resolv.conf", -1)', 'truncate', [resolv, -1]],
    [
      'inotify_add_watch(7, "/etc/resolv.conf", IN_CREATE|IN_DELETE|IN_ONESHOT)',
      'inotify_add_watch',
      [7, resolv, 0x80000300],
    ],
    ['umount2("/etc/resolv.conf", MNT_DETACH|UMOUNT_NOFOLLOW)', 'umount2', [resolv, 10]],
  ])('%s', (text, name, args) => {
    expect(show(name, ...args)).toBe(text);
  });

  test('openat2', () => {
    const how = memory.words(0o100 | 0o2000000, 0o600, 0x18);
    expect(show('openat2', -100, resolv, how, 24)).toBe(
      'openat2(AT_FDCWD, "/etc/resolv.conf", ' +
        '{flags=O_RDONLY|O_CREAT|O_CLOEXEC, mode=0600, resolve=RESOLVE_BENEATH|RESOLVE_IN_ROOT}, 24)',
    );
  });

  test('execve', () => {
    const argv = memory.words(memory.text('ls'), memory.text('-l'), 0);
    expect(show('execve', memory.text('/bin/ls'), argv, 0x100)).toBe(
      'execve("/bin/ls", ["ls", "-l"], 0x100)',
    );
    const many = memory.words(...Array.from({ length: 40 }, () => resolv), 0);
    expect(show('execve', resolv, many, 0)).toMatch(/"\/etc\/resolv.conf", \.\.\.\], NULL\)$/);
  });

  test('mount', () => {
    const [source, target, type] = ['vdestack', '/dev/net/mine', 'vunetioth'].map((text) =>
      memory.text(text),
    );
    const data = memory.text('vnl=switch:///tmp/a-very-long-name-of-a-switch');
    expect(show('mount', source!, target!, type!, 0xc0ed0000 + 1, data)).toBe(
      'mount("vdestack", "/dev/net/mine", "vunetioth", MS_MGC_VAL|MS_RDONLY, "vnl=switch:///tmp/a-very-long-na"...)',
    );
    expect(show('mount', 0, target!, 0, 0x5000, 0)).toBe(
      'mount(NULL, "/dev/net/mine", NULL, MS_BIND|MS_REC, NULL)',
    );
  });

  test('a path is shown in full, another text is cut at 32', () => {
    const long = memory.text(`/${'x'.repeat(100)}`);
    expect(show('chdir', long)).toBe(`chdir("/${'x'.repeat(100)}")`);
    expect(show('symlink', long, resolv)).toBe(`symlink("/${'x'.repeat(31)}"..., "/etc/resolv.conf")`);
  });
});

/** struct sockaddr in hexadecimal; blanks are for people. */
const address = (hex: string): [number, number] => {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  return [memory.put(bytes), bytes.length];
};

describe('sockets', () => {
  test.each<[string, SyscallName, (number | bigint)[]]>([
    ['socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP)', 'socket', [2, 0o2000001, 6]],
    ['socket(AF_INET6, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, IPPROTO_IP)', 'socket', [10, 0o2004002, 0]],
    ['socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)', 'socket', [16, 3, 0]],
    ['socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))', 'socket', [17, 3, 0x0300]],
    ['socket(AF_VSOCK, SOCK_STREAM, 0)', 'socket', [40, 1, 0]],
    ['socket(255, 15|0x100, 9)', 'socket', [255, 0x10f, 9]],
    ['accept4(3, NULL, NULL, SOCK_CLOEXEC)', 'accept4', [3, 0, 0, 0o2000000]],
    ['shutdown(3, SHUT_RDWR)', 'shutdown', [3, 2]],
    ['getsockopt(3, SOL_SOCKET, SO_ERROR, 0x10, 0x20)', 'getsockopt', [3, 1, 4, 16, 32]],
    ['getsockopt(3, SOL_TCP, TCP_INFO, 0x10, 0x20)', 'getsockopt', [3, 6, 11, 16, 32]],
    ['ioctl(3, SIOCGIFCONF, 0x10)', 'ioctl', [3, 0xdeadbeef_00008912n, 16]],
    ['ioctl(3, 0x89f0, NULL)', 'ioctl', [3, 0x89f0, 0]],
    ['prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)', 'prctl', [4]],
    ['exit_group(-1)', 'exit_group', [-1]],
  ])('%s', (text, name, args) => {
    expect(show(name, ...args)).toBe(text);
  });

  test.each([
    [
      '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.1")}',
      '0200 0050 0a000001 0000000000000000',
    ],
    [
      '{sa_family=AF_INET6, sin6_port=htons(8080), sin6_flowinfo=htonl(0), ' +
        'inet_pton(AF_INET6, "fe80::1", &sin6_addr), sin6_scope_id=2}',
      '0a00 1f90 00000000 fe80000000000000 0000000000000001 02000000',
    ],
    [
      '{sa_family=AF_UNIX, sun_path="/run/nscd/socket"}',
      `0100 ${Buffer.from('/run/nscd/socket\0').toString('hex')} 0000`,
    ],
    ['{sa_family=AF_UNIX, sun_path=@"bus"}', '0100 00 627573'],
    ['{sa_family=AF_UNIX}', '0100'],
    ['{sa_family=AF_NETLINK, nl_pid=7, nl_groups=00000001}', '1000 0000 07000000 01000000'],
    [
      '{sa_family=AF_PACKET, sll_protocol=htons(ETH_P_IP), sll_ifindex=3, sll_hatype=1, sll_pkttype=0, ' +
        'sll_halen=6, sll_addr=[02:00:00:00:00:01]}',
      '1100 0800 03000000 0100 00 06 0200000000010000',
    ],
    ['{sa_family=AF_INET, sa_data="\\0"}', '0200 00'],
    ['{sa_family=77, sa_data="abc"}', '4d00 616263'],
  ])('%s', (text, hex) => {
    const [pointer, length] = address(hex);
    expect(show('connect', 3, pointer, length)).toBe(`connect(3, ${text}, ${length})`);
  });

  test('an IPv6 address is written as RFC 5952 says', () => {
    const ip = (hex: string) =>
      /"(.*)"/.exec(show('bind', 3, ...address(`0a00 0000 00000000 ${hex} 00000000`)))?.[1];
    expect(ip('00000000000000000000000000000000')).toBe('::');
    expect(ip('00000000000000000000000000000001')).toBe('::1');
    expect(ip('20010db8000000000001000000000000')).toBe('2001:db8:0:0:1::');
    expect(ip('20010db8000000010001000100010001')).toBe('2001:db8:0:1:1:1:1:1');
    expect(ip('00000000000000000000ffff0a000001')).toBe('::ffff:10.0.0.1');
  });

  test('data and addresses of sendto and sendmsg', () => {
    const data = memory.put(
      Buffer.from('GET / HTTP/1.0\r\n\r\n\x00\x01\xff7 more than thirty-two bytes', 'latin1'),
    );
    const [to, length] = address('0200 0035 08080808 0000000000000000');
    const dns = '{sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("8.8.8.8")}';
    expect(show('sendto', 3, data, 20, 0x4040, to, length)).toBe(
      `sendto(3, "GET / HTTP/1.0\\r\\n\\r\\n\\0\\1", 20, MSG_DONTWAIT|MSG_NOSIGNAL, ${dns}, 16)`,
    );
    expect(show('sendto', 3, data, 49, 0, 0, 0)).toContain('\\0\\1\\3777 more than"..., 49, 0, NULL, 0)');
    const iov = memory.words(data, 3, data, 40);
    const header = memory.words(to, length, iov, 2, 0, 24, 0);
    expect(show('sendmsg', 3, header, 0)).toBe(
      `sendmsg(3, {msg_name=${dns}, msg_namelen=16, ` +
        'msg_iov=[{iov_base="GET", iov_len=3}, {iov_base="GET / HTTP/1.0\\r\\n\\r\\n\\0\\1\\3777 more than"..., iov_len=40}], ' +
        'msg_iovlen=2, msg_controllen=24, msg_flags=0}, 0)',
    );
  });

  test('values of options', () => {
    const one = memory.put(Uint8Array.of(1, 0, 0, 0));
    expect(show('setsockopt', 3, 1, 2, one, 4)).toBe('setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4)');
    const name = memory.put(Buffer.from('vde0\0'));
    expect(show('setsockopt', 3, 1, 25, name, 5)).toBe(
      'setsockopt(3, SOL_SOCKET, SO_BINDTODEVICE, "vde0\\0", 5)',
    );
  });
});

test('vuctl shows the arguments of its operation', () => {
  expect(show('vuctl', 0, 0x10, 100)).toBe('vuctl(VU_INFO, 0x10, 100)');
  expect(show('vuctl', 1, memory.text('vunetioth'), 0)).toBe('vuctl(VU_INSMOD, "vunetioth", 0)');
  expect(show('vuctl', 4, memory.text('/dev/net/a'), 2, 1, 6)).toBe(
    'vuctl(VU_MSOCKET, "/dev/net/a", AF_INET, SOCK_STREAM, IPPROTO_TCP)',
  );
  expect(show('vuctl', 7)).toBe('vuctl(VU_NEWVIEW)');
  expect(show('vuctl', 99)).toBe('vuctl(99, NULL, NULL, NULL, NULL)');
});

test('what cannot be read is an address', () => {
  expect(show('openat', -100, 0xdead, 0)).toBe('openat(AT_FDCWD, 0xdead, O_RDONLY)');
  expect(show('connect', 3, 0xdead, 16)).toBe('connect(3, 0xdead, 16)');
  expect(show('connect', 3, resolv, 1)).toBe(`connect(3, 0x${resolv.toString(16)}, 1)`);
  expect(show('sendto', 3, 0xdead, 5, 0, 0xffff_ffff_ffff_ffffn, 16)).toBe(
    'sendto(3, 0xdead, 5, 0, 0xffffffffffffffff, 16)',
  );
  expect(show('sendmsg', 3, 0, 0)).toBe('sendmsg(3, 0x0, 0)');
});

test('a hostile guest cannot make it throw', () => {
  const random = seeded(1);
  const noise = memory.put(Uint8Array.from({ length: 4096 }, () => random(256)));
  const word = () => {
    const values = [
      BigInt(random(2 ** 32)) << 32n,
      BigInt(random(16)),
      -1n,
      BigInt(noise + random(4096)),
      2n ** 63n,
    ];
    return values[random(values.length)]!;
  };
  for (const { name } of SYSCALLS) {
    for (let round = 0; round < 20; round++) {
      expect(show(name, word(), word(), word(), word(), word(), word())).toMatch(/^\w+\([ -~]*\)$/);
    }
  }
});

test('byte strings are escaped as strace does', () => {
  expect(quote('\x00')).toBe('"\\0"');
  expect(quote('\x009')).toBe('"\\09"');
  expect(quote('\x001')).toBe('"\\0001"');
  expect(quote('a"b\\c\n\t\x7f\xe9')).toBe('"a\\"b\\\\c\\n\\t\\177\\351"');
});

test('outcomes', () => {
  expect(formatOutcome(0)).toBe('= 0');
  expect(formatOutcome(new Injection(9, true), 3)).toBe('= 3 (injected)');
  expect(formatOutcome(new Injection(9, true))).toBe('= ? (injected)');
  expect(formatOutcome(PASS)).toBe('= ? (passed to the kernel)');
  expect(formatOutcome(-ERRNO['ENOENT']!)).toBe('= -1 ENOENT (No such file or directory)');
  expect(formatOutcome(-ERRNO['EAFNOSUPPORT']!)).toBe(
    '= -1 EAFNOSUPPORT (Address family not supported by protocol)',
  );
  expect(formatOutcome(-513)).toBe('= ? ERESTARTNOINTR (To be restarted)');
});
