/** The same commands of real programs, in the kernel and in something that claims to be like it. */
import { describe, expect, it } from 'vitest';
import type { ExecResult } from '../../helpers/exec.ts';
import { inKernel } from './kernel.ts';

/** What both know, without what only the kernel has: the other end of the pair, counters, times. */
function normal(text: string): string[] {
  return text
    .replaceAll(/ link-netnsid 0|,M-DOWN/g, '')
    .replaceAll(/ uid \d+/g, ' uid')
    .replaceAll(/([de]0)@(if\d+|NONE|[de]0):/g, '$1:')
    .split('\n')
    .filter((line) => !/NO-CARRIER|LOWERLAYERDOWN|NOARP|^\s*$/.test(line))
    .map((line) => line.replace(/\b(RX|TX)\b.*/, '$1').trimEnd());
}

const CONFIGURE = `
ip link set lo up
ip addr add 10.0.0.1/24 dev d0
ip addr add 10.0.0.2/24 dev d0
ip addr add 10.9.0.1/32 dev d0
ip link set d0 up
ip addr add 192.168.5.1/24 broadcast 192.168.5.255 dev d0 label d0:x
ip addr add fd00::1/64 dev d0 nodad
ip route add default via 10.0.0.254
ip route add 172.16.0.0/12 via 10.0.0.3 metric 50
ip route add 172.17.0.0/16 dev d0 src 10.9.0.1
ip -6 route add default via fd00::ff
ip route add unreachable 10.200.0.0/16
ip -6 route add unreachable fd01::/64
ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev d0
ip neigh add fd00::9 lladdr 02:00:00:00:00:09 dev d0
`;
const SHOW = `
ip -o link
ip -o addr
ip -6 -o addr show dev d0 scope link
ip addr show d0 to 10.0.0.0/8
ip addr show label d0:x
ip -d route show table main
ip -6 -d route show table main
ip -d route show table local
ip -6 -d route show table local
ip route show proto kernel
ip route show 172.16.0.0/12
ip neigh show dev d0
ip neigh show nud permanent
ip rule
ip -6 rule
`;

/** Where the commands run: with lo, down, and the Ethernet interface d0, down, with address 02:00:00:00:00:01. */
export interface Subject {
  /** Index of d0. */
  index: number;
  run: (script: string) => Promise<ExecResult>;
  /** Whether it may run several scripts at the same time; they mostly wait. */
  concurrent?: boolean;
}

