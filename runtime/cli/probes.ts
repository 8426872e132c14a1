/**
 * Questions to this machine, each answered by trying the thing where that is possible: what a version number
 * promises may be forbidden by a sandbox, a policy or a missing file.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync, readdirSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { errnoName } from '../errno.ts';
import { guestBinDir, guestLibexecDir, native, nativeDir, type NativeAddon } from '../native.ts';

/** An answer: the thing is there, or it is not, and a few words on how that is known. */
export interface Finding {
  ok: boolean;
  detail: string;
}

const good = (detail: string): Finding => ({ ok: true, detail });
const bad = (detail: string): Finding => ({ ok: false, detail });

/** The addon, or undefined while it is not built: each probe then says that it could not look. */
export function addon(): NativeAddon | undefined {
  try {
    return native();
  } catch {
    return undefined;
  }
}
const blind = bad('cannot be tried without the addon');

/** True when the running kernel is at least `major.minor`. */
export function kernelAtLeast(major: number, minor: number, text = release()): boolean {
  const [, a = '0', b = '0'] = /^(\d+)\.(\d+)/.exec(text) ?? [];
  return Number(a) > major || (Number(a) === major && Number(b) >= minor);
}

/** The first line of a file of procfs, or undefined where there is none. */
export function sysctl(name: string): string | undefined {
  try {
    return readFileSync(join('/proc/sys', name), 'utf8').trim();
  } catch {
    return undefined;
  }
}

export const builtAddon = (): Finding => {
  try {
    native();
    return good(join(nativeDir, 'umvu.node'));
  } catch (error) {
    return bad((error as Error).message.split('\n', 1)[0] ?? '');
  }
};

