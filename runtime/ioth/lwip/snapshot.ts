/** Directories of a stack's files (StackView.directory): real ones, because guests read directories by descriptor. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Errno } from '../../errno.ts';
import type { StackFile } from '../stack.ts';
import { scratchFolder } from './scratch.ts';

type Find = (path: string) => StackFile | readonly string[] | undefined;

function textOf(file: StackFile): string {
  try {
    return file.read();
  } catch (error) {
    // A file that cannot be read just now (the carrier of an interface that is down).
    if (error instanceof Errno) return '';
    throw error;
  }
}

export class Snapshot {
  readonly #find: Find;
  #scratch: ReturnType<typeof scratchFolder> | undefined;

  constructor(find: Find) {
    this.#find = find;
  }

  /** The real directory for `path`, with all that is below it as it is now; undefined where there is none. */
  directory(path: string): string | undefined {
    const names = this.#find(path);
    if (names === undefined || !Array.isArray(names)) return undefined;
    this.#scratch ??= scratchFolder();
    const place = join(this.#scratch.path, path);
    this.#fill(path, place, names as readonly string[]);
    return place;
  }

  close(): void {
    this.#scratch?.remove();
    this.#scratch = undefined;
  }

  #fill(path: string, place: string, names: readonly string[]): void {
    mkdirSync(place, { recursive: true, mode: 0o755 });
    for (const old of readdirSync(place)) rmSync(join(place, old), { recursive: true, force: true });
    for (const name of names) {
      const found = this.#find(`${path}/${name}`);
      if (found === undefined) continue;
      const at = join(place, name);
      if (!('read' in found)) this.#fill(`${path}/${name}`, at, found);
      // Guests of the same user could have put something else there, to be written to or to wait for.
      else writeFileSync(at, textOf(found), { encoding: 'latin1', mode: 0o644, flag: 'wx' });
    }
  }
}
