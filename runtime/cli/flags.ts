/**
 * The command line in one table. The parser, `--help`, the options section of umvu(1) and the completion for
 * bash all come from here, so none of them can lag behind.
 */

/** An option. */
export interface Flag {
  /** Long name without dashes; also the key under which the parser stores it. */
  readonly long: string;
  readonly short?: string;
  /** Placeholder of its argument; absent for a switch. */
  readonly value?: string;
  /** The argument may be left out, and is then only taken from `--long=ARG`. */
  readonly optional?: true;
  /** May be given more than once. */
  readonly repeat?: true;
  /** What it does: one sentence, in the imperative, without a full stop. */
  readonly help: string;
  /** More sentences for the manual page (Markdown). */
  readonly more?: string;
  /** What its argument is, for completion: a kind of file, or fixed words. */
  readonly complete?: 'file' | 'directory' | 'module' | readonly string[];
}

/** A word that is a command of umvu itself when it comes first, and not after `--`. */
export interface Subcommand {
  readonly name: string;
  /** Words that must follow (`umvu seccomp dump`): exactly one of them. */
  readonly words?: readonly string[];
  readonly help: string;
  readonly more?: string;
  readonly flags: readonly Flag[];
  /** Options of umvu that also mean something here when they stand before the word. */
  readonly accepts: readonly string[];
}

const HELP: Flag = { long: 'help', short: 'h', help: 'Show this text and exit' };

const MODULE: Flag = {
  long: 'module',
  short: 'm',
  value: 'NAME|PATH',
  repeat: true,
  help: 'Load a module: a name, or the path of a .js or .ts file',
  more:
    'A value with a slash in it is a path; a name is looked up in the folders of `UMVU_MODULE_PATH` and then ' +
    'among the modules that come with umvu. If modules are named together with a command, only the system calls that they need are trapped, and modules that need others cannot be inserted later.',
  complete: 'module',
};

/** Options of `umvu [options] [--] [command…]`. */
export const FLAGS: readonly Flag[] = [
  MODULE,
  {
    long: 'net',
    value: 'CONFIG',
    help: 'Mount a network stack at /dev/net/default, given as an IoTh string',
    more:
      'For example `--net stack=lwip,vnl=hub://,eth,ip=10.0.0.1/24`. The words are separated by commas: `stack=`, ' +
      '`isolate` (an lwip in a process of its own), `vnl=`, `eth` or `iface=` with `mac=`, `ip=ADDRESS/LENGTH`, `gw=`, `dns=`. ' +
      'The module vunetioth is loaded for it.',
  },
  {
    long: 'pcap',
    value: 'FILE',
    help: 'Record the frames of all interfaces of stacks in this file, as pcapng',
    more:
      'For wireshark(1), tshark(1) and tcpdump(8). Each interface on a virtual network has its own number in the file, with ' +
      'its name and its network, and each frame tells its direction, so a frame between two stacks is there twice. The file can be read ' +
      'while it grows. A FIFO serves too (`wireshark -k -i FIFO`): umvu starts when it has a reader, and frames that the ' +
      'reader is too slow for are counted instead of recorded. `lo`, and the network of the host (`stack=kernel`), are not recorded.',
    complete: 'file',
  },
  {
    long: 'name',
    value: 'NAME',
    help: 'Name the view, as vuname and the prompt show it',
  },
  {
    long: 'chdir',
    short: 'C',
    value: 'DIR',
    help: 'Start the command in this directory',
    complete: 'directory',
  },
  {
    long: 'env',
    short: 'E',
    value: 'VAR=VALUE',
    repeat: true,
    help: 'Set a variable in the environment of the command',
  },
  {
    long: 'wait',
    short: 'w',
    help: 'Stay until the last process has ended; by default what is left is ended with the command',
    more:
      'A daemon that the command started in the background is thus ended with the command, unless this option is given. ' +
      'The exit status is that of the command in both cases.',
  },
  {
    long: 'trace',
    value: 'CLASS,…',
    optional: true,
    help: 'Show the trapped system calls and their answers, all or those of some classes',
    more:
      'The lines look like those of strace(1). A class is the name of a system call or a family ' +
      '(`%network`, `%file`, …); its words are separated by commas and must be joined to the option with `=`. ' +
      'Lines go to standard error unless `-o` is given.',
  },
  {
    long: 'output',
    short: 'o',
    value: 'FILE',
    help: 'Write the trace to this file, which is emptied first',
    complete: 'file',
  },
  {
    long: 'stats',
    help: 'Print at the end which system calls were trapped, how they were answered, and the time this took',
  },
  {
    long: 'verbose',
    short: 'v',
    repeat: true,
    help: 'Say what happens; twice: also what only a developer wants to know',
  },
  { long: 'quiet', short: 'q', help: 'Say nothing but errors' },
  {
    long: 'version',
    short: 'V',
    help: 'Show the version; with -v also those of Node, the addon and Node-API',
  },
  HELP,
];

export const SUBCOMMANDS: readonly Subcommand[] = [
  {
    name: 'doctor',
    help: 'Check what this machine offers, what works without it, and what to do',
    more: 'The exit status is 0 when guests can run, even if something is missing, and 1 otherwise.',
    flags: [{ long: 'json', help: 'Print one JSON object, for programs' }, HELP],
    accepts: ['verbose', 'quiet'],
  },
  {
    name: 'seccomp',
    words: ['dump'],
    help: 'Show the seccomp filter that a guest would get',
    flags: [
      MODULE,
      {
        long: 'all',
        help: 'Trap all that any module may need even if -m names some; the default without -m',
      },
      { long: 'raw', help: 'Write the struct sock_filter array itself, for other tools' },
      HELP,
    ],
    accepts: ['module', 'verbose', 'quiet'],
  },
  {
    name: 'completion',
    words: ['bash'],
    help: 'Print the completion script for a shell',
    more: 'Put `eval "$(umvu completion bash)"` into ~/.bashrc.',
    flags: [HELP],
    accepts: [],
  },
];

/** Variables of the environment that umvu reads. */
export const ENVIRONMENT: readonly (readonly [name: string, help: string])[] = [
  ['UMVU_LOG', 'Levels of messages per area: vm:debug,ioth:info (or all:debug)'],
  ['UMVU_MODULE_PATH', 'Folders, separated by colons, in which -m looks for modules first'],
  ['NO_COLOR', 'If not empty, never use colour'],
  ['SHELL', 'What runs where no command is given (default: /bin/sh)'],
];

/** Variables of the environment that umvu sets for its guests. */
export const GUEST_ENVIRONMENT: readonly (readonly [name: string, help: string])[] = [
  ['UMVU_VIEW', 'Name that the view had when the command was started'],
];

/** Exit statuses of umvu, in the order in which one would look for them. */
export const STATUSES: readonly (readonly [status: string, help: string])[] = [
  ['0-255', "The command's own. If a signal ended the command, the same signal ends umvu"],
  ['125', 'umvu itself failed'],
  ['126', 'The command was found but cannot be executed'],
  ['127', 'The command was not found'],
];
