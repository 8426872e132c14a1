/** The extra system call by which guests ask for modules, stacks and views (guests/include/vu.h). */
import { readlinkSync } from 'node:fs';
import { Errno, ERRNO } from '../errno.ts';
import { SOCK, type Stack } from '../ioth/stack.ts';
import { version } from '../version.ts';
import { requireOwner } from '../vm/access.ts';
import type { Call } from '../vm/call.ts';
import type { Mount } from '../vm/mounts.ts';
import { absolutePath, mountPoint } from '../vm/paths.ts';
import type { Handler } from './handler.ts';
import { withReason } from './mount.ts';
import type { Answer } from './outcome.ts';
import { socketOf } from './socket.ts';

const NAME_MAX = 255;

/** Writes `text` and a NUL into a buffer of the guest; the result is its length. ERANGE where it has no room. */
function answerText(call: Call, address: number, size: number, text: string): number {
  const bytes = Buffer.from(`${text}\0`, 'latin1');
  if (bytes.length > size) throw new Errno('ERANGE');
  call.write(address, bytes);
  return bytes.length - 1;
}

/** Text for guests is bytes: what TypeScript code wrote becomes UTF-8, byte strings stay as they are. */
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

function info(call: Call): number {
  const { view } = call.process;
  const lines = { version, server: process.pid, view: view.name, viewid: view.id, depth: view.depth };
  const text = Object.entries(lines).map(([key, value]) => `${key}=${value}\n`);
  return answerText(call, call.arg(1), call.arg(2), text.join(''));
}

/** A module is code that the supervisor runs: only its own user may bring one, and not by path in a sealed VM. */
function insmod(call: Call): Answer {
  requireOwner(call.process, call.vm.uid);
  const name = call.readString(call.arg(1));
  if (call.vm.sealed && name.includes('/')) throw new Errno('EPERM');
  const permanent = call.int(2) !== 0;
  const cwd = name.includes('/') ? readlinkSync(`/proc/${call.tid}/cwd`) : '/';
  return withReason(call, () =>
    call.vm.insertModule(Buffer.from(name, 'latin1').toString('utf8'), { permanent, cwd }),
  );
}

function rmmod(call: Call): Answer {
  requireOwner(call.process, call.vm.uid);
  const name = call.readString(call.arg(1), NAME_MAX);
  return withReason(call, () => call.vm.removeModule(name));
}

function lsmod(call: Call): number {
  const lines = call.vm.modules.list().map(({ name, summary }) => `${name}: ${summary}\n`);
  return answerText(call, call.arg(1), call.arg(2), utf8(lines.join('')));
}

/** Words of fstab(5) cannot hold blanks: they become octal escapes, as in /proc/mounts. */
const escape = (word: string): string =>
  word.replace(/[\s\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`) || 'none';

function mounts(call: Call): number {
  const lines = call.process.view.mounts
    .list()
    .map(
      ({ source, target, type, options }) =>
        `${[source, target, type, options || 'rw'].map(escape).join(' ')} 0 0\n`,
    );
  return answerText(call, call.arg(1), call.arg(2), lines.join(''));
}

/** Uses the stack at a path of the guest. ENOENT where nothing is mounted, ENOTSOCK where something else is. */
function withStack(call: Call, address: number, use: (mount: Mount & { stack: Stack }) => Answer): Answer {
  const at = (path: string): Answer => {
    const mount = call.process.view.mounts.at(path);
    if (!mount) throw new Errno('ENOENT', `no stack is mounted at ${path}`);
    if (!mount.stack) throw new Errno('ENOTSOCK', `${path} is not a stack`);
    return use(mount as Mount & { stack: Stack });
  };
  const text = call.readString(address);
  const written = absolutePath(call, text);
  return call.process.view.mounts.at(written) ? at(written) : mountPoint(call, text, true).then(at);
}

/** msocket(path, domain, type, protocol), with SOCK_DEFAULT to choose a default (IOTH-FACTS §13). */
function msocket(call: Call): Answer {
  call.process.lastError = '';
  const named = call.arg(1) !== 0;
  const use = (mount: Mount | undefined): Answer => socketOrDefault(call, mount);
  return named ? withStack(call, call.arg(1), use) : use(call.process.stackMount(call.int(2)));
}

function socketOrDefault(call: Call, mount: Mount | undefined): Answer {
  const [domain, type, protocol] = [call.int(2), call.int(3), call.int(4)];
  if ((type & SOCK.TYPE_MASK) !== SOCK.DEFAULT) {
    // Without a stack the default is the host, where a guest can make its socket itself.
    if (!mount) throw new Errno('ENXIO');
    return socketOf(mount, call, domain, type, protocol);
  }
  if (!mount?.stack) throw new Errno('EINVAL');
  const { stack } = mount;
  if (domain !== 0 && !stack.isHost && !stack.families.has(domain)) throw new Errno('EAFNOSUPPORT');
  const chosen = new Map(call.process.defaults);
  for (const family of domain === 0 ? FAMILIES : [domain]) chosen.set(family, mount);
  call.vm.setDefaults(call.process, chosen);
  return 0;
}

/** Families that "all families" covers: also those that a stack lacks, so that it never falls back. */
const FAMILIES = [2, 10, 16, 17];

/** Back to the host's network, for one family or for all. */
function hostnet(call: Call): number {
  const domain = call.int(1);
  const chosen = new Map(call.process.defaults);
  for (const family of domain === 0 ? FAMILIES : [domain]) chosen.set(family, null);
  call.vm.setDefaults(call.process, chosen);
  return 0;
}

function families(call: Call): Answer {
  return withStack(call, call.arg(1), ({ stack }) => {
    const numbers = stack.isHost ? FAMILIES : [...stack.families];
    return answerText(call, call.arg(2), call.arg(3), numbers.join(' '));
  });
}

/** Only the user whose view it is may name it: others see the name too. */
function setname(call: Call): number {
  const { view } = call.process;
  requireOwner(call.process, view.owner ?? call.vm.uid);
  const name = call.readString(call.arg(1), NAME_MAX);
  // VU_INFO has a line for each value.
  if (/[\u0000-\u001f\u007f]/.test(name)) throw new Errno('EINVAL');
  view.name = name;
  return 0;
}

/** By number of the operation, as in enum vu_operation. */
const OPERATIONS: readonly ((call: Call) => Answer)[] = [
  info,
  insmod,
  rmmod,
  lsmod,
  msocket,
  mounts,
  setname,
  (call) => call.vm.newView(call.process).id,
  (call) => answerText(call, call.arg(1), call.arg(2), utf8(call.process.lastError)),
  hostnet,
  families,
];

const vuctl: Handler = (call) => {
  const operation = OPERATIONS[call.int(0)];
  return operation ? operation(call) : -ERRNO['EINVAL']!;
};

export const vuHandlers = { vuctl } as const;
