/**
 * The server side of rtnetlink for stacks that are not the kernel's (libnlq, IOTH-FACTS §10.2). Pure code: it
 * opens no socket and starts no timer.
 *
 * A stack provides a {@link NetlinkTable}: for links, addresses, routes and neighbours the handlers search, get,
 * new, set and del over plain records ({@link memoryTable} is a complete one). Handlers throw Errno; a text given
 * with it reaches the client as an extended acknowledgement. Then, once per stack:
 *
 *     const server = new NetlinkServer(table);
 *
 * and for each AF_NETLINK socket of a guest:
 *
 *     const peer = server.connect({ send: (datagram, group) => …, pid, uid, mayConfigure: () => … });
 *
 * | the guest calls             | the stack calls                                                        |
 * |-----------------------------|------------------------------------------------------------------------|
 * | bind, connect               | `peer.bind(nl_pid, nl_groups)`; connect to the kernel: `peer.autobind()` |
 * | getsockname                 | `peer.port`, `peer.groupMask`; getpeername: 0 and 0                    |
 * | setsockopt, getsockopt      | level SOL_NETLINK: `peer.setOption`, `peer.getOption`                  |
 * | send, write, sendto, sendmsg | nl_pid 0: `peer.receive(datagram)`; another nl_pid is ECONNREFUSED    |
 * | recv, read, recvmsg         | `peer.readerBuffer(size)` first where the size is known; the sender is nl_pid 0, nl_groups `group ? 1 << (group - 1) : 0`; ENOBUFS when `peer.takeOverrun()` |
 * | room again after a full one | `peer.resume()` (`send` returned false)                                 |
 * | close                       | `peer.close()`                                                         |
 * | ioctl SIOC…                 | `server.ioctl(request, structure, { family, device })`; {@link interfaceList} for SIOCGIFCONF; {@link argumentSize} tells how much to copy in and, for requests that read, out |
 * | open /proc/net/…            | {@link procNetDev} and its like                                        |
 *
 * `send` gets whole datagrams, which keep their boundaries: a SOCK_SEQPACKET or SOCK_DGRAM pair suits. A dump is
 * made datagram by datagram as they are taken, so a guest that never reads costs one request's worth of memory
 * and SO_RCVBUF of notifications. The first datagrams have at most 3776 bytes, as in the kernel: glibc reads with
 * a buffer of one page.
 *
 * Changes that clients make are announced to the multicast groups by the server. What the stack changes by itself
 * (SLAAC, carrier, neighbours) it announces with `server.notify('addr', record)`. A table that has `watch` tells
 * all of its changes itself.
 */
export * from './records.ts';
export { NetlinkServer } from './server.ts';
export { NetlinkPeer, type PeerOptions } from './peer.ts';
export { type Protocol, routeProtocol } from './protocol.ts';
export { type SocketRecord, sockDiag } from './sock-diag.ts';
export { findRoute, lookupRoute } from './lookup.ts';
export {
  IFREQ_SIZE,
  SIOC,
  type NetdeviceContext,
  argumentSize,
  interfaceList,
  ioctlChanges,
  isNetdevice,
  netdeviceIoctl,
} from './netdevice.ts';
export { procNetArp, procNetDev, procNetIfInet6, procNetIpv6Route, procNetRoute } from './proc.ts';
export { type MemoryOptions, type MemoryTable, memoryTable } from './memory/index.ts';
export { IFLA_VDE_VNL, NETLINK, RTNLGRP, SOL_NETLINK } from './constants.ts';
