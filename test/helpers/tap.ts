/** Test programs that check themselves (guests/tap) and print TAP: run natively and under umvu. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Parser } from 'tap-parser';
import { exec, type ExecResult } from './exec.ts';
import { tree } from './tree.ts';
import { umvu, type UmvuOptions } from './umvu.ts';

export interface TapOptions extends UmvuOptions {
  /** Arguments of the program. */
  args?: readonly string[];
  /** Arguments of umvu before the program. */
  umvuArgs?: readonly string[];
}

/** Path of a built test program. */
export const tapProgram = (name: string): string => join(tree(), 'guests/build/tap', name);

/** Fails the test unless the program's TAP output is complete and all of it is ok. */
export function expectTap(result: ExecResult, what = ''): void {
  const parser = new Parser();
  parser.end(result.stdout);
  const failures = (parser.results?.failures ?? []) as readonly { name: string; diag?: unknown }[];
  const { code, signal, timedOut, stderr } = result;
  expect(
    { failures, code, signal, timedOut, ok: parser.ok && parser.count > 0 },
    `${what}\n${result.stdout}\n${stderr}`,
  ).toEqual({
    failures: [],
    code: 0,
    signal: null,
    timedOut: false,
    ok: true,
  });
}

/** Commands of a shell, whose output is looked at by itself. */
export interface Section {
  readonly name: string;
  readonly script: string;
}

/** Runs several scripts as one guest of umvu, one after the other, each in a shell of its own; the results by name. */
export async function umvuSections(
  umvuArgs: readonly string[],
  sections: readonly Section[],
  options: UmvuOptions = {},
): Promise<Map<string, ExecResult>> {
  const parts = sections.map(
    ({ name, script }, i) => `echo '${MARK} ${i} ${name}'; (\n${script}\n) 2>&1; echo; echo "${MARK} $?"`,
  );
  const whole = await umvu([...umvuArgs, '--', 'bash', '-c', parts.join('\n')], options);
  const results = sections.map(({ name }, i): [string, ExecResult] => {
    const [, text = ''] = whole.stdout.split(`${MARK} ${i} ${name}\n`);
    const [stdout = '', status] = text.split(`\n${MARK} `);
    const code = status === undefined ? null : parseInt(status, 10);
    return [name, { ...whole, stdout, code }];
  });
  return new Map(results);
}
const MARK = '####';

/** Declares the same test for a program run natively and under umvu: whatever Linux does, umvu does too. */
export function tapTests(name: string, options: TapOptions = {}): void {
  describe.each(['native', 'umvu'])(`${name} (%s)`, (how) => {
    it('passes its own checks', async () => {
      const args = [tapProgram(name), ...(options.args ?? [])];
      const result =
        how === 'native'
          ? await exec(args[0]!, args.slice(1), options)
          : await umvu([...(options.umvuArgs ?? []), '--', ...args], options);
      expectTap(result);
    });
  });
}
