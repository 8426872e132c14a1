/** --pcap: what goes over the interfaces of stacks is in a file that others can read. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exec } from '../helpers/exec.ts';
import { readPcapng, type Recording } from '../helpers/pcapng.ts';
import { umvu } from '../helpers/umvu.ts';
import { USERS, workDir, type Who } from '../helpers/users.ts';

/** Runs `body` in stack 10.0.0.1 with a second one, 10.0.0.2, at /dev/net/two; gives the work folder to `check`. */
async function recorded(
  who: Who,
  stack: string,
  body: string,
  check: (file: string, code: number | null) => Promise<void> | void,
): Promise<void> {
  const work = workDir(who);
  const prepare =
    stack === 'lwip'
      ? 'vumount -t vunetioth -o hub://,eth,ip=10.0.0.2/24 lwip /dev/net/two'
      : 'vumount -t vunetioth -o hub://,eth,ip=10.0.0.2/24 vdestack /dev/net/two';
  try {
    const { code, stderr } = await umvu(
      [
        '--pcap',
        'frames.pcapng',
        '--net',
        `stack=${stack},vnl=hub://,eth,ip=10.0.0.1/24`,
        '--',
        'bash',
        '-c',
        `set -e\n${prepare}\n${body}`,
      ],
      { as: who, cwd: work.path },
    );
    expect(stderr).toBe('');
    await check(join(work.path, 'frames.pcapng'), code);
  } finally {
    work.remove();
  }
}

