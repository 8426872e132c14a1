/** What the documentation shows is run here: the examples in docs/examples, and the code in the pages. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from '../../runtime/native.ts';
import { exec } from '../helpers/exec.ts';
import { umvu, umvuCommand, umvuEnvironment } from '../helpers/umvu.ts';
import { USERS, workDir, type Who } from '../helpers/users.ts';

const docs = join(projectRoot, 'docs');
const example = (name: string): string => readFileSync(join(docs, 'examples', name), 'utf8');

/** The code blocks of a page in language `language`. */
function blocks(page: string, language: string): string[] {
  const text = readFileSync(join(projectRoot, page), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map(
    ([, code]) => code ?? '',
  );
}

/** Runs a shell script in a view with modules of docs/examples. */
async function withModules(who: Who, names: readonly string[], script: string): Promise<string> {
  const folder = workDir(who);
  try {
    const files = names.map((name) => join(folder.path, name));
    names.forEach((name, i) => copyFileSync(join(docs, 'examples', name), files[i]!));
    const modules = [...files, 'vunetioth'].flatMap((file) => ['-m', file]);
    const { stdout, stderr, code } = await umvu([...modules, 'bash', '-ec', script], { as: who });
    expect(code, stderr).toBe(0);
    return stdout;
  } finally {
    folder.remove();
  }
}

describe.each(USERS)('as %s', (who) => {
  it("the README's first line shows a client that gets an answer from a server", async () => {
    const { stdout, stderr, code } = await umvu(['sh', '-c', example('two-stacks.sh')], { as: who });
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('the server listens on port 80 of its stack');
    expect(stdout).toContain('the client got: hello, 10.0.0.2');
  });

  it('a module makes a virtual file', async () => {
    const out = await withModules(
      who,
      ['greeting.ts'],
      `vumount -t greeting world /tmp/hello
       cat /tmp/hello
       stat -c '%A %s' /tmp/hello
       vuumount /tmp/hello
       ! [ -e /tmp/hello ]`,
    );
    expect(out).toBe('hello world, mounted as greeting 1\n-r--r--r-- 35\n');
  });

  it('a stack of a user stands where others do', async () => {
    const out = await withModules(
      who,
      ['flaky.ts'],
      `vumount -t vunetioth -o hub:// flaky /dev/net/default
       python3 - <<'END'
import socket
for _ in range(4):
    try: socket.socket(); print("ok")
    except OSError as error: print(error.strerror)
END`,
    );
    expect(out).toBe('ok\nok\nNo buffer space available\nok\n');
  });
});

it('the code of the README runs', async () => {
  const [code] = blocks('README.md', 'ts');
  const work = workDir('root');
  try {
    // What users import as 'umvu' is the built runtime.
    const index = join(umvuCommand([]).at(-1)!, '../../index.js');
    const file = join(work.path, 'program.mjs');
    writeFileSync(file, code!.replace("'umvu'", JSON.stringify(index)));
    const env = umvuEnvironment(work.path);
    const { stdout, stderr } = await exec(process.execPath, [file], { env });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/vde0\S* +\S+ +10\.0\.0\.1\/24 /);
    expect(stdout).toContain('{ code: 0, signal: null }');
  } finally {
    work.remove();
  }
});

it('the modules of the page are those of docs/examples', () => {
  const shown = blocks('docs/writing-a-module.md', 'ts').join('\n');
  const strip = (text: string) => text.replace(/\/\*\*[^]*?\*\/\n/g, '').replace(/\s+/g, ' ');
  for (const name of ['greeting.ts', 'flaky.ts']) expect(strip(shown)).toContain(strip(example(name)).trim());
});
