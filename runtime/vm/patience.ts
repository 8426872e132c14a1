import { logger } from '../log.ts';

const log = logger('vm');

/**
 * Does `work` and waits at most `ms` for it: the end of a VM depends on nobody's good will. What goes wrong is
 * said in a warning that starts with `what`.
 */
export async function within(ms: number, what: string, work: () => unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${ms} ms`)), ms);
  });
  try {
    await Promise.race([(async () => work())(), enough]);
  } catch (error) {
    log.warn(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    clearTimeout(timer);
  }
}