/** The ones' complement sum of 16-bit words; 0xffff where a checksum in them is right. */
function sum(...parts: Buffer[]): number {
  let total = 0;
  for (const part of parts)
    for (let at = 0; at < part.length; at += 2) total += (part[at]! << 8) | (part[at + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

const isTcp = (bytes: Buffer): boolean => bytes.readUInt16BE(12) === 0x800 && bytes[23] === 6;

/** Whether the TCP checksum of an IPv4 frame is right. */
function tcpSumIsRight(bytes: Buffer): boolean {
  const ip = bytes.subarray(14, 14 + bytes.readUInt16BE(16));
  const tcp = ip.subarray((ip[0]! & 15) * 4);
  const pseudo = Buffer.concat([ip.subarray(12, 20), Buffer.from([0, 6, tcp.length >> 8, tcp.length & 255])]);
  return sum(pseudo, tcp) === 0xffff;
}

/** ICMP echo messages: type and direction, of each interface in turn. */
const echoes = ({ frames, interfaces }: Recording): string[][] =>
  interfaces.map((_, index) =>
    frames
      .filter(
        ({ interface: on, bytes }) => on === index && bytes.readUInt16BE(12) === 0x800 && bytes[23] === 1,
      )
      .map(({ bytes, direction }) => `${bytes[34] === 8 ? 'request' : 'reply'} ${direction}`),
  );

describe.each(USERS)('as %s', (who) => {
  describe.each(['vdestack', 'lwip'])('%s', (stack) => {
    it('ping between two stacks: each interface, each direction', () =>
      recorded(who, stack, 'ping -c 2 -i 0.2 10.0.0.2 >/dev/null', async (file, code) => {
        expect(code).toBe(0);
        const recording = readPcapng(readFileSync(file));
        expect(recording.interfaces.map(({ name }) => name)).toEqual(['vde0', 'vde0']);
        expect(recording.interfaces[0]!.description).toMatch(/^hub:\/\/, port \d+$/);
        const [one, two] = echoes(recording);
        expect(one).toEqual(['request out', 'reply in', 'request out', 'reply in']);
        expect(two).toEqual(['request in', 'reply out', 'request in', 'reply out']);
        const now = BigInt(Date.now()) * 1_000_000n;
        for (const { time } of recording.frames) expect(now - time).toBeLessThan(60_000_000_000n);
        for (const [index, { statistics }] of recording.interfaces.entries()) {
          const count = recording.frames.filter((frame) => frame.interface === index).length;
          expect(statistics).toEqual({ received: BigInt(count), dropped: 0n });
        }
        const { stdout } = await exec('tcpdump', ['-n', '-r', file, 'icmp']);
        expect(stdout.match(/ICMP echo (request|reply), id \d+, seq [12], length 64/g)).toHaveLength(8);
      }));

    it('a page by curl: complete frames with right checksums', () =>
      recorded(
        who,
        stack,
        `head -c 300000 /dev/zero >zeroes
         vustack /dev/net/two python3 -m http.server 80 >log 2>&1 &
         for i in {1..100}; do curl -s -o got http://10.0.0.2/zeroes && break; sleep 0.1; done
         cmp got zeroes
         kill %1`,
        (file, code) => {
          expect(code).toBe(0);
          const tcp = readPcapng(readFileSync(file)).frames.filter(({ bytes }) => isTcp(bytes));
          const bytes = tcp
            .filter(({ direction }) => direction === 'in')
            .reduce((all, f) => all + f.bytes.length, 0);
          expect(bytes).toBeGreaterThan(300_000);
          expect(tcp.filter((frame) => !tcpSumIsRight(frame.bytes))).toEqual([]);
        },
      ));
  });

  it('the file is complete when the command was killed, and before', () =>
    recorded(
      who,
      'lwip',
      `ping -c 1 10.0.0.2 >/dev/null
       sleep 0.2
       tcpdump -n -r frames.pcapng icmp 2>/dev/null | grep -c reply >seen
       test "$(cat seen)" = 2
       kill -KILL $$`,
      (file, code) => {
        expect(code).toBeNull();
        expect(echoes(readPcapng(readFileSync(file)))[0]).toEqual(['request out', 'reply in']);
      },
    ));

  it('a FIFO: a reader that goes away ends the recording and nothing else', async () => {
    const work = workDir(who);
    try {
      execFileSync('mkfifo', ['-m', '666', join(work.path, 'fifo')]);
      const reader = exec('sh', ['-c', 'head -c 300 fifo | wc -c'], { cwd: work.path });
      const net = 'stack=lwip,vnl=hub://,eth,ip=10.0.0.1/24';
      const ping = 'ping -c 5 -i 0.2 -W 1 10.0.0.9 >/dev/null; exit 7';
      const { code, stderr } = await umvu(['--pcap', 'fifo', '--net', net, '--', 'sh', '-c', ping], {
        as: who,
        cwd: work.path,
      });
      expect((await reader).stdout).toBe('300\n');
      expect(code).toBe(7);
      expect(stderr).toMatch(/^umvu: warn: capture: \S*\/fifo: broken pipe: the recording ends here\n$/);
    } finally {
      work.remove();
    }
  });

  it('a full disk ends the recording with one line', async () => {
    const net = 'stack=lwip,vnl=hub://,eth,ip=10.0.0.1/24';
    const { code, stderr } = await umvu(['--pcap', '/dev/full', '--net', net, 'true'], { as: who });
    expect(code).toBe(0);
    expect(stderr).toBe('umvu: warn: capture: /dev/full: no space left on device: the recording ends here\n');
  });

  it.each([
    [['--pcap', '/nowhere/file', 'true'], 'umvu: /nowhere/file: no such file or directory\n'],
    [['--pcap', '/', 'true'], 'umvu: /: illegal operation on a directory\n'],
    [
      ['--pcap', '-', 'true'],
      'umvu: option --pcap: standard output is for the command; name a file or FIFO\n',
    ],
    [
      ['--pcap', 'f', '--net', 'stack=kernel', 'true'],
      'umvu: --pcap: the network of the host (stack=kernel) is not recorded\n',
    ],
  ])('%j is refused', async (words, line) => {
    const { code, stdout, stderr } = await umvu(words, { as: who });
    expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
    expect(stderr.startsWith(line), stderr).toBe(true);
  });
});
