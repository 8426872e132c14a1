/** What the commands of the IoTh library have in common. */
import { complain } from '../../log.ts';

/** The command line is wrong; `message` says how. */
export class Usage extends Error {}

/**
 * Runs a command: prints what is wrong as one line and sets the exit status, 2 where the command line is wrong and 1 for
 * other failures. Ends the process, because stacks and sockets that are still there would keep it.
 */
export function runCommand(name: string, usage: string, main: (args: string[]) => Promise<number>): void {
  const args = process.argv.slice(2);
  if (args.includes('-h') || args.includes('--help')) {
    process.stdout.write(usage);
    process.exit(0);
  }
  main(args).then(
    (status) => process.exit(status),
    (error: unknown) => {
      const wrong = error instanceof Usage || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
      complain(`${name}: ${(error as Error).message}${wrong ? ` (try «${name} --help»)` : ''}`);
      process.exit(wrong ? 2 : 1);
    },
  );
}
