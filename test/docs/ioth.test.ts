/** The examples of docs/ioth.md are run, and print what the text says. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';
import { exec } from '../helpers/exec.ts';
import { sanitized, tree } from '../helpers/tree.ts';

// Building the copy takes longer than a test may.
const dir = tree();
const text = readFileSync(join(projectRoot, 'docs/ioth.md'), 'utf8');
const examples = [
  ...text.matchAll(/^## ([^\n]*)\n(?:(?!^## )[^])*?```ts\n([^]*?)```\n\n```text\n([^]*?)```/gm),
];

describe('docs/ioth.md', () => {
  it('has an output for each example', () => {
    expect(examples).toHaveLength(text.split('```ts').length - 1);
  });

  it.each(examples.map(([, title, code, output]) => ({ title, code, output })))(
    '$title',
    async ({ code, output }) => {
      // Beside the package.json of the copy, so that «umvu/ioth» means it.
      const file = join(dir, `example-${process.pid}.mjs`);
      writeFileSync(file, code!);
      const clean = sanitized ? ['--require', join(dir, 'clean.cjs')] : [];
      const result = await exec(process.execPath, [...clean, file], { timeout: 15_000 });
      rmSync(file);
      expect(result).toEqual({ code: 0, signal: null, stdout: output, stderr: '', timedOut: false });
    },
  );
});
