/** Finds what a run of umvu left behind: processes, network namespaces, temporary files. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { tree } from './tree.ts';

const pids = (): number[] => readdirSync('/proc').map(Number).filter(Number.isInteger);

/** Does what a process that may end meanwhile, or belongs to somebody else, may refuse. */
function attempt<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch {
    return undefined;
  }
}

/** Processes that run a program of the tree under test, or inherited `mark` in their environment. */
export function processesOf(mark: string): { pid: number; command: string }[] {
  const found = [];
  for (const pid of pids()) {
    if (pid === process.pid) continue;
    const exe = attempt(() => readlinkSync(`/proc/${pid}/exe`)) ?? '';
    const environment = attempt(() => readFileSync(`/proc/${pid}/environ`, 'latin1')) ?? '';
    if (!exe.startsWith(`${tree()}/`) && !environment.includes(mark)) continue;
    // One that has ended already and waits for its parent holds nothing.
    if (/\) [ZX] /.test(attempt(() => readFileSync(`/proc/${pid}/stat`, 'latin1')) ?? ') X ')) continue;
    const command = attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')) ?? '';
    found.push({ pid, command: command.trim() });
  }
  return found;
}

/** Identities of the network namespaces that some process is in. */
export function networkNamespaces(): Set<string> {
  return new Set(pids().flatMap((pid) => attempt(() => readlinkSync(`/proc/${pid}/ns/net`)) ?? []));
}

/** Number of descriptors that a process has open; ours by default. */
export function descriptors(pid: number | 'self' = 'self'): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** All files and folders below `dir`. */
export function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((name) => join(dir, name));
}
