/**
 * Resolution hooks (module.register) for modules that users write. The specifier `umvu` means the runtime that
 * loads the module, wherever the file lies; and a .ts file is an ECMAScript module also where no package.json
 * says so, because the runtime is one and must not be loaded a second time as CommonJS.
 */
import type { InitializeHook, ResolveHook } from 'node:module';

let index = '';

export const initialize: InitializeHook<string> = (url) => {
  index = url;
};

export const resolve: ResolveHook = async (specifier, context, next) => {
  if (specifier === 'umvu') return { url: index, format: 'module', shortCircuit: true };
  const resolved = await next(specifier, context);
  return new URL(resolved.url).pathname.endsWith('.ts') ? { ...resolved, format: 'module' } : resolved;
};
