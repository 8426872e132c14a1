/** What a stack in user space shows in /proc/net, /proc/sys/net and /sys/class/net. */
import { Errno } from '../../errno.ts';
import type { NativeLwipStack } from '../../native.ts';
import { formatMac } from '../netlink/address.ts';
import { IFF_, IF_OPER } from '../netlink/server/constants.ts';
import {
  type LinkRecord, procNetArp, procNetDev, procNetIfInet6, procNetIpv6Route, procNetRoute,
} from '../netlink/server/index.ts'; // prettier-ignore
import { linkRequest, setObject } from '../netlink/server/operations.ts';
import type { StackFile } from '../stack.ts';
import { procNetSockets, snmp, sockstat } from './connections.ts';
import type { LwipTable } from './table.ts';

/** A directory: what is in it, by name. A function makes a directory when it is looked at. */
type Entry = StackFile | (() => Directory);
type Directory = ReadonlyMap<string, Entry>;

const directory = (entries: Record<string, Entry>): Directory => new Map(Object.entries(entries));
const text = (read: () => string): StackFile => ({ read });
const fixed = (value: string): StackFile => text(() => `${value}\n`);

/** RFC 2863, as sysfs spells it. */
const OPER_STATES = new Map<number, string>([
  [IF_OPER.UNKNOWN, 'unknown'], [IF_OPER.DOWN, 'down'], [IF_OPER.LOWERLAYERDOWN, 'lowerlayerdown'], [IF_OPER.UP, 'up'],
]); // prettier-ignore

/** The number in what was written to a file; EINVAL. */
function numberIn(written: string): number {
  const trimmed = written.trim();
  if (!/^-?(0x[0-9a-f]+|[0-9]+)$/i.test(trimmed)) throw new Errno('EINVAL');
  return Number(trimmed);
}

export class StackFiles {
  readonly #native: NativeLwipStack;
  readonly #table: LwipTable;
  readonly #root: Directory;
  readonly #forwarding = { inet: false, inet6: false };

