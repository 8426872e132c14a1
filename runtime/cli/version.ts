import { join } from 'node:path';
import { native, nativeDir } from '../native.ts';
import { version as number } from '../version.ts';

/** Text of `--version`: one line, or with `verbose` one for each part, as «name: version». */
export function version(verbose: boolean): string {
  const first = `umvu ${number}\n`;
  if (!verbose) return first;
  return `${first}node: ${process.versions.node}\naddon: ${addon()}\nnode-api: ${process.versions['napi']}\n`;
}

/** The version is asked for when something is wrong, so an addon that cannot be loaded is an answer too. */
function addon(): string {
  try {
    native();
    return join(nativeDir, 'umvu.node');
  } catch (error) {
    return `cannot be loaded (${(error as Error).message.split('\n', 1)[0]})`;
  }
}
