import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Errno } from '../errno.ts';
import { projectRoot } from '../native.ts';
import type { StackDriver } from '../ioth/stack.ts';
import type { ModuleDefinition } from './define.ts';

/** A module's name says where it is, without a path: letters, digits, `_` and `-`. */
const NAME = /^[A-Za-z0-9_-]+$/;

/** umvu's own modules. Those beside the running code first: dist/modules for dist/runtime, modules for runtime. */
const OURS = [join(import.meta.dirname, '..', '..', 'modules'), join(projectRoot, 'modules')];

/** Files that may hold module `name`, in the order in which they are tried. */
function candidates(name: string, cwd: string): string[] {
  if (!NAME.test(name)) return [isAbsolute(name) ? name : resolve(cwd, name)];
  const own = (process.env['UMVU_MODULE_PATH'] ?? '').split(':').filter(Boolean);
  const user = join(process.env['HOME'] ?? '/', '.vu', 'modules');
  return [...own, user, ...OURS].flatMap((folder) => [
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
  // The thread of hooks gets a copy of the environment now: tsx, if it comes, is to leave no cache behind in the
  // folder for temporary files. Guests do not see the variable.
  process.env['TSX_DISABLE_CACHE'] = '1';
  register(new URL(`resolve-umvu.${extension === 'ts' ? 'mts' : 'mjs'}`, import.meta.url), {
    data: new URL(`../index.${extension}`, import.meta.url).href,
  });
  delete process.env['TSX_DISABLE_CACHE'];
}

let typescript = false;
/** Imports a file; TypeScript through tsx unless the program runs under it already. */
async function importFile(path: string): Promise<Record<string, unknown>> {
  // Ours name the runtime by its path, and a thread for hooks takes 50 ms to start.
  if (!OURS.some((folder) => path.startsWith(`${folder}/`))) await makeResolvable();
  if (path.endsWith('.ts') && !import.meta.url.endsWith('.ts') && !typescript) {
    // Not tsImport(): it would load a runtime of its own for the module, with other classes of the same names.
    const { register } = await import('tsx/esm/api');
    register();
    typescript = true;
  }
  return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
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
    throw new Errno(
      'ENOEXEC',
      `module «${nameOrPath}» cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const made = exported['default'] as Partial<ModuleDefinition & StackDriver> | undefined;
  if (typeof made?.name !== 'string' || typeof made.create !== 'function') {
    throw new Errno(
      'EINVAL',
      `module «${nameOrPath}» has no default export made with defineModule() or defineStack()`,
    );
  }
  return Array.isArray(made.syscalls) ? (made as ModuleDefinition) : moduleOfStack(made as StackDriver);
}

/** A file may hold just a stack (defineStack): as a module it makes the stack known to vunetioth's mounts. */
function moduleOfStack(driver: StackDriver): ModuleDefinition {
  return {
    name: driver.name,
    summary: driver.summary,
    types: [],
    syscalls: [],
    async create({ vm }) {
      const { drivers } = await vm.ioth();
      if (drivers.has(driver.name)) throw new Errno('EEXIST', `there is a stack «${driver.name}» already`);
      drivers.set(driver.name, driver);
      return { close: () => void drivers.delete(driver.name) };
    },
  };
}