/** An executable file of our own. */
function executable(path: string): Finding {
  try {
    accessSync(path, constants.X_OK);
    return good(path);
  } catch (error) {
    return bad(`${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
}
export const builtBroker = (): Finding => executable(join(nativeDir, 'umvu-broker'));
export const builtLauncher = (): Finding => executable(join(guestLibexecDir, 'umvu-launch'));
export const builtCommands = (): Finding => {
  const names = existsSync(guestBinDir) ? readdirSync(guestBinDir).sort() : [];
  return names.includes('vumount') ? good(names.join(' ')) : bad(`${guestBinDir} has no vumount`);
};

/** Numbers of system calls on x86-64 (asm/unistd_64.h), which no header gives to TypeScript. */
const NR = { close: 3, seccomp: 317, openat2: 437, pidfd_open: 434, pidfd_getfd: 438 } as const;
/** seccomp(2): operations, flags and actions. */
const SECCOMP = {
  modeFilter: 1,
  actionAvail: 2,
  newListener: 1 << 3,
  waitKillable: 1 << 5,
  userNotif: 0x7fc00000,
};

/** Words for a negated errno. */
const failure = (call: string, result: number): Finding => bad(`${call}: ${errnoName(-result)}`);

export const userNotification = (): Finding => {
  const calls = addon();
  if (!calls) return blind;
  const action = new Uint8Array(new Uint32Array([SECCOMP.userNotif]).buffer);
  const result = calls.syscall(NR.seccomp, SECCOMP.actionAvail, 0, action);
  return result < 0
    ? failure('seccomp(SECCOMP_GET_ACTION_AVAIL)', result)
    : good('SECCOMP_RET_USER_NOTIF is available');
};

/** A filter at address 0 makes the kernel look at the flags, and then fail with EFAULT before it does anything. */
export const waitKillable = (): Finding => {
  const calls = addon();
  if (!calls) return blind;
  const flags = SECCOMP.newListener | SECCOMP.waitKillable;
  const result = calls.syscall(NR.seccomp, SECCOMP.modeFilter, flags, null);
  return errnoName(-result) === 'EFAULT' ? good('the kernel knows the flag') : failure('seccomp', result);
};

export const pidfdGetfd = (): Finding => {
  const calls = addon();
  if (!calls) return blind;
  const pidfd = calls.syscall(NR.pidfd_open, process.pid, 0);
  if (pidfd < 0) return failure('pidfd_open', pidfd);
  // Any open descriptor will do: the one just made is certain to be there.
  const copy = calls.syscall(NR.pidfd_getfd, pidfd, pidfd, 0);
  calls.syscall(NR.close, pidfd);
  if (copy < 0) return failure('pidfd_getfd', copy);
  calls.syscall(NR.close, copy);
  return good('tried on this process');
};

/** Nothing is at address 8, so EFAULT is the answer of a call that works and is allowed. */
export const memoryAccess = (): Finding => {
  const calls = addon();
  if (!calls) return blind;
  const result = calls.readMemory(process.pid, 8, new Uint8Array(8));
  return errnoName(-result) === 'EFAULT'
    ? good('process_vm_readv works')
    : failure('process_vm_readv', result);
};

export const openat2 = (): Finding => {
  const calls = addon();
  if (!calls) return blind;
  // struct open_how: flags O_PATH, mode 0, resolve RESOLVE_NO_SYMLINKS.
  const how = new Uint8Array(new BigUint64Array([0o10000000n, 0n, 4n]).buffer);
  const fd = calls.syscall(NR.openat2, -100, '/', how, how.length);
  if (fd < 0) return failure('openat2', fd);
  calls.syscall(NR.close, fd);
  return good('tried with RESOLVE_NO_SYMLINKS');
};

/** Switches of the kernel that forbid user namespaces, each with the value that does. */
const USERNS_SWITCHES = [
  { name: 'kernel/unprivileged_userns_clone', forbids: '0', allows: '1' },
  { name: 'kernel/apparmor_restrict_unprivileged_userns', forbids: '1', allows: '0' },
  { name: 'user/max_user_namespaces', forbids: '0', allows: '10000' },
  { name: 'user/max_net_namespaces', forbids: '0', allows: '10000' },
] as const;

/** A sysctl(8) command for each switch that forbids user namespaces now. */
export const usernsRemedies = (read = sysctl): string[] =>
  USERNS_SWITCHES.filter(({ name, forbids }) => read(name) === forbids).map(
    ({ name, allows }) => `sysctl ${name.replaceAll('/', '.')}=${allows}`,
  );

/** unshare(2) of a user namespace needs a process with one thread, so a helper tries it. */
export const userNamespaces = (): Finding => {
  const result = spawnSync('unshare', ['--user', '--map-root-user', '--net', 'true'], {
    encoding: 'utf8',
    timeout: 5000,
  });
  if (result.error) return bad(`unshare(1) cannot be run: ${(result.error as NodeJS.ErrnoException).code}`);
  if (result.status === 0) return good('a user and a network namespace were made');
  return bad(
    result.stderr.trim().split('\n', 1)[0] || `unshare(1) ended with ${result.status ?? result.signal}`,
  );
};

/** A stack in user space is made and closed again: it needs nothing but the addon. */
export const userSpaceStack = (): Finding => {
  const calls = addon();
  if (!calls) return blind;
  if (!calls.LwipStack) return bad('this addon was built without lwIP');
  new calls.LwipStack().close();
  return good('a stack was made');
};

export const tunDevice = (): Finding => {
  try {
    closeSync(openSync('/dev/net/tun', constants.O_RDWR));
    return good('/dev/net/tun can be opened');
  } catch (error) {
    return bad(`/dev/net/tun: ${(error as NodeJS.ErrnoException).code}`);
  }
};

export const libvdeplug = async (): Promise<Finding> => {
  const calls = addon();
  if (!calls) return blind;
  const plug = await calls.openPlug('null://', 'umvu doctor');
  if (typeof plug === 'string') return bad(plug);
  if (typeof plug === 'number') return good(`loaded; null:// says ${errnoName(-plug)}`);
  plug.close();
  return good('loaded, and null:// was opened');
};

/** Yama decides who may read the memory of whom; guests are descendants of the supervisor, so 1 is no harm. */
export const ptraceScope = (
  value = sysctl('kernel/yama/ptrace_scope'),
  root = process.getuid?.() === 0,
): Finding => {
  if (value === undefined) return good('no Yama');
  const detail = `kernel.yama.ptrace_scope = ${value}`;
  return value === '0' || value === '1' || (value === '2' && root) ? good(detail) : bad(detail);
};

/** A process has one seccomp listener at most. */
export const seccompMode = (): Finding => {
  const mode = /^Seccomp:\s*(\d)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return mode === '0'
    ? good('no filter on this process')
    : good(`this process already has a filter (mode ${mode})`);
};
