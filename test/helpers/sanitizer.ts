/**
 * Runs in each test process before its test file. Where a sanitizer was loaded into this process by LD_PRELOAD
 * (test/run.ts), programs that it starts get no such thing: they are not instrumented.
 */
if (process.env['UMVU_BUILD'] === 'asan') {
  process.env['UMVU_TEST_PRELOAD'] ??= process.env['LD_PRELOAD'];
  delete process.env['LD_PRELOAD'];
}
