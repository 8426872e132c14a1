/**
 * A smallest supervisor, for tests that end it: `supervisor.ts COMMAND [ARGUMENT]...` launches a guest whose
 * filter allows everything, relays signals to it, and ends with its exit status.
 */
import { inheritedStdio } from '../../runtime/vm/inherited.ts';
import { launch } from '../../runtime/vm/launch.ts';
import { ALLOW_ALL } from './filters.ts';

async function main(command = 'true', ...args: string[]): Promise<number> {
  const { env } = process;
  const stdio = inheritedStdio();
  const launched = await launch({
    command,
    args,
    env,
    cwd: '/',
    stdio,
    filter: ALLOW_ALL,
    waitForAll: false,
  });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => launched.relay(signal));
  launched.go();
  return (await launched.ended).code ?? 1;
}

main(...process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error: unknown) => {
    console.error(error);
    process.exit(125);
  },
);
