/** A FUSE file system of a single file, mounted nowhere: fsopen(2), fsmount(2). */
import { check } from '../../errno.ts';
import type { Mounter } from '../../files/mounter.ts';
import { native } from '../../native.ts';
import { SYS } from '../../syscalls/table.ts';
import { AT_FDCWD, closeFd, OPEN } from '../sys.ts';

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
/** MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV */
const ATTRIBUTES = 6;

/** The two ends of a file system; whoever has them closes them. */
export interface FuseMount {
  /** Requests come from here. */
  readonly server: number;
  /** The file, opened with O_PATH; when it and all that was opened by it is closed, the file system ends. */
  readonly file: number;
}

/** Throws Errno where the user may not use FUSE. */
export function mountFuse(mounter: Mounter): FuseMount {
  // The device first: where it is forbidden there is nothing to try.
  closeFd(
    check(
      native().syscall(SYS.openat, AT_FDCWD, '/dev/fuse', OPEN.RDWR | OPEN.CLOEXEC),
      'cannot open /dev/fuse',
    ),
  );
  return process.geteuid!() === 0 ? mountAsRoot() : mounter.fuse();
}

function mountAsRoot(): FuseMount {
  const opened: number[] = [];
  const keep = (fd: number, why: string): number => {
    check(fd, why);
    opened.push(fd);
    return fd;
  };
  try {
    const flags = OPEN.RDWR | OPEN.CLOEXEC | OPEN.NONBLOCK;
    const server = keep(native().syscall(SYS.openat, AT_FDCWD, '/dev/fuse', flags), 'cannot open /dev/fuse');
    const context = keep(native().syscall(SYS.fsopen, 'fuse', FSOPEN_CLOEXEC), 'cannot mount FUSE');
    const set = (key: string, value: string): void =>
      void check(native().syscall(SYS.fsconfig, context, FSCONFIG_SET_STRING, key, value, 0), key);
    set('fd', String(server));
    set('rootmode', '100666');
    set('user_id', String(process.geteuid!()));
    set('group_id', String(process.getegid!()));
    check(native().syscall(SYS.fsconfig, context, FSCONFIG_SET_FLAG, 'allow_other', null, 0), 'allow_other');
    check(native().syscall(SYS.fsconfig, context, FSCONFIG_CMD_CREATE, null, null, 0), 'cannot mount FUSE');
    const file = keep(
      native().syscall(SYS.fsmount, context, FSMOUNT_CLOEXEC, ATTRIBUTES),
      'cannot mount FUSE',
    );
    closeFd(context);
    return { server, file };
  } catch (error) {
    opened.forEach(closeFd);
    throw error;
  }
}
