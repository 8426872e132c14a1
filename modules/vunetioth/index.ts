/**
 * vunetioth: IoTh network stacks, mounted on paths.
 *
 *     vumount -t vunetioth -o vxvde://234.0.0.1 vdestack /dev/net/mystack
 *     vustack /dev/net/mystack ip addr
 *
 * The source of the mount names the driver of the stack (vdestack, kernel, null, or one made with defineStack),
 * the options name its networks and may configure it (options.ts). What processes see of a stack besides its
 * sockets is in rules.ts.
 */
import { Errno } from '../../runtime/errno.ts';
import { newStackFromConfig } from '../../runtime/ioth/newstack.ts';
import { defineModule, type MountRequest } from '../../runtime/modules/define.ts';
import type { Mount, NodeAttributes, VirtualNode } from '../../runtime/vm/mounts.ts';
import type { Vm } from '../../runtime/vm/vm.ts';
import { configOf } from './options.ts';
import { stackRules } from './rules.ts';

/** File type of a stack (IOTH-FACTS §13). */
const S_IFSTACK = 0o160000;

let lastInode = 0;

/** The file that a stack is: it can be looked at, owned and protected, but not opened. */
function stackNode(uid: number, gid: number): VirtualNode {
  const attributes: NodeAttributes = {
    mode: S_IFSTACK | 0o777,
    uid,
    gid,
    ino: ++lastInode,
    time: Math.floor(Date.now() / 1000),
    size: 0,
  };
  return {
    attributes,
    changeable: true,
    open: () => {
      // As for the file of a socket, which S_IFSTACK resembles most (open(2)).
      throw new Errno('ENXIO');
    },
  };
}

async function mount(vm: Vm, request: MountRequest): Promise<Mount> {
  const stack = await newStackFromConfig(configOf(request.source, request.data), await vm.ioth());
  if (stack.emulated && !vm.traps('listen')) {
    await stack.close();
    const why = `this umvu was started for stacks of the kernel; ${stack.driver} needs one that was started for it`;
    throw new Errno('EOPNOTSUPP', why);
  }
  const who = request.process?.credentials();
  return {
    type: request.type,
    source: request.source || stack.driver,
    target: request.target,
    options: request.data,
    stack,
    node: stackNode(who?.uid ?? vm.uid, who?.gid ?? process.getegid!()),
    busy: () => (stack.inUse() ? `sockets of ${request.target} are open` : undefined),
    unmount: () => stack.close(),
  };
}

export default defineModule({
  name: 'vunetioth',
  summary: 'IoTh network stacks',
  syscalls: ['%network'],
  create({ vm }) {
    const rules = stackRules(vm);
    for (const rule of rules) vm.addRule(rule);
    return {
      mount: (request) => mount(vm, request),
      close() {
        for (const rule of rules) vm.removeRule(rule);
      },
    };
  },
});
