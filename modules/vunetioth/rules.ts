/** What a process sees of its stack in the file tree. */
import { AF } from '../../runtime/ioth/stack.ts';
import {
  mountsRule,
  procNetRule,
  sysClassNetRule,
  sysctlNetRule,
  textFile,
} from '../../runtime/syscalls/path/rules.ts';
import type { PathRule } from '../../runtime/vm/mounts.ts';
import type { Process } from '../../runtime/vm/process.ts';
import type { Vm } from '../../runtime/vm/vm.ts';

/** The stack whose names and devices a process sees: that of its Internet sockets. */
const stackOf = (process: Process) =>
  process.stack(AF.INET) ?? process.stack(AF.INET6) ?? process.stack(AF.NETLINK);

/**
 * Sockets of the host's resolvers: nscd, systemd-resolved, mDNS, and the NSS modules that ask systemd for the
 * names of containers. Whoever could talk to them would resolve names with the host's network (DESIGN §9).
 */
const RESOLVERS = [
  '/run/nscd',
  '/run/systemd/resolve',
  '/run/systemd/machine',
  '/run/avahi-daemon/socket',
  '/run/libvirt/network',
  '/run/dnsmasq',
  '/var/run/nscd',
];

function resolverRule(prefix: string): PathRule {
  return {
    prefix,
    claim: (_path, process) => (stackOf(process) ? { kind: 'deny', errno: 'ENOENT' } : undefined),
  };
}

/**
 * /etc/resolv.conf of the stack. Where `dns=` was not given it is empty, so that the resolver asks port 53 of
 * the stack's own loopback and no server of the host.
 */
function resolvConfRule(): PathRule {
  return textFile('/etc/resolv.conf', (process) => {
    const stack = stackOf(process);
    return stack && (stack.resolvConf ?? '# umvu: the stack of this process has no dns=\n');
  });
}

/** The rules that the module adds to the views of `vm`. */
export function stackRules(vm: Vm): PathRule[] {
  return [
    ...RESOLVERS.map(resolverRule),
    resolvConfRule(),
    ...procNetRule((pid) => vm.processes.get(pid), stackOf),
    ...sysClassNetRule(stackOf),
    sysctlNetRule(stackOf),
    ...mountsRule((pid) => vm.processes.get(pid)),
  ];
}
