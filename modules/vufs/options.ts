/** Options of a vufs mount (docs/vufs.md). */
import { Errno } from '../../runtime/errno.ts';
import type { MountRequest } from '../../runtime/modules/define.ts';

const MODES = ['bind', 'merge', 'cow', 'mincow'] as const;
export type Mode = (typeof MODES)[number];

const MS_RDONLY = 1;

export interface VufsOptions {
  mode: Mode;
  readOnly: boolean;
  /** Relative paths (no leading slash) that are left to what lies below the mount. */
  except: string[];
}

const isMode = (word: string): word is Mode => (MODES as readonly string[]).includes(word);

/** The words of `-o`. Throws EINVAL for those that mean nothing here, and for two modes. */
export function parseOptions({ options, flags }: Pick<MountRequest, 'options' | 'flags'>): VufsOptions {
  let mode: Mode | undefined;
  const parsed: VufsOptions = { mode: 'bind', readOnly: (flags & MS_RDONLY) !== 0, except: [] };
  for (const [word, value] of options) {
    const name = word === 'move' ? 'bind' : word;
    if (isMode(name) && value === '') {
      if (mode !== undefined && mode !== name)
        throw new Errno('EINVAL', `${mode} and ${name} exclude each other`);
      mode = name;
    } else if (name === 'except') parsed.except.push(exception(value));
    else if (name === 'ro') parsed.readOnly = true;
    else if (name === 'rw') parsed.readOnly = false;
    // Attributes are kept with the file, so there is no other way than to copy it.
    else if (name !== 'nochcopy') throw new Errno('EINVAL', `unknown option «${word}»`);
  }
  return { ...parsed, mode: mode ?? 'bind' };
}

function exception(value: string): string {
  const parts = value.split('/').filter(Boolean);
  if (parts.length === 0 || parts.includes('..') || parts.includes('.'))
    throw new Errno('EINVAL', `except=${value}: not a path below the mount`);
  return parts.join('/');
}
