import { defineConfig } from 'vitest/config';

/** Test files that measure: nothing else may run beside them. */
const ALONE = [
  'test/emulated/packet.test.ts',
  'test/guests/launch.test.ts',
  'test/hostile/api.test.ts',
  'test/hostile/storms.test.ts',
  'test/ioth/lwip.test.ts',
  'test/ioth/lwip-scale.test.ts',
  'test/vm/parking.test.ts',
];

/** Files that run.ts leaves out, because --exclude does not reach the projects below. */
const LEFT_OUT = process.env['UMVU_TEST_EXCLUDE']?.split(' ') ?? [];

/**
 * Two test files at a time, which wait for real programs more than they compute. Each worker has a copy of the project
 * (helpers/tree.ts); namespaces, folders and networks are each test's own.
 */
export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    globalSetup: ['test/helpers/tree.ts'],
    setupFiles: ['test/helpers/sanitizer.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Most tests run real programs in real time, and a machine may be busy with something else for a moment.
    retry: 1,
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: [...ALONE, ...LEFT_OUT],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: ALONE,
          exclude: LEFT_OUT,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
