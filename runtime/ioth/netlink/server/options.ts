/** What a client sets on its netlink socket: the flags of level SOL_NETLINK and the multicast groups. */
import { Errno } from '../../../errno.ts';
import { viewOf } from '../wire.ts';
import { words } from './attributes.ts';
import { NETLINK, RTNLGRP_MAX } from './constants.ts';

const FLAGS: readonly number[] = [
  NETLINK.PKTINFO,
  NETLINK.BROADCAST_ERROR,
  NETLINK.NO_ENOBUFS,
  NETLINK.LISTEN_ALL_NSID,
  NETLINK.CAP_ACK,
  NETLINK.EXT_ACK,
  NETLINK.GET_STRICT_CHK,
];

export class SocketOptions {
  /** Those that are on. */
  readonly flags = new Set<number>();
  readonly groups = new Set<number>();

  /** nl_groups: the first 32 groups. */
  get mask(): number {
    let mask = 0;
    for (const group of this.groups) if (group <= 32) mask |= 1 << (group - 1);
    return mask >>> 0;
  }

  set mask(mask: number) {
    for (let group = 1; group <= 32; group++) {
      if ((mask >>> (group - 1)) & 1) this.groups.add(group);
      else this.groups.delete(group);
    }
  }

  /** ENOPROTOOPT for an option that there is not, EINVAL for a group. */
  set(option: number, value: Uint8Array): void {
    const number = value.length >= 4 ? viewOf(value).getInt32(0, true) : 0;
    if (option === NETLINK.ADD_MEMBERSHIP || option === NETLINK.DROP_MEMBERSHIP) {
      if (number < 1 || number > RTNLGRP_MAX) throw new Errno('EINVAL');
      if (option === NETLINK.ADD_MEMBERSHIP) this.groups.add(number);
      else this.groups.delete(number);
    } else if (!FLAGS.includes(option)) {
      throw new Errno('ENOPROTOOPT');
    } else if (number !== 0) {
      this.flags.add(option);
    } else {
      this.flags.delete(option);
    }
  }

  /** The value's bytes; ENOPROTOOPT. */
  get(option: number): Uint8Array {
    if (FLAGS.includes(option)) return words(this.flags.has(option) ? 1 : 0);
    if (option !== NETLINK.LIST_MEMBERSHIPS) throw new Errno('ENOPROTOOPT');
    const masks = [0, 0];
    for (const group of this.groups) {
      const word = (group - 1) >> 5;
      masks[word] = (masks[word] ?? 0) | (1 << ((group - 1) & 31));
    }
    return words(...masks.map((mask) => mask >>> 0));
  }
}
