/**
 * Writes the generated part of docs/man/umvu.1.md: `npx tsx runtime/cli/manpage.ts`. A test tells when that was
 * forgotten.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot } from '../native.ts';
import { ENVIRONMENT, FLAGS, GUEST_ENVIRONMENT, STATUSES, SUBCOMMANDS, type Flag } from './flags.ts';
import { synopsis } from './help.ts';

const BEGIN = '<!-- From here to the end mark: written by runtime/cli/manpage.ts. -->\n';
const END = '<!-- End of the written part. -->\n';
/** The manual page. */
export const MANPAGE = join(projectRoot, 'docs/man/umvu.1.md');

/** A definition list entry of Markdown as pandoc(1) and lowdown(1) read it. */
function definition(term: string, ...sentences: (string | undefined)[]): string {
  return `${term}\n:   ${sentences.filter((text) => text !== undefined).join(' ')}\n`;
}

function option(flag: Flag): string {
  const value = flag.value ? (flag.optional ? `[=*${flag.value}*]` : ` *${flag.value}*`) : '';
  const names = [...(flag.short ? [`**-${flag.short}**`] : []), `**--${flag.long}**${value}`];
  return definition(
    names.join(', '),
    `${flag.help}.`,
    flag.more,
    flag.repeat ? 'May be repeated.' : undefined,
  );
}

/** Options, commands, environment and exit status in Markdown. */
export function generated(): string {
  const words = (list: readonly (readonly [string, string])[]): string =>
    list.map(([name, text]) => definition(`**${name}**`, `${text}.`)).join('\n');
  const commands = SUBCOMMANDS.map((command) =>
    [
      definition(`**${synopsis(command)}**`, `${command.help}.`, command.more),
      ...command.flags.map(option),
    ].join('\n'),
  );
  return `## OPTIONS

Options end at the first word that is none, or at **--**, so those of the command are left alone.

${FLAGS.map(option).join('\n')}
## COMMANDS OF UMVU

A program of such a name is run with **umvu --** *name*.

${commands.join('\n')}
## ENVIRONMENT

${words(ENVIRONMENT)}
Set for the command:

${words(GUEST_ENVIRONMENT)}
## EXIT STATUS

${words(STATUSES)}
`;
}

/** `page` with its generated part made anew. */
export function update(page: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${MANPAGE}: the marks of the generated part are missing`);
  return page.slice(0, begin + BEGIN.length) + '\n' + generated() + page.slice(end);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(MANPAGE, update(readFileSync(MANPAGE, 'utf8')));
