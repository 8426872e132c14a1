/**
 * bind(2) and connect(2) to AF_UNIX paths. Local sockets stay the host's, but some of them lead out of a stack: the
 * host's resolvers would look names up for processes whose network is another. Rules of the view deny those. A path
 * in a mounted tree is used by the supervisor, on a copy of the caller's own socket.
 */
import { check, ERRNO, Errno } from '../errno.ts';
import { asCaller, withUmask } from '../files/identity.ts';
import { closeFd } from '../files/layer.ts';
import { STAT_SIZE, withPath } from '../files/place.ts';
import { AF } from '../ioth/stack.ts';
import { native } from '../native.ts';
import type { Call } from '../vm/call.ts';
import type { Place } from '../vm/mounts.ts';
import { PASS, type Answer } from './outcome.ts';
import type { Handler } from './handler.ts';
import { isGuarded } from './path/compiled.ts';
import { AT_FDCWD, resolve, type LinkUse, type TreeTarget } from './path/resolve.ts';
import { requireParent } from './path/tree-names.ts';
import { SYS } from './table.ts';

/** sizeof(struct sockaddr_un). */
const SOCKADDR_UN_SIZE = 110;
const PATH_OFFSET = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
/** How often a connection is tried again whose listener has no room, in ms. */
const RETRY_MS = 10;

/**
 * The target of the AF_UNIX address that is the second argument; undefined where the kernel is to do the call. With
 * `host` there is one also where the view has nothing.
 */
function targetOf(call: Call, links: LinkUse, host = false): TreeTarget | undefined {
  const length = Math.min(call.int(2) >>> 0, SOCKADDR_UN_SIZE);
  // Without a path there is nothing to decide: abstract names and other families go on natively.
  if (length <= PATH_OFFSET) return undefined;
  const address = call.read(call.arg(1), length);
  if (address.readUInt16LE(0) !== AF.UNIX || address[PATH_OFFSET] === 0) return undefined;
  const end = address.indexOf(0, PATH_OFFSET);
  const path = address.toString('latin1', PATH_OFFSET, end < 0 ? length : end);
  const target = resolve(call, AT_FDCWD, path, links, host);
  if (target?.claim.kind === 'deny') throw new Errno(target.claim.errno);
  return target?.claim.kind === 'tree' ? (target as TreeTarget) : undefined;
}

/** struct sockaddr_un for a path of the supervisor. */
function addressOf(path: string): Buffer {
  const bytes = Buffer.alloc(PATH_OFFSET + path.length + 1);
  if (bytes.length > SOCKADDR_UN_SIZE) throw new Errno('ENAMETOOLONG');
  bytes.writeUInt16LE(AF.UNIX, 0);
  bytes.write(path, PATH_OFFSET, 'latin1');
  return bytes;
}

const socketOf = (call: Call): number =>
  check(native().syscall(SYS.pidfd_getfd, call.process.pidfd, call.int(0), 0));

const connect: Handler = (call) => {
  const target = targetOf(call, false);
  if (!target || target.forKernel) return PASS;
  const { place } = target;
  if (!place) throw new Errno('ENOENT');
  const socket = socketOf(call);
  const result = tryConnect(call, socket, place);
  if (result !== -ERRNO['EAGAIN']! || flagsOf(socket) & O_NONBLOCK) {
    closeFd(socket);
    return check(result);
  }
  return keepTrying(call, socket, place);
};

const flagsOf = (socket: number): number => native().syscall(SYS.fcntl, socket, F_GETFL);

/** Connects without waiting. */
function tryConnect(call: Call, socket: number, place: Place): number {
  const flags = flagsOf(socket);
  native().syscall(SYS.fcntl, socket, F_SETFL, flags | O_NONBLOCK);
  try {
    return asCaller(call, () =>
      withPath(place, (path) => {
        const address = addressOf(path);
        return native().syscall(SYS.connect, socket, address, address.length);
      }),
    );
  } finally {
    native().syscall(SYS.fcntl, socket, F_SETFL, flags);
  }
}

/** A blocking connect(2) waits for room in the listener's queue. */
async function keepTrying(call: Call, socket: number, place: Place): Promise<number> {
  const { signal } = call;
  try {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      if (signal.aborted) throw signal.reason as Error;
      const result = tryConnect(call, socket, place);
      if (result !== -ERRNO['EAGAIN']!) return check(result);
    }
  } finally {
    closeFd(socket);
  }
}

/** The socket's file is made in the tree. The socket itself knows its address by the name that the host has for it. */
const bind: Handler = (call): Answer => {
  // The kernel would read the path again and make a file there: see path/guard.ts.
  const target = targetOf(call, 'name', isGuarded(call.process.view));
  if (!target) return PASS;
  if (target.place) throw new Errno('EADDRINUSE');
  requireParent(target);
  const { tree, path } = target.claim;
  const socket = socketOf(call);
  try {
    return asCaller(call, () => tree.create(path, (place) => withUmask(call, () => bindAt(socket, place))));
  } finally {
    closeFd(socket);
  }
};

function bindAt(socket: number, place: Place): number {
  const name = `${place.layer.source}/${place.path}`;
  const bindTo = (path: string): number => {
    const address = addressOf(path);
    return check(native().syscall(SYS.bind, socket, address, address.length));
  };
  if (name.length >= SOCKADDR_UN_SIZE - PATH_OFFSET) return withPath(place, bindTo);
  const result = bindTo(name);
  // A link that has been put into the way in this moment has led elsewhere.
  if (native().look(place.layer.fd, place.path, Buffer.alloc(STAT_SIZE)) >= 0) return result;
  native().syscall(SYS.unlink, name);
  throw new Errno('ENOENT');
}

export const connectHandlers = { connect } as const;
/** For views with trees of files. */
export const bindHandlers = { bind } as const;
