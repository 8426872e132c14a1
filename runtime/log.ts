/**
 * Messages for people. Levels by consequence: an error makes a command fail, a warning is worth a look before
 * results are trusted, info tells what happened, debug is for finding bugs. Nothing is written to a guest's
 * standard error unless something is wrong or `-v` asks for it.
 */
import { writeSync } from 'node:fs';

const LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type Level = (typeof LEVELS)[number];
export type Logger = Record<Level, (message: string) => void>;

let threshold = 1;
let spec = new Map<string, number>();

/** Sets what is written: `level` for all areas, then UMVU_LOG (`vm:debug,ioth:info`) for single ones. */
export function setLogLevel(level: Level, text = process.env['UMVU_LOG'] ?? ''): void {
  threshold = LEVELS.indexOf(level);
  spec = new Map();
  for (const item of text.split(',').filter(Boolean)) {
    const [area = '', name = 'debug'] = item.split(':');
    const index = LEVELS.indexOf(name as Level);
    if (area === 'all') threshold = Math.max(index, 0);
    else spec.set(area, Math.max(index, 0));
  }
}
setLogLevel('warn');

/** Writes one line `umvu: what: why` on standard error, whatever the level. */
export function complain(message: string): void {
  try {
    writeSync(2, `umvu: ${message}\n`);
  } catch {
    // Standard error is closed or full: there is nobody to tell.
  }
}

/** The logger of an area, named after the folder its code lies in. */
export function logger(area: string): Logger {
  const at =
    (level: number) =>
    (message: string): void => {
      if (level > (spec.get(area) ?? threshold)) return;
      complain(level === 0 ? message : `${LEVELS[level]}: ${area}: ${message}`);
    };
  return { error: at(0), warn: at(1), info: at(2), debug: at(3) };
}

const told = new Set<string>();
/** Says `message` once per `key`; later ones are for debugging only. */
export function once(log: Logger, key: string, message: string): void {
  if (told.has(key)) return log.debug(message);
  told.add(key);
  log.warn(message);
}
