/** `umvu seccomp dump`: the filter that a guest would get. */
import { loadModule } from '../modules/loader.ts';
import { disassemble } from '../seccomp/disasm.ts';
import { buildFilter } from '../seccomp/filter.ts';
import { handlers } from '../syscalls/handlers.ts';
import { subscribed } from '../syscalls/subscriptions.ts';
import { runningArch, type SyscallName } from '../syscalls/table.ts';
import { CORE_CALLS } from '../vm/vm.ts';
import { Failure, print } from './output.ts';
import type { Parsed } from './parse.ts';
import { MODULE_HINT, step } from './run.ts';

/** What a guest has trapped with these modules; with none named, or `all`, what any module may subscribe to. */
async function trapped(modules: readonly string[], all: boolean): Promise<SyscallName[]> {
  const calls = new Set<SyscallName>(CORE_CALLS);
  for (const name of modules) {
    await step(
      `module ${name}`,
      async () =>
        subscribed((await loadModule(name, process.cwd())).syscalls).forEach((call) => calls.add(call)),
      MODULE_HINT,
    );
  }
  if (all || modules.length === 0) for (const call of Object.keys(handlers)) calls.add(call as SyscallName);
  return [...calls];
}

/** The command. The array itself goes to standard output as it is, but not to a terminal. */
export async function dump(options: Parsed): Promise<number> {
  const trap = await trapped(options.values('module'), options.has('all'));
  const filter = buildFilter({ trap, arch: runningArch });
  const raw = options.has('raw');
  if (raw && process.stdout.isTTY)
    throw new Failure('seccomp dump --raw: standard output is a terminal', 'redirect it to a file');
  print(1, raw ? filter : disassemble(filter));
  return 0;
}