  constructor(native: NativeLwipStack, table: LwipTable) {
    this.#native = native;
    this.#table = table;
    const root = (entries: () => Directory): Entry => entries;
    this.#root = new Map<string, Entry>([
      [
        'proc',
        root(() =>
          directory({ net: () => this.#procNet(), sys: () => directory({ net: () => this.#sysctl() }) }),
        ),
      ],
      [
        'sys',
        root(() =>
          directory({
            class: () => directory({ net: () => this.#devices() }),
            devices: () => directory({ virtual: () => directory({ net: () => this.#devices() }) }),
          }),
        ),
      ],
    ]);
  }

  /** The file at an absolute path, or the names in the directory there. */
  find(path: string): StackFile | readonly string[] | undefined {
    let here: Directory = this.#root;
    const names = path.split('/').filter(Boolean);
    for (const [i, name] of names.entries()) {
      const entry = here.get(name);
      if (entry === undefined) return undefined;
      if (typeof entry !== 'function') return i === names.length - 1 ? entry : undefined;
      here = entry();
    }
    return [...here.keys()];
  }

  #procNet(): Directory {
    const table = this.#table;
    const sockets = (name: string): StackFile => text(() => procNetSockets(name, this.#native.connections()));
    return directory({
      arp: text(() => procNetArp(table)),
      dev: text(() => procNetDev(table)),
      if_inet6: text(() => procNetIfInet6(table)),
      ipv6_route: text(() => procNetIpv6Route(table)),
      route: text(() => procNetRoute(table)),
      ...Object.fromEntries(SOCKET_FILES.map((name) => [name, sockets(name)])),
      snmp: text(() => snmp(this.#native.connections())),
      sockstat: text(() => sockstat(false, this.#native.connections())),
      sockstat6: text(() => sockstat(true, this.#native.connections())),
      // Programs read these whole, and take it that there is nothing in them.
      dev_mcast: text(() => ''),
      igmp6: text(() => ''),
      netlink: text(
        () => 'sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n',
      ),
      packet: text(() => 'sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n'),
      unix: text(() => 'Num       RefCount Protocol Flags    Type St Inode Path\n'),
    });
  }

  #devices(): Directory {
    return new Map([...this.#table.link.get()].map((link) => [link.name, () => this.#device(link.index)]));
  }

  /** /sys/class/net/NAME. */
  #device(index: number): Directory {
    const link = this.#table.link.search(linkRequest(index), 'get');
    if (!link) return new Map();
    const { stats, flags } = link;
    const counters = {
      rx_bytes: stats.rxBytes, rx_packets: stats.rxPackets, rx_errors: stats.rxErrors, rx_dropped: stats.rxDropped,
      tx_bytes: stats.txBytes, tx_packets: stats.txPackets, tx_errors: stats.txErrors, tx_dropped: stats.txDropped,
      collisions: stats.collisions, multicast: stats.multicast,
    }; // prettier-ignore
    const statistics = Object.entries(counters).map(([name, n]): [string, Entry] => [
      name,
      fixed(`${n ?? 0}`),
    ]);
    return directory({
      addr_len: fixed('6'),
      address: fixed(formatMac(link.address)),
      broadcast: fixed(formatMac(link.broadcast)),
      carrier: {
        read: () => {
          if ((flags & IFF_.UP) === 0) throw new Errno('EINVAL');
          return `${link.carrier ? 1 : 0}\n`;
        },
      },
      dev_id: fixed('0x0'),
      dormant: fixed('0'),
      flags: fixed(`0x${(flags & 0xffff & ~IFF_.RUNNING).toString(16)}`),
      ifalias: text(() => ''),
      ifindex: fixed(`${index}`),
      iflink: fixed(`${link.parent ?? index}`),
      link_mode: fixed('0'),
      mtu: this.#linkNumber(link, link.mtu, (mtu) => ({ mtu })),
      operstate: fixed(OPER_STATES.get(link.operState) ?? 'unknown'),
      statistics: () => new Map(statistics),
      tx_queue_len: this.#linkNumber(link, link.queueLength, (queueLength) => ({ queueLength })),
      type: fixed(`${link.hardware}`),
      uevent: fixed(`INTERFACE=${link.name}\nIFINDEX=${index}`),
    });
  }

  #linkNumber(link: LinkRecord, value: number, change: (value: number) => object): StackFile {
    return {
      read: () => `${value}\n`,
      write: (written) => {
        const request = linkRequest(link.index, change(numberIn(written)));
        setObject(this.#table, { kind: 'link', request }, () => {});
        this.#table.settle();
      },
    };
  }

  /** /proc/sys/net: what can be set is whether packets for others are passed on. */
  #sysctl(): Directory {
    const forwarding = (family: 'inet' | 'inet6'): StackFile => ({
      read: () => `${this.#forwarding[family] ? 1 : 0}\n`,
      write: (written) => {
        this.#forwarding[family] = numberIn(written) !== 0;
        this.#native.setForwarding(this.#forwarding.inet, this.#forwarding.inet6);
      },
    });
    const acceptDad: StackFile = {
      read: () => `${this.#table.acceptDad ? 1 : 0}\n`,
      write: (written) => {
        this.#table.acceptDad = numberIn(written) > 0;
      },
    };
    const conf = (family: 'inet' | 'inet6', more: Record<string, Entry>) => (): Directory => {
      const names = [...this.#table.link.get()].map(({ name }) => name);
      const one = (): Directory => directory({ forwarding: forwarding(family), ...more });
      return new Map(['all', 'default', ...names].map((name) => [name, one]));
    };
    return directory({
      core: () => directory({ somaxconn: fixed('4096') }),
      ipv4: () =>
        directory({
          ip_forward: forwarding('inet'),
          conf: conf('inet', {}),
          ip_default_ttl: fixed('64'),
          ip_local_port_range: fixed('32768\t60999'),
          ip_unprivileged_port_start: fixed('0'),
          ping_group_range: fixed('0\t2147483647'),
        }),
      ipv6: () =>
        directory({
          conf: conf('inet6', { accept_dad: acceptDad, accept_ra: fixed('1'), disable_ipv6: fixed('0') }),
        }),
    });
  }
}

/** Files of /proc/net that list sockets. */
const SOCKET_FILES = ['tcp', 'tcp6', 'udp', 'udp6', 'udplite', 'udplite6', 'raw', 'raw6', 'icmp', 'icmp6'];
