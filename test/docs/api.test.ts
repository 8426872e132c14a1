/** The reference of the IoTh library is generated from its doc comments: `npm run docs:api`. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';
import { exec } from '../helpers/exec.ts';

/** Kinds of exports that have to say what they are. */
const KINDS = ['Class', 'Interface', 'Variable', 'TypeAlias'];

it('the reference can be generated, and each export says what it is', { timeout: 180_000 }, async () => {
  const out = mkdtempSync(join(tmpdir(), 'api-'));
  const words = [
    '--out',
    out,
    '--logLevel',
    'Warn',
    // Types are checked by another test, and take most of the time.
    '--skipErrorChecking',
    '--validation.notDocumented',
    '--validation.invalidLink',
    'false',
  ];
  const required = KINDS.flatMap((kind) => ['--requiredToBeDocumented', kind]);
  const command = [join(projectRoot, 'node_modules/typedoc/bin/typedoc'), ...words, ...required];
  const result = await exec(process.execPath, command, { cwd: projectRoot, timeout: 170_000 });
  expect(result.code, result.stderr).toBe(0);
  const silent = `${result.stdout}${result.stderr}`
    .split('\n')
    .filter((line) => line.includes('does not have any documentation'));
  expect(silent).toEqual([]);
  for (const page of [
    'classes/IothStack.html',
    'classes/Socket.html',
    'functions/newStack.html',
    'classes/NetlinkServer.html',
  ])
    expect(existsSync(join(out, page)), page).toBe(true);
  rmSync(out, { recursive: true, force: true });
});
