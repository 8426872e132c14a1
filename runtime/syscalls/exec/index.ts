/**
 * execve(2) and execveat(2) of programs that the view has elsewhere: behind a mount, or with an interpreter or a
 * dynamic loader behind one. The caller executes what is meant by descriptor; where the kernel would pass names of
 * the host to an interpreter, the arguments are made here as the kernel makes them, with the names of the view
 * (native/src/rewritten_call.h). Everything else is the kernel's.
 */
import { join } from 'node:path';
import { check, Errno } from '../../errno.ts';
import { asCaller } from '../../files/identity.ts';
import { guestLibexecDir, native } from '../../native.ts';
import type { Call } from '../../vm/call.ts';
import { wholeArgument } from '../../vm/rewrite.ts';
import type { Handler } from '../handler.ts';
import { LENT, PASS, rewrite, type Outcome } from '../outcome.ts';
import { O } from '../path/redirect.ts';
import { AT_FDCWD } from '../path/resolve.ts';
import { isRooted } from '../path/root.ts';
import { SYS } from '../table.ts';
import { findExecutable, hostFile, type Executable } from './file.ts';

const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const F_DUPFD_CLOEXEC = 1030;
/** Interpreters that are scripts themselves: more in a row are refused (fs/exec.c). */
const MOST_SCRIPTS = 5;

/** An execve(2) or execveat(2). */
interface Request {
  readonly call: Call;
  readonly dirfd: number;
  readonly path: string;
  readonly noFollow: boolean;
  /** Index of the argument with the address of the path; argv and envp follow. */
  readonly at: number;
}

/** How the kernel would go on after the file that was asked for. */
interface Plan {
  /** What is executed in the end. */
  file: Executable;
  /** The name by which it is known in the view. */
  name: string;
  /** Arguments in the place of argv[0]; undefined: argv stays. */
  front: string[] | undefined;
  /** The view has a part in it. */
  moved: boolean;
}

/** argv[0] of the request, "" if there is none. */
function firstArgument({ call, at }: Request): string {
  const argv = call.arg(at + 1);
  if (argv === 0) return '';
  const pointer = Number(call.read(argv, 8).readBigInt64LE(0));
  return pointer === 0 ? '' : call.readString(pointer, 65535);
}

/** The name that a script's interpreter gets for it (fs/exec.c, alloc_bprm). */
const nameFor = ({ dirfd, path }: Request): string =>
  path.startsWith('/') || dirfd === AT_FDCWD ? path : `/dev/fd/${dirfd}/${path}`;

/** Throws an errno that the kernel would find, unless the kernel is asked anyway. */
function refuse(plan: Plan, errno: Errno): Plan {
  if (plan.moved) throw errno;
  return plan;
}

/**
 * Follows scripts to their interpreter, and the last program to its loader where that is another in the view.
 * Undefined where the kernel finds an errno. Files that are opened are pushed to `opened`.
 */
function follow(request: Request, opened: Executable[]): Plan | undefined {
  const { call } = request;
  const keep = (file: Executable | undefined): Executable | undefined => (file && opened.push(file), file);
  const first = keep(findExecutable(call, request.dirfd, request.path, request.noFollow));
  if (!first) return undefined;
  const plan: Plan = { file: first, name: nameFor(request), front: undefined, moved: first.moved };
  for (let scripts = 0; ; scripts++) {
    const image = plan.file.readable ? plan.file.image() : { kind: 'other' as const };
    const denied = plan.file.denies(call);
    if (denied) return refuse(plan, denied);
    if (!image || (plan.front && image.kind === 'other')) return refuse(plan, new Errno('ENOEXEC'));
    if (image.kind === 'elf') return withLoader(request, plan, image.interpreter, keep);
    if (image.kind === 'other') return plan;
    if (scripts === MOST_SCRIPTS) return refuse(plan, new Errno('ELOOP'));
    const file = keep(findExecutable(call, AT_FDCWD, image.interpreter));
    if (!file) return undefined;
    const argument = image.argument === undefined ? [] : [image.argument];
    plan.front = [image.interpreter, ...argument, plan.name, ...(plan.front ?? []).slice(1)];
    plan.moved ||= file.moved;
    plan.file = file;
    plan.name = image.interpreter;
  }
}

/** A program whose loader the view has elsewhere is started by that loader (ld.so(8), also of musl). */
function withLoader(
  request: Request,
  plan: Plan,
  loader: string | undefined,
  keep: (file: Executable | undefined) => Executable | undefined,
): Plan {
  const file = loader === undefined ? undefined : keep(findExecutable(request.call, AT_FDCWD, loader));
  if (loader === undefined || !file?.moved) return plan;
  const kernels = keep(hostFile(request.call, loader));
  if (kernels && file.is(kernels)) return plan;
  const denied = file.denies(request.call);
  if (denied) throw denied;
  const name = plan.name.includes('/') ? plan.name : `./${plan.name}`;
  const [zeroth = firstArgument(request), ...others] = plan.front ?? [];
  const front = [loader, '--argv0', zeroth, name, ...others];
  return { file, name: loader, front, moved: true };
}

let carrier: number | undefined;
/** A descriptor of umvu-exec that can be lent. */
function lendCarrier(): number {
  carrier ??= check(
    native().syscall(SYS.openat, AT_FDCWD, join(guestLibexecDir, 'umvu-exec'), O.CLOEXEC),
    'umvu-exec is missing',
  );
  return check(native().syscall(SYS.fcntl, carrier, F_DUPFD_CLOEXEC, 3));
}

/** Lets the caller execute what was planned; its path argument ends in the empty path that execveat(2) needs. */
function substitute({ call, path, at }: Request, { file, front }: Plan): Outcome {
  const empty = wholeArgument(call, at) + BigInt(path.length);
  const args = [
    LENT,
    empty,
    wholeArgument(call, at + 1),
    wholeArgument(call, at + 2),
    AT_EMPTY_PATH,
  ] as const;
  if (!front) {
    return rewrite(SYS.execveat, args, { lend: file.copy() });
  }
  const lend = lendCarrier();
  return rewrite(SYS.execveat, args, {
    lend,
    program: { path: file.pathFor(call) ?? file.copy(), argv: front },
  });
}

function execute(request: Request): Outcome {
  const { call, path } = request;
  // Without a path it is a descriptor that is executed: the object itself.
  const plain = call.process.view.prefixes().length === 0 && !isRooted(call.process);
  if (path === '' || plain) return PASS;
  const opened: Executable[] = [];
  try {
    const plan = asCaller(call, () => follow(request, opened));
    return plan?.moved ? substitute(request, plan) : PASS;
  } finally {
    for (const file of opened) file.close();
  }
}

const execve: Handler = (call) =>
  execute({ call, dirfd: AT_FDCWD, path: call.readString(call.arg(0)), noFollow: false, at: 0 });

const execveat: Handler = (call) =>
  execute({
    call,
    dirfd: call.int(0),
    path: call.readString(call.arg(1)),
    noFollow: (call.int(4) & AT_SYMLINK_NOFOLLOW) !== 0,
    at: 1,
  });

export const execHandlers = { execve, execveat } as const;
