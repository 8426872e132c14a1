/** Who uses a mounted tree: the kernel knows, and tells in procfs. */
import { readdirSync, readlinkSync } from 'node:fs';
import type { Vm } from '../vm/vm.ts';
import type { Layer } from './layer.ts';

const linkOf = (path: string): string => {
  try {
    return readlinkSync(path, 'latin1');
  } catch {
    return '';
  }
};

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** A reason why a tree of these layers is busy: a guest has its working directory or an open file there. */
export function treeUsers(vm: Vm, layers: readonly Layer[]): string | undefined {
  const prefixes = layers.map(({ prefix, source }) => (prefix === source ? undefined : prefix));
  const inside = (text: string): boolean =>
    prefixes.some(
      (prefix) => prefix !== undefined && text.startsWith(prefix) && (text[prefix.length] ?? '/') === '/',
    );
  for (const { pid } of vm.processes.all()) {
    const own = `/proc/${pid}`;
    if (['cwd', 'root', 'exe'].some((name) => inside(linkOf(`${own}/${name}`))))
      return `process ${pid} is in it`;
    if (namesIn(`${own}/fd`).some((fd) => inside(linkOf(`${own}/fd/${fd}`))))
      return `process ${pid} has files of it open`;
  }
  return undefined;
}