/** Defines the tests: each compares with the kernel what `subject` makes of some commands. */
export function compareWithKernel({ index, run, concurrent = false }: Subject): void {
  const group = concurrent ? describe.concurrent : describe;

  /** Runs the script in both and expects the same text; every command is echoed. */
  async function same(commands: string, settle = false): Promise<string[]> {
    const script = `exec 2>&1; set -x; ${settle ? commands.replaceAll('d0 up\n', 'd0 up\nsleep 1.2\n') : commands}`;
    const [kernel, ours] = await Promise.all([inKernel(script, index), run(script)]);
    expect(normal(ours.stdout)).toEqual(normal(kernel.stdout));
    return normal(ours.stdout);
  }

  group('iproute2 configures and shows a host', () => {
    it('with addresses, routes, neighbours and rules', async () => {
      const text = await same(CONFIGURE + SHOW, true);
      expect(text.join('\n')).toContain('fe80::ff:fe00:1/64');
    });

    it('and asks for routes', async () => {
      const destinations = [
        '10.0.0.5', '10.0.0.1', '8.8.8.8', '127.0.0.1', '10.0.0.255', '10.200.1.1', '172.17.2.2',
        '172.20.0.1', 'fd00::5', 'fd00::1', '2001::1', 'fd01::1',
      ]; // prettier-ignore
      await same(CONFIGURE + destinations.map((d) => `ip route get ${d}`).join('\n'), true);
    });

    it('which loses what a link had when that goes down, and gets it back', async () => {
      const show = 'ip -o addr\nip route show table all\nip -6 route show table all\nip neigh\n';
      await same(`${CONFIGURE}ip link set d0 down\n${show}ip link set d0 up\n${show}`, true);
    });

    it('and flushes it', async () => {
      const commands = `
ip neigh flush dev d0 nud permanent
ip neigh
ip route flush root 172.16.0.0/12
ip route show
ip addr flush dev d0 label d0:x
ip addr flush dev d0 scope global
ip -o addr show dev d0
ip route show table all
ip -6 route show table all`;
      await same(CONFIGURE + commands, true);
    });

    it('with the same refusals', async () => {
      await same(`
ip addr add 10.0.0.1/24 dev d0
ip addr add 10.0.0.1/24 dev d0
ip addr replace 10.0.0.1/24 dev d0 valid_lft forever preferred_lft forever
ip addr del 10.0.0.9/24 dev d0
ip addr del fd00::9/64 dev d0
ip addr add 10.0.0.1/24 dev nosuch
ip addr add 0.0.0.0/0 dev d0
ip addr add ff02::1/64 dev d0
ip route add 1.2.3.0/24 dev d0
ip route add 1.2.3.0/24 via 10.0.0.254 dev d0
ip -6 route add fd09::/64 dev d0
ip link set d0 up
ip addr add fd00::1/64 dev d0 nodad
ip addr add fd00::1/64 dev d0 nodad
ip route add default via 10.0.0.254
ip route add default via 10.0.0.254
ip route add default via 10.0.0.253 metric 7
ip route add 1.2.3.0/24 via 10.0.0.1
ip route add 1.2.4.0/24 via 11.0.0.1
ip route add 1.2.5.0/24
ip route add 1.2.3.4/24 via 10.0.0.254
ip route add 1.2.6.0/24 via 10.0.0.254 src 9.9.9.9
ip route add 1.2.7.0/24 via 11.0.0.1 dev d0 onlink
ip route del 1.2.3.0/24 via 10.0.0.77
ip route del 1.2.3.0/24
ip route del 1.2.3.0/24
ip route change 1.2.3.0/24 via 10.0.0.254
ip route replace default via 10.0.0.253
ip route append default via 10.0.0.252
ip route add unreachable 1.2.8.0/24 metric 3
ip -6 route add fd05::/64 via fd00::1
ip -6 route add fd05::/64 via fd77::1
ip -6 route add fd05::/64 via fe80::1
ip -6 route add fd05::/64 via fe80::1 dev d0
ip -6 route add fd05::/64 via fe80::1 dev d0
ip -6 route del fd06::/64
ip route show
ip -6 route show
ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev d0
ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev d0
ip neigh replace 10.0.0.9 lladdr 02:00:00:00:00:0a dev d0
ip neigh add 10.0.0.10 dev d0
ip neigh del 10.0.0.19 dev d0
ip neigh
ip neigh get 10.0.0.9 dev d0
ip route show table 77
ip -6 route show table 77
ip route add 1.2.9.0/24 dev d0 table 77
ip route show table 77
ip link set d0 mtu 14000000
ip link set d0 mtu 20
ip link set d0 name lo
ip link set d0 name a/b
ip link set d0 address 01:00:00:00:00:00
ip link del lo
ip link add foo type nonesuch
ip link set nosuch up
ip link show nosuch
ip link property add dev d0 altname longname-of-an-interface
ip -o link show longname-of-an-interface
ip link property add dev d0 altname lo
ip link property del dev d0 altname longname-of-an-interface
ip link set d0 mtu 1400 txqueuelen 55
ip link set d0 name e0
ip -o link show e0
ip -o -4 addr show
ip addr del 10.0.0.1 dev e0
ip -o -4 addr show
`);
    });

    it('and tells what happens to monitors', async () => {
      const steps = [
        'ip addr add 10.0.0.1/24 dev d0', 'ip link set lo up', 'ip link set d0 up; sleep 1.2', 'ip addr add 10.0.0.2/24 dev d0',
        'ip addr add fd00::1/64 dev d0 nodad', 'ip route add default via 10.0.0.254',
        'ip route add 1.2.3.0/24 via 10.0.0.1', 'ip route del 1.2.3.0/24', 'ip route replace default via 10.0.0.253',
        'ip -6 route add fd05::/64 via fe80::1 dev d0', 'ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev d0',
        'ip addr del 10.0.0.1/24 dev d0', 'ip link set d0 down', 'ip addr add 10.0.0.2/24 dev d0', 'ip link set d0 mtu 1400',
        'ip link set d0 name e0',
      ]; // prettier-ignore
      // One after another: the kernel announces some of what follows from a change a moment later.
      const body = steps.map((step) => `${step}; sleep 0.1`).join('\n');
      const script = `f=$(mktemp); ip -o monitor link address route neigh label > $f & sleep 0.3\n${body}\nkill $!; cat $f; rm $f`;
      const [kernel, ours] = await Promise.all([inKernel(script, index), run(script)]);
      // Whether the carrier comes with the link or after it is the driver's affair.
      const events = (text: string): string[] =>
        normal(text).filter((line) => !/^\[LINK\]\d: d0: .*UP/.test(line));
      const sorted = (text: string): string[] => events(text).sort();
      expect(sorted(ours.stdout)).toEqual(sorted(kernel.stdout));
      expect(events(ours.stdout).length).toBeGreaterThan(30);
    });
  });

  group('other programs', () => {
    it('busybox shows the same', async () => {
      const show = [
        'ip addr',
        'ip -4 route',
        'ip -6 route show table main',
        'ip link',
        'ip neigh',
        'ip rule',
        'route -n',
        'arp -n',
      ];
      await same(CONFIGURE + show.map((line) => `busybox ${line}`).join('\n'), true);
    });

    it('busybox configures', async () => {
      await same(
        `
busybox ip link set d0 up
busybox ip addr add 10.1.0.1/16 brd + dev d0
busybox ip route add default via 10.1.0.2
busybox ip -o addr show dev d0
busybox ip route
busybox ip route del default
busybox ip addr flush dev d0
ip -o -4 addr
`,
        true,
      );
    });

    it('net-tools show the same', async () => {
      await same(
        `${CONFIGURE}
sh -c 'ifconfig | sort'
ifconfig d0:x
ifconfig nosuch
route -n
sh -c 'route -6 -n | sed "s/ *[0-9]*  *[0-9]* *[a-z0-9]*$//" | sort'
arp -n
arp -n 10.0.0.9
`,
        true,
      );
    });

    it('net-tools configure', async () => {
      await same(
        `
ifconfig lo up
ifconfig d0 10.2.3.4
sleep 1.2
ifconfig d0
ifconfig d0 10.2.3.4 netmask 255.255.255.0
ip -o addr show d0
ifconfig d0 netmask 255.255.0.0 mtu 1300 txqueuelen 77
ip -o addr show d0
ifconfig d0:1 10.7.7.7 netmask 255.255.255.0 broadcast 10.7.7.99
ip -o addr show d0
ifconfig d0 add fd00::5/64
ifconfig d0:1 down
ifconfig d0 hw ether 02:00:00:00:00:77
ip -o addr show d0
ip -o link show d0
route add default gw 10.2.0.1
route add -net 10.99.0.0/16 gw 10.2.0.2 metric 3
route add -net 10.98.0.0/16 dev d0
route add -host 10.97.0.1 reject
route add -net 10.96.0.0/16 gw 99.0.0.2
route -A inet6 add fd07::/64 gw fd00::7
ip route show
ip -6 route show dev d0 proto boot
route del default
route del -net 10.99.0.0/16
route del -net 10.99.0.0/16
route -A inet6 del fd07::/64 gw fd00::7
ip route show
arp -s 10.2.0.9 02:00:00:00:00:09
ip neigh show 10.2.0.9
arp -d 10.2.0.9
arp -d 10.2.0.10
ifconfig d0 0.0.0.0
ip -o -4 addr show d0
ifconfig d0 down
ip -o link show d0
`,
        true,
      );
    });
  });
}
