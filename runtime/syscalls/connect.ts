/**
 * connect(2) to AF_UNIX paths. Local sockets stay the host's, but some of them lead out of a stack: the host's
 * resolvers would look names up for processes whose network is another. Rules of the view deny those.
 */
import { Errno } from '../errno.ts';
import { AF } from '../ioth/stack.ts';
import { claimOn } from './path/index.ts';
import { PASS } from './outcome.ts';
import type { Handler } from './handler.ts';

/** sizeof(struct sockaddr_un). */
const SOCKADDR_UN_SIZE = 110;
const PATH_OFFSET = 2;

const connect: Handler = (call) => {
  const length = Math.min(call.int(2) >>> 0, SOCKADDR_UN_SIZE);
  // Without a path there is nothing to decide: abstract names and other families go on natively.
  if (length <= PATH_OFFSET) return PASS;
  const address = call.read(call.arg(1), length);
  if (address.readUInt16LE(0) !== AF.UNIX || address[PATH_OFFSET] === 0) return PASS;
  const end = address.indexOf(0, PATH_OFFSET);
  const path = address.toString('latin1', PATH_OFFSET, end < 0 ? length : end);
  const claim = claimOn(call, path);
  if (claim?.kind === 'deny') throw new Errno(claim.errno);
  return PASS;
};

export const connectHandlers = { connect } as const;
