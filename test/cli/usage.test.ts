import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bashCompletion } from '../../runtime/cli/completion.ts';
import { ENVIRONMENT, FLAGS, SUBCOMMANDS } from '../../runtime/cli/flags.ts';
import { help, subcommandHelp } from '../../runtime/cli/help.ts';
import { MANPAGE, update } from '../../runtime/cli/manpage.ts';
import { Failure, wrap } from '../../runtime/cli/output.ts';
import { parse } from '../../runtime/cli/parse.ts';
import { requestOf } from '../../runtime/cli/request.ts';
import { QUOTED, umvu } from './command.ts';

const scratch = mkdtempSync(join(tmpdir(), 'umvu-usage-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** The message and hint with which a command line is refused. */
function refusal(words: readonly string[]): string {
  try {
    requestOf(words);
  } catch (error) {
    if (error instanceof Failure) return `${error.message} / ${error.hint ?? ''}`;
    throw error;
  }
  throw new Error(`«umvu ${words.join(' ')}» was not refused`);
}

describe('the parser', () => {
  it('takes short, long, joined and clustered options', () => {
    const parsed = parse(
      ['-vvm', 'a', '-mb', '--module=c', '--module', 'd', '--trace', 'cmd', '-m', 'x'],
      FLAGS,
    );
    expect(parsed.count('verbose')).toBe(2);
    expect(parsed.values('module')).toEqual(['a', 'b', 'c', 'd']);
    expect(parsed.value('trace')).toBe('');
    expect(parsed.rest).toEqual(['cmd', '-m', 'x']);
    expect(parsed.separated).toBe(false);
  });

  it('leaves all that follows the command alone, also options and --', () => {
    expect(parse(['ls', '--nonsense', '--', '-V'], FLAGS).rest).toEqual(['ls', '--nonsense', '--', '-V']);
    expect(parse(['-w', '--', '-x', '--'], FLAGS).rest).toEqual(['-x', '--']);
    expect(parse(['-'], FLAGS).rest).toEqual(['-']);
  });

  it('takes the value of --trace only when it is joined', () => {
    expect(requestOf(['--trace', 'network']).command).toBe('network');
    expect(requestOf(['--trace=network,mount', 'true']).trace).toEqual(['network', 'mount']);
  });

  it('keeps values as they are', () => {
    const request = requestOf(['-E', 'A=b=c', '-E', 'EMPTY=', '--net=a=b,c=d', '--name', 'ä b', 'cmd']);
    expect(request.env).toEqual({ A: 'b=c', EMPTY: '' });
    expect(request.net).toBe('a=b,c=d');
    expect(request.name).toBe('ä b');
  });
});

describe('mistakes', () => {
  const file = join(scratch, 'file');
  writeFileSync(file, '');
  it.each<[string[], RegExp]>([
    [['--nonsense'], /^unknown option «--nonsense» \/ try «umvu --help»$/],
    [['-Z'], /^unknown option «-Z» \/ try «umvu --help»$/],
    [['-vZ'], /^unknown option «-Z»/],
    [['-ß'], /^unknown option «-ß»/],
    [['--modules', 'x'], /^unknown option «--modules» .*did you mean --module\? try «umvu --help»$/],
    [['--vers'], /did you mean --version\?/],
    [['--stats=yes'], /^option --stats takes no value/],
    [['--help='], /^option -h\/--help takes no value/],
    [['-m'], /^option -m\/--module needs a value: NAME\|PATH/],
    [['--module'], /^option -m\/--module needs a value/],
    [['-m', ''], /^option -m\/--module: the value is empty/],
    [['--module='], /^option -m\/--module: the value is empty/],
    [['--net'], /^option --net needs a value: CONFIG/],
    [['--net', 'a', '--net', 'b'], /^option --net was given twice/],
    [['-o'], /^option -o\/--output needs a value: FILE/],
    [['-o', 'f', 'true'], /^option -o\/--output needs --trace/],
    [['--trace=', 'true'], /^option --trace: the value is empty/],
    [['--trace=a,,b', 'true'], /^option --trace: there is an empty word in «a,,b»/],
    [['-C'], /^option -C\/--chdir needs a value: DIR/],
    [['-C', '/nonexistent', 'true'], /^--chdir \/nonexistent: no such file or directory/],
    [['-C', file, 'true'], /^--chdir .*file: not a directory/],
    [['-E', 'x', 'true'], /^option -E\/--env: «x» is not of the form VAR=VALUE/],
    [['-E', '=x', 'true'], /^option -E\/--env: «=x» is not of the form VAR=VALUE/],
    [['--name', 'a\nb', 'true'], /^option --name: the name has control characters/],
    [['--name', 'x'.repeat(256), 'true'], /^option --name: the name is longer than 255 bytes/],
    [['--name='], /^option --name: the value is empty/],
    [['--', ''], /^the name of the command is empty/],
  ])('%j', (words, message) => {
    expect(refusal(words)).toMatch(message);
  });

  it.each<[string[], string]>([
    [['--nonsense'], 'umvu: unknown option «--nonsense»\n  try «umvu --help»\n'],
    [
      ['-q', '-v', 'true'],
      'umvu: options -v/--verbose and -q/--quiet exclude each other\n  try «umvu --help»\n',
    ],
    [
      ['--net', 'x', 'doctor'],
      'umvu: option --net means nothing to «umvu doctor»\n  to run a program of that name: «umvu -- doctor»\n',
    ],
    [['doctor', '--nonsense'], 'umvu: unknown option «--nonsense»\n  try «umvu --help»\n'],
    [['doctor', 'now'], 'umvu: doctor: unexpected argument «now»\n  try «umvu doctor --help»\n'],
    [['seccomp'], 'umvu: seccomp: one of these words must follow: dump\n  try «umvu seccomp --help»\n'],
    [['seccomp', 'load'], 'umvu: seccomp: unknown word «load»\n  try «umvu seccomp --help»\n'],
    [['seccomp', 'dump', 'x'], 'umvu: seccomp: unexpected argument «x»\n  try «umvu seccomp --help»\n'],
    [['completion', 'fish'], 'umvu: completion: unknown word «fish»\n  try «umvu completion --help»\n'],
  ])('%j ends with 125', async (words, text) => {
    expect(await umvu(words)).toEqual({ code: 125, signal: null, stdout: '', stderr: text });
  });
});

describe('help', () => {
  it('names every option, command and variable, within 82 columns', () => {
    const text = help();
    for (const { long } of FLAGS) expect(text).toContain(`--${long}`);
    for (const { name } of SUBCOMMANDS) expect(text).toContain(`umvu ${name}`);
    for (const [name] of ENVIRONMENT) expect(text).toContain(name);
    expect(text.split('\n').filter((line) => line.length > 82)).toEqual([]);
    for (const command of SUBCOMMANDS)
      for (const { long } of command.flags) expect(subcommandHelp(command)).toContain(`--${long}`);
  });

  it('goes to standard output, and the status is 0', async () => {
    for (const word of ['--help', '-h'])
      expect(await umvu([word])).toEqual({ code: 0, signal: null, stdout: help(), stderr: '' });
    const doctor = await umvu(['doctor', '--help']);
    expect(doctor).toMatchObject({ code: 0, stderr: '' });
    expect(doctor.stdout).toContain('--json');
  });

  it('does not mind a reader that goes away, but a full disk', () => {
    const shell = (script: string) => spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    const main = QUOTED;
    expect(shell(`set -o pipefail; ${main} --help | head -1`)).toMatchObject({ status: 0, stderr: '' });
    expect(shell(`${main} --help >/dev/full`)).toMatchObject({
      status: 125,
      stderr: 'umvu: standard output: no space left on device\n',
    });
  });

  it('says the version, and with -v those of the parts', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect((await umvu(['-V'])).stdout).toBe(`umvu ${version}\n`);
    expect((await umvu(['-v', '--version'])).stdout).toMatch(
      new RegExp(`^umvu ${version}\nnode: ${process.versions.node}\naddon: .+\nnode-api: \\d+\n$`),
    );
  });

  it('is the same in the manual page', () => {
    const page = readFileSync(MANPAGE, 'utf8');
    expect(page, 'run «npx tsx runtime/cli/manpage.ts»').toBe(update(page));
  });

  it('breaks lines at blanks', () => {
    expect(wrap('aa bb cc', 5)).toEqual(['aa bb', 'cc']);
    expect(wrap('longword b', 4)).toEqual(['longword', 'b']);
  });
});

describe('completion for bash', () => {
  /** What bash offers after `words`, the last of which is being typed. */
  function offers(...words: string[]): string[] {
    const script = `${bashCompletion()}
      COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
      _umvu; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], {
      encoding: 'utf8',
      cwd: scratch,
    });
    expect(stderr).toBe('');
    return stdout.split('\n').filter(Boolean);
  }

  it('offers options, values, commands and subcommands where they belong', () => {
    expect(offers('umvu', '--st')).toEqual(['--stats']);
    expect(offers('umvu', '-m', 'vune')).toEqual(['vunetioth']);
    expect(offers('umvu', '-o', 'fi')).toEqual(['file']);
    expect(offers('umvu', 'docto')).toContain('doctor');
    expect(offers('umvu', '-v', 'seccomp', 'du')).toEqual(['dump']);
    expect(offers('umvu', 'doctor', '--j')).toEqual(['--json']);
    expect(offers('umvu', '-m', 'x', 'bas')).toContain('bash');
    expect(offers('umvu', '--trace', '=', 'network', 'bas')).toContain('bash');
    expect(offers('umvu', 'cat', 'fi')).toEqual(['file']);
    expect(offers('umvu', '--', 'docto')).not.toContain('doctor');
  });

  it('is printed by umvu itself', async () => {
    expect((await umvu(['completion', 'bash'])).stdout).toBe(bashCompletion());
  });
});
