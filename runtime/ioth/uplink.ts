/** Ways out of a network of this VM: ports that lead to a VDE switch of another program, or through libvdeplug. */
import { userInfo } from 'node:os';
import { Errno, errnoName } from '../errno.ts';
import { native, type NativeNetwork } from '../native.ts';
import type { ClientVnl, PlugVnl } from './vnl.ts';

/** What a user is called in the port list of a switch. */
function description(): string {
  let user: string;
  try {
    user = userInfo().username;
  } catch {
    user = String(process.geteuid?.() ?? 0); // no passwd entry
  }
  return `umvu user=${user} pid=${process.pid}`;
}

/** Joins the switch of another program. The number of the port that leads there. */
export async function openClient(network: NativeNetwork, vnl: ClientVnl): Promise<number> {
  let result: Awaited<ReturnType<ReturnType<typeof native>['openVde']>> = -1;
  let path = '';
  for (path of vnl.paths) {
    result = await native().openVde(path, vnl.port, description());
    if (typeof result !== 'number') break;
  }
  if (typeof result === 'number') throw clientError(path, -result);
  return added(network.addPort({ kind: 'datagram', vnetHeader: false, ...result }), path);
}

function clientError(path: string, errno: number): Errno {
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such directory',
    ENOTDIR: 'not the directory of a VDE switch',
    ECONNREFUSED: 'no switch is running there, or it has no port left',
    ETIMEDOUT: 'the switch does not answer',
    EPROTO: 'who answers there is not a VDE switch',
    EACCES: 'no permission to connect to the switch',
  };
  const name = errnoName(errno);
  return new Errno(errno, `${path}: ${reasons[name] ?? name}`);
}

/** Opens a network that only libvdeplug knows. The number of the port that leads there. */
export async function openPlug(network: NativeNetwork, vnl: PlugVnl): Promise<number> {
  const plug = await native().openPlug(vnl.text, 'umvu');
  if (typeof plug === 'string')
    throw new Errno('EPROTONOSUPPORT', `${vnl.module}:// is not built in, and ${plug}`);
  if (typeof plug !== 'number') return added(network.addPlug(plug), vnl.text);
  if (errnoName(-plug) === 'EPROTONOSUPPORT') {
    throw new Errno(plug, `${vnl.module}:// is not built in, and libvdeplug has no plug-in for it`);
  }
  throw new Errno(plug, `${vnl.text}: libvdeplug cannot open it (${errnoName(-plug)})`);
}

function added(port: number, what: string): number {
  if (port < 0) throw new Errno(port, `${what}: ${errnoName(-port)}`);
  return port;
}
