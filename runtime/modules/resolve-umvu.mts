/** Resolution hooks (module.register): the specifier `umvu` means the runtime that loads the module. */
import type { InitializeHook, ResolveHook } from 'node:module';

let index = '';

export const initialize: InitializeHook<string> = (url) => {
  index = url;
};

export const resolve: ResolveHook = (specifier, context, next) =>
  specifier === 'umvu' ? { url: index, shortCircuit: true } : next(specifier, context);
