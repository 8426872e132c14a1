import { FLAGS, SUBCOMMANDS, type Flag } from './flags.ts';

/** All spellings of some options, for a `case` pattern or a word list. */
const spellings = (flags: readonly Flag[], separator: string): string =>
  flags.flatMap((flag) => [...(flag.short ? [`-${flag.short}`] : []), `--${flag.long}`]).join(separator);

/** Shell words that complete the argument of an option. */
function values(flag: Flag): string {
  switch (flag.complete) {
    case 'file':
      return 'compgen -f -- "$cur"';
    case 'directory':
      return 'compgen -d -- "$cur"';
    case 'module':
      return 'compgen -W "vunetioth" -- "$cur"; compgen -f -- "$cur"';
    case undefined:
      return ':';
    default:
      return `compgen -W "${flag.complete.join(' ')}" -- "$cur"`;
  }
}

/** Branches of a `case` on the previous word, one for each option with an argument of its own word. */
const argumentCases = (flags: readonly Flag[]): string =>
  flags
    .filter((flag) => flag.value !== undefined && !flag.optional)
    .map((flag) => `    ${spellings([flag], '|')}) mapfile -t COMPREPLY < <(${values(flag)}); return ;;`)
    .join('\n');

const subcommandCases = (): string =>
  SUBCOMMANDS.map((command) => {
    const words = [...(command.words ?? []), ...spellings(command.flags, ' ').split(' ')].join(' ');
    return `      ${command.name}) mapfile -t COMPREPLY < <(compgen -W "${words}" -- "$cur"); return ;;`;
  }).join('\n');

/**
 * A completion script for bash: options of umvu up to the command, and from there on what the command's own
 * completion says (`_command_offset` of bash-completion where it is loaded, files otherwise).
 */
export function bashCompletion(): string {
  const withArgument = FLAGS.filter((flag) => flag.value !== undefined && !flag.optional);
  const subcommands = SUBCOMMANDS.map((command) => command.name).join(' ');
  return `# bash completion for umvu(1), printed by «umvu completion bash»
_umvu() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} i=1 bare=
  # Find the command: the first word that is neither an option nor the argument of one.
  while ((i < COMP_CWORD)); do
    case \${COMP_WORDS[i]} in
      --) bare=1; ((i++)); break ;;
      ${spellings(withArgument, '|')}) ((i += 2)) ;;
      # «--trace=file» is three words to bash.
      =) ((i += 2)) ;;
      -*) ((i++)) ;;
      *) break ;;
    esac
  done
  if ((i < COMP_CWORD)); then
    if [[ -z $bare ]]; then
      case \${COMP_WORDS[i]} in
${subcommandCases()}
      esac
    fi
    if declare -F _command_offset >/dev/null; then
      _command_offset "$i"
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
    return
  fi
  [[ -n $bare ]] || case $prev in
${argumentCases(FLAGS)}
  esac
  if [[ $cur == -* && -z $bare ]]; then
    mapfile -t COMPREPLY < <(compgen -W "${spellings(FLAGS, ' ')}" -- "$cur")
  elif [[ $cur == */* ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  else
    mapfile -t COMPREPLY < <(
      compgen -c -- "$cur"
      [[ -n $bare ]] || compgen -W "${subcommands}" -- "$cur"
    )
  fi
}
complete -o filenames -F _umvu umvu
`;
}
