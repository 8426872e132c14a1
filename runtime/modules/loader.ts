import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Errno } from '../errno.ts';
import { projectRoot } from '../native.ts';
import type { ModuleDefinition } from './define.ts';

/** A module's name says where it is, without a path: letters, digits, `_` and `-`. */
const NAME = /^[A-Za-z0-9_-]+$/;

/** Files that may hold module `name`, in the order in which they are tried. */
function candidates(name: string, cwd: string): string[] {
  if (!NAME.test(name)) return [isAbsolute(name) ? name : resolve(cwd, name)];
  const own = (process.env['UMVU_MODULE_PATH'] ?? '').split(':').filter(Boolean);
  const user = join(process.env['HOME'] ?? '/', '.vu', 'modules');
  // The sources beside the running code first: dist/modules for dist/runtime, modules for runtime.
  const ours = [join(import.meta.dirname, '..', '..', 'modules'), join(projectRoot, 'modules')];
  return [...own, user, ...ours].flatMap((folder) => [
    join(folder, name, 'index.js'),
    join(folder, name, 'index.ts'),
    join(folder, `${name}.js`),
    join(folder, `${name}.ts`),
  ]);
}

let resolvable = false;
/** Lets modules anywhere write `import { … } from 'umvu'`: the name means the running runtime. */
async function makeResolvable(): Promise<void> {
  if (resolvable) return;
  resolvable = true;
  const { register } = await import('node:module');
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  register(new URL(`resolve-umvu.${extension === 'ts' ? 'mts' : 'mjs'}`, import.meta.url), {
    data: new URL(`../index.${extension}`, import.meta.url).href,
  });
}

/** Imports a file; TypeScript through tsx unless the program runs under it already. */
async function importFile(path: string): Promise<Record<string, unknown>> {
  await makeResolvable();
  const url = pathToFileURL(path).href;
  if (!path.endsWith('.ts') || import.meta.url.endsWith('.ts')) return (await import(url)) as Record<string, unknown>;
  const { tsImport } = await import('tsx/esm/api');
  return (await tsImport(url, import.meta.url)) as Record<string, unknown>;
}

/**
 * Loads a module: `nameOrPath` is a file (.js or .ts, relative to `cwd`), or a name that is looked for in
 * UMVU_MODULE_PATH, ~/.vu/modules and umvu's own modules. Throws Errno ENOENT, ENOEXEC or EINVAL with a reason.
 */
export async function loadModule(nameOrPath: string, cwd: string): Promise<ModuleDefinition> {
  const path = candidates(nameOrPath, cwd).find((file) => existsSync(file));
  if (path === undefined) throw new Errno('ENOENT', `no module «${nameOrPath}»`);
  let exported: Record<string, unknown>;
  try {
    exported = await importFile(path);
  } catch (error) {
    throw new Errno('ENOEXEC', `module «${nameOrPath}» cannot be loaded: ${error instanceof Error ? error.message : String(error)}`);
  }
  const definition = exported['default'] as Partial<ModuleDefinition> | undefined;
  if (typeof definition?.name !== 'string' || !Array.isArray(definition.syscalls) || typeof definition.create !== 'function') {
    throw new Errno('EINVAL', `module «${nameOrPath}» has no default export made with defineModule()`);
  }
  return definition as ModuleDefinition;
}
