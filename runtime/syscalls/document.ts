/**
 * Writes docs/syscalls.md from the system-call table:
 *
 *     npx tsx runtime/syscalls/document.ts > docs/syscalls.md
 */
import { fileURLToPath } from 'node:url';
import { handlers } from './handlers.ts';
import { ARG_KINDS } from './row.ts';
import {
  byName,
  GROUPS,
  SYSCALLS,
  trappable,
  type ArgTest,
  type Support,
  type SyscallSpec,
} from './table.ts';

/** The words of the column «support»: those of the table, and one for calls that no handler answers yet. */
type Status = Support | 'planned';

const SUPPORT: Readonly<Record<Status, string>> = {
  virtual: 'trapped when a module asks for it, and answered by the view where the view has something to say',
  partial: 'the same, in the cases that «trapped when» names; in all others the kernel does the call at once',
  planned: 'the filter can trap it, but no handler answers it yet: the kernel does it',
  pass: 'always the kernel’s: the call is never trapped',
  enosys: 'refused with ENOSYS, always',
};

const INTRODUCTION = `# System calls

What becomes of each system call of a guest. This page is generated from the table in
[runtime/syscalls/table](../runtime/syscalls/table), from which the seccomp filter and the trace come too; write it anew
with \`npx tsx runtime/syscalls/document.ts > docs/syscalls.md\`.
`;

const REFUSED = `## Refused

These get ENOSYS from the filter itself, so that programs fall back on what older kernels have:

- the calls that are marked \`enosys\` below;
- numbers that are not in the table: a call of a newer kernel could name things past the view;
- x32 calls (numbers with bit 30 set);
- 32-bit calls, by \`int $0x80\` or of a 32-bit program, save exit and exit_group, with which such a program gives up.
`;

const handled: ReadonlySet<string> = new Set(Object.keys(handlers));

const statusOf = (spec: SyscallSpec): Status =>
  trappable(spec) && !handled.has(spec.name) ? 'planned' : spec.support;

const hex = (value: number): string => (value > 9 ? `0x${value.toString(16)}` : String(value));

/** An argument test in words. Arguments are counted from 0, as in the dump of a filter. */
function testText(test: ArgTest): string {
  const arg = `args[${test.arg}]`;
  if (test.kind === 'notNull') return `${arg} is not NULL`;
  const ranges = test.ranges.map(([first, last]) =>
    first === last ? hex(first) : `${hex(first)}–${hex(last)}`,
  );
  const words = [ranges.slice(0, -1).join(', '), ranges.at(-1)].filter(Boolean).join(' or ');
  return `${arg} is ${test.inside ? '' : 'not '}${words}`;
}

const number = (value: number | undefined): string => (value === undefined ? '' : String(value));

function tableRow(spec: SyscallSpec): string {
  const { name, numbers, args, classes, only, note } = spec;
  const cells = [
    `\`${name}\``,
    number(numbers.x64),
    number(numbers.arm64),
    args.join(', '),
    classes.join(', '),
    statusOf(spec),
    only.map(testText).join(' and '),
    note,
  ];
  return `| ${cells.join(' | ')} |`;
}

const table = (heading: string[], rows: string[]): string =>
  [`| ${heading.join(' | ')} |`, `|${' --- |'.repeat(heading.length)}`, ...rows].join('\n') + '\n';

function summary(): string {
  const rows = Object.entries(SUPPORT).map(([word, text]) => {
    const count = SYSCALLS.filter((spec) => statusOf(spec) === word).length;
    return `| ${word} | ${count} | ${text} |`;
  });
  return `## Support\n\n${table(['support', 'calls', 'meaning'], rows)}`;
}

function group({ title, rows }: (typeof GROUPS)[number]): string {
  const heading = ['call', 'x86-64', 'arm64', 'arguments', 'classes', 'support', 'trapped when', 'note'];
  const specs = rows.flatMap(([name]) => byName.get(name) ?? []);
  return `## ${title}\n\n${table(heading, specs.map(tableRow))}`;
}

function kinds(): string {
  const rows = Object.entries(ARG_KINDS).map(([kind, text]) => `| ${kind} | ${text} |`);
  return `## Kinds of arguments\n\n${table(['kind', 'meaning'], rows)}`;
}

/** The text of docs/syscalls.md. */
export const documentSyscalls = (): string =>
  [INTRODUCTION, summary(), REFUSED, ...GROUPS.map(group), kinds()].join('\n');

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(documentSyscalls());
