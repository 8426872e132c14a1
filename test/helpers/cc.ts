/** Small C programs of tests: they are compiled into a folder for temporary files and run from there. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of a test for programs and their input. */
export class Workshop {
  readonly dir = mkdtempSync(join(tmpdir(), 'umvu-cc-'));

  /** Compiles `source` with gcc; `flags` come after it, so that libraries can be among them. The program's path. */
  compile(name: string, source: string, flags: readonly string[] = []): string {
    const program = join(this.dir, name);
    const input = this.write(`${name}.c`, source);
    execFileSync('gcc', ['-std=gnu11', '-O1', '-Wall', '-Werror', '-o', program, input, ...flags], {
      stdio: 'pipe',
    });
    return program;
  }

  /** Writes a file into the folder. Its path. */
  write(name: string, content: string | Uint8Array): string {
    const path = join(this.dir, name);
    writeFileSync(path, content);
    return path;
  }

  /** Removes the folder. */
  close(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
