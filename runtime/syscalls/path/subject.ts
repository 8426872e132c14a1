import { readFileSync } from 'node:fs';
import type { Process } from '../../vm/process.ts';

/** Finds a guest by its pid; undefined for processes of the host. */
export type Lookup = (pid: number) => Process | undefined;

/** The guest that `/proc/NUMBER/…` is about: the number is that of a process or of one of its threads. */
export function subjectOf(path: string, lookup: Lookup): Process | undefined {
  const id = Number(path.split('/')[2]);
  if (!Number.isInteger(id) || id <= 0) return undefined;
  const known = lookup(id);
  if (known) return known;
  try {
    const [, leader] = /^Tgid:\s*(\d+)$/m.exec(readFileSync(`/proc/${id}/status`, 'latin1')) ?? [];
    return lookup(Number(leader));
  } catch {
    return undefined;
  }
}
