import { defineConfig } from 'vitest/config';

/** Test files run one after another: they share two cores, network namespaces and timing. */
export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/tree.ts'],
    setupFiles: ['test/helpers/sanitizer.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Most tests run real programs in real time, and a machine may be busy with something else for a moment.
    retry: 1,
  },
});
