/** The file that the source of a mount names, opened for a device that works on it. */
import { check, Errno } from '../errno.ts';
import { sourceIn } from '../files/source.ts';
import { native } from '../native.ts';
import type { MountRequest } from '../modules/define.ts';
import { claimAt } from '../syscalls/path/compiled.ts';
import { SYS } from '../syscalls/table.ts';
import { normalize } from '../vm/paths.ts';
import type { Vm } from '../vm/vm.ts';
import { OPEN, openPath } from './sys.ts';

/**
 * Opens `source` of the request as the view has it: a file of the host, of a mounted tree, or another device. The
 * descriptor is the caller's; it may be of a FUSE file that this process serves, so only node:fs with callbacks or
 * promises may be used on it. Throws Errno.
 */
export async function openSource(vm: Vm, request: MountRequest, readOnly: boolean): Promise<number> {
  const view = request.process?.view ?? vm.rootView;
  const flags = readOnly ? 0 : OPEN.RDWR;
  const path = normalize(request.source);
  const claim = request.process && claimAt(view, path, request.process);
  const node = claim?.kind === 'node' ? claim.node : view.mounts.at(path)?.node;
  if (node) {
    const process = request.process;
    if (!process) throw new Errno('EINVAL', 'a device on a device is mounted from inside');
    return node.open(flags, process, request);
  }
  const { tree, path: place } = sourceIn(view, request.source, request.process);
  if (!tree) return openPath(place, flags);
  const open = ({ layer, path: name }: { layer: { fd: number }; path: string }): number =>
    check(native().syscall(SYS.openat, layer.fd, name, flags | OPEN.CLOEXEC | OPEN.NONBLOCK), request.source);
  if (!readOnly) return tree.change(place, open);
  const found = tree.find(place, Buffer.alloc(144));
  return typeof found === 'number' ? check(found, request.source) : open(found);
}
