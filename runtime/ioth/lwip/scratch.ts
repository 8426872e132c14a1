/**
 * Folders that do not outlive this process, not even where it is killed: a shell waits for its end, which is that of a
 * pipe, and removes what is left. There is one shell as long as there are folders.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The signals of the terminal are for the guests. */
const REMOVE = `trap '' INT TERM HUP QUIT TSTP; read -r end; exec rm -rf -- "$0"`;

let parent: { path: string; shell: ChildProcess; folders: number } | undefined;

function makeParent(): NonNullable<typeof parent> {
  const path = mkdtempSync(join(tmpdir(), 'umvu-net-'));
  chmodSync(path, 0o755);
  const shell = spawn('/bin/sh', ['-c', REMOVE, path], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  // Without a shell they stay behind where this process is killed.
  shell.on('error', () => undefined);
  shell.stdin.on('error', () => undefined);
  shell.unref();
  (shell.stdin as unknown as { unref(): void }).unref();
  return { path, shell, folders: 0 };
}

/** A new empty folder that everybody may look into, and what removes it with all that is in it. */
export function scratchFolder(): { path: string; remove: () => void } {
  const within = (parent ??= makeParent());
  within.folders++;
  const path = mkdtempSync(join(within.path, 'stack-'));
  chmodSync(path, 0o755);
  return {
    path,
    remove: () => {
      rmSync(path, { recursive: true, force: true });
      if (--within.folders > 0) return;
      rmSync(within.path, { recursive: true, force: true });
      within.shell.stdin!.end();
      parent = undefined;
    },
  };
}
