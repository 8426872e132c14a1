/**
 * The truth about system calls. From this table come the seccomp filter, the decoder of the trace,
 * docs/syscalls.md and the tests that compare it with the headers of the kernel. The rows are in table/.
 */
import { ARG_KINDS, SYSCALL_CLASSES } from './row.ts';
import type { ArgKind, ArgTest, Family, Row, RowDetails, SyscallClass } from './row.ts';
import { DESCRIPTORS } from './table/descriptors.ts';
import { FILES } from './table/files.ts';
import { IPC } from './table/ipc.ts';
import { MEMORY } from './table/memory.ts';
import { PROCESSES } from './table/processes.ts';
import { SIGNALS } from './table/signals.ts';
import { SOCKETS } from './table/sockets.ts';
import { SYSTEM } from './table/system.ts';

export { SYSCALL_CLASSES };
export type { ArgKind, ArgTest, Family, SyscallClass };

/** Architectures that the table has numbers for. */
export type Arch = 'x64' | 'arm64';

/** What becomes of a call of a guest. */
export type Support =
  /** the view answers it, when a module asks for it */
  | 'virtual'
  /** as virtual, in the forms that the note names; the kernel does the others */
  | 'partial'
  /** always the kernel's */
  | 'pass'
  /** refused with ENOSYS by the filter */
  | 'enosys';

/** A group of rows, and the class that all of them are in. */
interface Group {
  readonly title: string;
  readonly rows: readonly Row[];
  readonly class?: SyscallClass;
}

/** The table by its files, in the order of docs/syscalls.md. */
export const GROUPS: readonly Group[] = [
  { title: 'Files and mounts', rows: FILES },
  { title: 'Sockets', rows: SOCKETS, class: 'network' },
  { title: 'Processes', rows: PROCESSES },
  { title: 'Descriptors', rows: DESCRIPTORS },
  { title: 'Signals', rows: SIGNALS, class: 'signal' },
  { title: 'Memory', rows: MEMORY, class: 'memory' },
  { title: 'Interprocess communication', rows: IPC, class: 'ipc' },
  { title: 'Time and the machine', rows: SYSTEM },
];

/** Names of all system calls of the table. */
export type SyscallName = (
  | typeof FILES
  | typeof SOCKETS
  | typeof PROCESSES
  | typeof DESCRIPTORS
  | typeof SIGNALS
  | typeof MEMORY
  | typeof IPC
  | typeof SYSTEM
)[number][0];

/** What the table says of one system call. */
export interface SyscallSpec {
  readonly name: SyscallName;
  /** The number on each architecture; undefined where it does not exist. */
  readonly numbers: Readonly<Record<Arch, number | undefined>>;
  readonly args: readonly ArgKind[];
  readonly classes: readonly SyscallClass[];
  readonly support: Support;
  /** The handlers that answer it; undefined where the view never does. */
  readonly family: Family | undefined;
  /** The filter traps it only where all of these tests hold. */
  readonly only: readonly ArgTest[];
  readonly note: string;
}

const isKind = (word: string): word is ArgKind => Object.hasOwn(ARG_KINDS, word);

function parseArgs(name: string, args: string): ArgKind[] {
  return args
    .split(' ')
    .filter(Boolean)
    .map((word) => {
      if (!isKind(word)) throw new TypeError(`${name}: unknown kind of argument «${word}»`);
      return word;
    });
}

function classesOf(group: Group, args: readonly ArgKind[], details: RowDetails): SyscallClass[] {
  const classes = new Set(details.classes);
  if (group.class) classes.add(group.class);
  if (args.includes('path')) classes.add('file');
  if (args.includes('fd') || args.includes('dirfd')) classes.add('desc');
  return SYSCALL_CLASSES.filter((each) => classes.has(each));
}

/** A row. Only the trace and the documentation ask for kinds and classes, and every start of umvu makes the table. */
class Spec implements SyscallSpec {
  readonly name: SyscallName;
  readonly numbers: SyscallSpec['numbers'];
  readonly support: Support;
  readonly family: Family | undefined;
  readonly only: readonly ArgTest[];
  readonly note: string;
  readonly #group: Group;
  readonly #row: Row;
  #args: ArgKind[] | undefined;

  constructor(group: Group, row: Row) {
    const [name, x64, arm64, , by = 'pass', details = {}] = row;
    const refused = by === 'pass' || by === 'enosys';
    this.name = name as SyscallName;
    this.numbers = { x64: x64 ?? undefined, arm64: arm64 ?? undefined };
    this.support = refused ? by : details.only ? 'partial' : 'virtual';
    this.family = refused ? undefined : by;
    this.only = details.only ?? [];
    this.note = details.note ?? '';
    this.#group = group;
    this.#row = row;
  }

  get args(): readonly ArgKind[] {
    return (this.#args ??= parseArgs(this.name, this.#row[3]));
  }

  get classes(): readonly SyscallClass[] {
    return classesOf(this.#group, this.args, this.#row[5] ?? {});
  }
}

/** Every system call, in the order of the table. */
export const SYSCALLS: readonly SyscallSpec[] = GROUPS.flatMap((group) =>
  group.rows.map((row) => new Spec(group, row)),
);

/** The system call of each name. */
export const byName: ReadonlyMap<string, SyscallSpec> = new Map(SYSCALLS.map((spec) => [spec.name, spec]));

const numbersOf = (arch: Arch): ReadonlyMap<number, SyscallSpec> =>
  new Map(SYSCALLS.flatMap((spec) => (spec.numbers[arch] === undefined ? [] : [[spec.numbers[arch], spec]])));

/** The system call of each number, per architecture. */
export const byNumberOf: Readonly<Record<Arch, ReadonlyMap<number, SyscallSpec>>> = {
  x64: numbersOf('x64'),
  arm64: numbersOf('arm64'),
};

/** The architecture that this process runs on. */
export const runningArch: Arch = process.arch === 'arm64' ? 'arm64' : 'x64';

/** The system call of each number on the running architecture. */
export const byNumber: ReadonlyMap<number, SyscallSpec> = byNumberOf[runningArch];

/** Numbers on the running architecture, for native().syscall(); -1, which is ENOSYS, where a call does not exist. */
export const SYS = Object.fromEntries(
  SYSCALLS.map((spec) => [spec.name, spec.numbers[runningArch] ?? -1]),
) as Readonly<Record<SyscallName, number>>;

/** True where a filter may trap `spec`: the view has an answer to it. */
export const trappable = (spec: SyscallSpec): boolean => spec.family !== undefined;
