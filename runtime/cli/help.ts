import { ENVIRONMENT, FLAGS, STATUSES, SUBCOMMANDS, type Flag, type Subcommand } from './flags.ts';
import { wrap } from './output.ts';

const INDENT = 26;
const WIDTH = 80;

/** An entry of a list: `  term      text…`, the text broken at the edge of a terminal. */
function entry(term: string, text: string): string {
  const lines = wrap(text, WIDTH - INDENT);
  const left = `  ${term}`;
  // A term that is too long for its column gets a line of its own.
  const start = left.length < INDENT - 1 ? left.padEnd(INDENT) + (lines.shift() ?? '') : left;
  return [start, ...lines.map((line) => ' '.repeat(INDENT) + line)].join('\n');
}

/** `-m, --module NAME`, `    --trace[=CLASS]`. */
export function term(flag: Flag): string {
  const value = flag.value ? (flag.optional ? `[=${flag.value}]` : ` ${flag.value}`) : '';
  return `${flag.short ? `-${flag.short}, ` : '    '}--${flag.long}${value}`;
}

const options = (flags: readonly Flag[]): string =>
  flags.map((flag) => entry(term(flag), flag.help)).join('\n');

/** How a subcommand is called: `umvu seccomp dump [options]`. */
export function synopsis(command: Subcommand): string {
  const words = command.words?.join('|');
  return `umvu ${command.name}${words ? ` ${words}` : ''}${command.flags.length > 1 ? ' [options]' : ''}`;
}

/** The text of `umvu --help`. */
export function help(): string {
  return `Usage: umvu [options] [--] [command [argument…]]
${SUBCOMMANDS.map((command) => `       ${synopsis(command)}`).join('\n')}

Run a program in a view with its own network stacks, files and devices, without
root. Where no command is given, run an interactive $SHELL. Options of umvu end at
the first word that is none, so those of the command are left alone.

Options:
${options(FLAGS)}

Commands of umvu itself (use «--» to run a program of that name):
${SUBCOMMANDS.map((command) => entry(synopsis(command).slice('umvu '.length), command.help)).join('\n')}

Environment:
${ENVIRONMENT.map(([name, text]) => entry(name, text)).join('\n')}

Exit status:
${STATUSES.map(([status, text]) => entry(status, text)).join('\n')}

Example, two stacks on one network:
  umvu -m vunetioth
  vumount -t vunetioth -o hub:// lwip /dev/net/one
  vumount -t vunetioth -o hub:// lwip /dev/net/two
  vustack /dev/net/one ip address
`;
}

/** The text of `umvu SUBCOMMAND --help`. */
export function subcommandHelp(command: Subcommand): string {
  const more = command.more ? `\n${wrap(command.more.replaceAll('`', ''), WIDTH).join('\n')}\n` : '';
  return `Usage: ${synopsis(command)}\n\n${command.help}.\n${more}\nOptions:\n${options(command.flags)}\n`;
}
