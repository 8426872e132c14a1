#!/usr/bin/env node
/**
 * umvu(1). What every run needs is imported here, all else when it is used: the time until the guest starts is
 * what people notice.
 */
import { createRequire } from 'node:module';
import { FLAGS, SUBCOMMANDS, type Subcommand } from './flags.ts';
import { UsageError, print, report } from './output.ts';
import { parse, spelling, type Parsed } from './parse.ts';

/** Runs the command line `args`; the exit status. A guest's death by a signal does not return. */
async function main(args: string[]): Promise<number> {
  const options = parse(args, FLAGS);
  if (options.has('help')) {
    print(1, (await import('./help.ts')).help());
    return 0;
  }
  if (options.has('verbose') && options.has('quiet'))
    throw new UsageError('options -v/--verbose and -q/--quiet exclude each other');
  if (options.has('version')) {
    print(1, (await import('./version.ts')).version(options.has('verbose')));
    return 0;
  }
  const command = options.separated ? undefined : SUBCOMMANDS.find(({ name }) => name === options.rest[0]);
  if (command) return subcommand(command, options);
  // import() waits several times for each of the many files: loading them at once is faster.
  const { run } = createRequire(import.meta.url)('./run.js') as typeof import('./run.ts');
  return run(options);
}

async function subcommand(command: Subcommand, before: Parsed): Promise<number> {
  const stray = FLAGS.find(({ long }) => before.has(long) && !command.accepts.includes(long));
  if (stray)
    throw new UsageError(
      `option ${spelling(stray)} means nothing to «umvu ${command.name}»`,
      `to run a program of that name: «umvu -- ${command.name}»`,
    );
  const tryHelp = `try «umvu ${command.name} --help»`;
  const args = before.rest.slice(1);
  const word = command.words ? args[0] : undefined;
  const named = word !== undefined && !word.startsWith('-');
  if (named && !command.words?.includes(word))
    throw new UsageError(`${command.name}: unknown word «${word}»`, tryHelp);
  const options = parse(named ? args.slice(1) : args, command.flags);
  if (options.has('help')) {
    print(1, (await import('./help.ts')).subcommandHelp(command));
    return 0;
  }
  if (command.words && !named)
    throw new UsageError(
      `${command.name}: one of these words must follow: ${command.words.join(', ')}`,
      tryHelp,
    );
  if (options.rest.length > 0)
    throw new UsageError(`${command.name}: unexpected argument «${options.rest[0]}»`, tryHelp);
  for (const value of before.values('module')) options.add('module', value);
  switch (command.name) {
    case 'doctor':
      return (await import('./doctor.ts')).doctor(options);
    case 'seccomp':
      return (await import('./seccomp.ts')).dump(options);
    default:
      print(1, (await import('./completion.ts')).bashCompletion());
      return 0;
  }
}

const args = process.argv.slice(2);
main(args).then(
  (status) => process.exit(status),
  (error: unknown) =>
    process.exit(
      report(
        error,
        args.some((word) => /^-v+$|^--verbose$/.test(word)),
      ),
    ),
);
