import type { Flag } from './flags.ts';
import { UsageError } from './output.ts';

/** What was found on a command line: options by their long name, and what follows them. */
export class Parsed {
  /** First word that is no option, and all after it, untouched. */
  rest: string[] = [];
  /** A `--` ended the options, so the first word of {@link rest} is no subcommand. */
  separated = false;
  readonly #values = new Map<string, string[]>();

  add(long: string, value: string): void {
    const values = this.#values.get(long);
    if (values) values.push(value);
    else this.#values.set(long, [value]);
  }
  has(long: string): boolean {
    return this.#values.has(long);
  }
  count(long: string): number {
    return this.#values.get(long)?.length ?? 0;
  }
  value(long: string): string | undefined {
    return this.#values.get(long)?.[0];
  }
  values(long: string): readonly string[] {
    return this.#values.get(long) ?? [];
  }
  /** Long names of the options that were given. */
  names(): string[] {
    return [...this.#values.keys()];
  }
}

/** An option as a person writes it: `-m/--module`, `--net`. */
export const spelling = (flag: Flag): string =>
  flag.short ? `-${flag.short}/--${flag.long}` : `--${flag.long}`;

/**
 * Parses `args` as getopt_long(3) with a leading `+` does: options end at the first word that is none, or at
 * `--`, so those of a guest are never touched. Throws {@link UsageError}.
 */
export function parse(args: readonly string[], flags: readonly Flag[]): Parsed {
  const parsed = new Parsed();
  let index = 0;
  /** The next word is the argument of `flag`. */
  const argument = (flag: Flag): string => {
    const value = args[++index];
    if (value === undefined) throw new UsageError(`option ${spelling(flag)} needs a value: ${flag.value}`);
    return value;
  };
  const store = (flag: Flag, value: string): void => {
    if (!flag.repeat && parsed.has(flag.long) && flag.value)
      throw new UsageError(`option ${spelling(flag)} was given twice`);
    if (flag.value && !flag.optional && value === '')
      throw new UsageError(`option ${spelling(flag)}: the value is empty`);
    parsed.add(flag.long, value);
  };

  for (; index < args.length; index++) {
    const word = args[index] ?? '';
    if (word === '--') {
      parsed.separated = true;
      index++;
      break;
    }
    if (!word.startsWith('-') || word === '-') break;
    if (word.startsWith('--')) long(word, flags, argument, store);
    else cluster(word, flags, argument, store);
  }
  parsed.rest = args.slice(index);
  return parsed;
}

type Argument = (flag: Flag) => string;
type Store = (flag: Flag, value: string) => void;

/** `--name`, `--name=value` or `--name value`. */
function long(word: string, flags: readonly Flag[], argument: Argument, store: Store): void {
  const [, name = '', given] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  const flag = flags.find((candidate) => candidate.long === name);
  if (!flag) throw unknown(`--${name}`, flags);
  if (!flag.value && given !== undefined) throw new UsageError(`option ${spelling(flag)} takes no value`);
  if (flag.optional && given === '') throw new UsageError(`option ${spelling(flag)}: the value is empty`);
  store(flag, flag.value && !flag.optional ? (given ?? argument(flag)) : (given ?? ''));
}

/** `-v`, `-vv`, `-mNAME` or `-m NAME`. */
function cluster(word: string, flags: readonly Flag[], argument: Argument, store: Store): void {
  for (let at = 1; at < word.length; at++) {
    const letter = String.fromCodePoint(word.codePointAt(at) ?? 0);
    const flag = flags.find((candidate) => candidate.short === letter);
    if (!flag) throw unknown(`-${letter}`, flags);
    if (!flag.value) {
      store(flag, '');
      continue;
    }
    store(flag, at + 1 < word.length ? word.slice(at + 1) : argument(flag));
    return;
  }
}

/** An unknown option; one that starts a known name, or the other way round, is named as a guess. */
function unknown(option: string, flags: readonly Flag[]): UsageError {
  const name = option.slice(2);
  const guess =
    name.length > 1 ? flags.find(({ long }) => long.startsWith(name) || name.startsWith(long)) : undefined;
  return new UsageError(
    `unknown option «${option}»`,
    guess ? `did you mean --${guess.long}? try «umvu --help»` : undefined,
  );
}
