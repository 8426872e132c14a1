/** What docs/vudev.md shows is what happens: its programs are those of docs/examples, its sessions are run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';
import { umvu } from '../helpers/umvu.ts';

const page = readFileSync(join(projectRoot, 'docs/vudev.md'), 'utf8');

describe('programs', () => {
  const blocks = [...page.matchAll(/\(examples\/(\w+\.ts)\)\):\n\n```ts\n([^]*?)```/g)];

  it.each(blocks.map(([, name, text]) => [name!, text!]))('%s', (name, text) => {
    expect(text).toBe(readFileSync(join(projectRoot, 'docs/examples', name), 'utf8'));
  });

  it('are all compared', () => {
    expect(blocks).toHaveLength(page.match(/```ts/g)!.length);
  });
});

/** A session: the arguments of umvu, the commands, and all that they print. */
interface Session {
  readonly args: string[];
  readonly script: string;
  readonly output: string;
}

function sessions(): Session[] {
  return [...page.matchAll(/^ {4}\$ umvu .*\n(?:^ {4}.*\n)+/gm)].map(([block]) => {
    const [first = '', ...lines] = block.replace(/^ {4}/gm, '').trimEnd().split('\n');
    const args = /^\$ umvu (.*) bash$/.exec(first)?.[1]?.split(' ') ?? [];
    const commands = lines.filter((line) => line.startsWith('$$ '));
    const output = lines.filter((line) => !line.startsWith('$$ '));
    return {
      args: args.map((word) => (word.startsWith('docs/') ? join(projectRoot, word) : word)),
      script: commands.map((line) => line.slice(3)).join('\n'),
      output: output.map((line) => `${line}\n`).join(''),
    };
  });
}

describe('sessions', () => {
  it.each(sessions().map((session) => [session.script.split('\n')[0]!, session] as const))(
    '%s',
    async (_first, { args, script, output }) => {
      expect(args[0]).toBe('-m');
      const env = { TSX_DISABLE_CACHE: '1', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
      const result = await umvu([...args, '--', 'bash', '-c', `exec 2>&1\n${script}`], { env });
      // The first line of the script is ours, and terminals end lines in their own way.
      expect(
        result.stdout.replaceAll('\r', '').replace(/line (\d+)/g, (_all, line) => `line ${Number(line) - 1}`),
      ).toBe(output);
    },
  );
});
