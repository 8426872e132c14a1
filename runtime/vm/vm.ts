import { Errno } from '../errno.ts';
import { Mounter } from '../files/mounter.ts';
import type { IothHost } from '../ioth/host.ts';
import { guestBinDir, type Listener, type NativeCapture } from '../native.ts';
import { viewsChanged } from './epoch.ts';
import type { MountRequest } from '../modules/define.ts';
import { splitOptions } from '../modules/options.ts';
import { checkMount } from '../modules/results.ts';
import { ModuleRegistry } from '../modules/registry.ts';
import { buildFilter } from '../seccomp/filter.ts';
import { handlers } from '../syscalls/handlers.ts';
import { subscribed } from '../syscalls/subscriptions.ts';
import { byNumber, type SyscallName } from '../syscalls/table.ts';
import { Dispatcher, type CallStats, type Tracer } from './dispatch.ts';
import { Guest, type SpawnOptions } from './guest.ts';
import { launch } from './launch.ts';
import type { Word } from './words.ts';
import type { Mount, PathRule } from './mounts.ts';
import type { Inherited, Process } from './process.ts';
import { within } from './patience.ts';
import { ProcessTable } from './processes.ts';
import { DEFAULT_STACK, View } from './view.ts';

/** How long the end of a VM waits for a mount to be taken down, in ms. */
const PATIENCE = 3000;

/** Calls that every VM traps: they are how guests ask for a view, and how lineage is kept. */
export const CORE_CALLS: readonly SyscallName[] = [
  'vuctl',
  'mount',
  'umount2',
  'fsopen',
  'exit_group',
  'prctl',
];

export interface VmOptions {
  /** Modules to insert at the start: names or paths. */
  modules?: readonly string[];
  /** An IoTh string; its stack is mounted at /dev/net/default. */
  net?: string;
  /**
   * Trap only what `modules` (and `net`) need. Faster for programs that need nothing else, but modules that
   * need more cannot be inserted later.
   */
  onlyModules?: boolean;
  /** Name of the view, for vuname and prompts. */
  name?: string;
  /** Where the interfaces of its stacks are recorded; the VM closes it. */
  capture?: NativeCapture;
  /** Follows every trapped call. */
  tracer?: Tracer;
  /** Measures the time spent in handlers. */
  measure?: boolean;
}

/** What a VM did so far. */
export interface VmStats {
  /** By name of the system call; only calls that were made. */
  calls: Record<string, CallStats>;
  /** Processes that have made a trapped call and are alive. */
  processes: number;
}

/** What is to be mounted; the fields are those of mount(2). */
export interface MountCommand {
  type: string;
  source: string;
  target: string;
  /** The text of `-o`. */
  options?: string;
  flags?: number;
}

/** A virtual machine: views, modules and guests, served by this process. Made by startVm(). */
export class Vm {
  /** The user who runs it. */
  readonly uid = process.geteuid!();
  readonly rootView: View;
  /** Makes the layers of file trees. */
  readonly mounter = new Mounter();
  readonly modules: ModuleRegistry;
  readonly processes: ProcessTable;
  readonly #dispatcher: Dispatcher;
  readonly #views = new Set<View>();
  readonly #guests = new Set<Guest>();
  readonly #listeners = new Set<Listener>();
  #ioth: Promise<IothHost> | undefined;
  readonly #capture: NativeCapture | undefined;
  /** Mounts that are being taken down. */
  readonly #leaving = new Set<Mount>();
  /** True when guests may not bring modules of their own by path, because only chosen ones are trapped for. */
  readonly sealed: boolean;
  /** Calls the filters trap; undefined until the first guest starts. */
  #trapped: Set<SyscallName> | undefined;
  #closed: Promise<void> | undefined;

  /** Use startVm(), which also inserts modules and mounts the stack. */
  constructor(options: VmOptions) {
    this.sealed = options.onlyModules ?? false;
    this.#capture = options.capture;
    this.rootView = new View(options.name ?? '');
    this.#views.add(this.rootView);
    const state: Inherited = { view: this.rootView, defaults: new Map(), special: false };
    this.modules = new ModuleRegistry(this);
    this.processes = new ProcessTable(state, (ended) => this.#processEnded(ended));
    this.#dispatcher = new Dispatcher(this, handlers, {
      measure: options.measure ?? false,
      tracer: options.tracer,
    });
  }

  /** What the stacks of the VM share. Loaded when it is first asked for: a VM without stacks starts sooner. */
  ioth(): Promise<IothHost> {
    if (this.#closed && !this.#ioth) throw new Errno('ESHUTDOWN', 'the VM is closed');
    const capture = this.#capture;
    return (this.#ioth ??= import('../ioth/host.ts').then(({ createIothHost }) =>
      createIothHost(capture ? { capture } : {}),
    ));
  }

  // -- Modules and mounts --------------------------------------------------------------------------------

  /** Inserts a module; see ModuleRegistry.insert. */
  async insertModule(nameOrPath: string, options: { permanent?: boolean; cwd?: string } = {}): Promise<void> {
    await this.modules.insert(nameOrPath, { cwd: process.cwd(), ...options });
  }

  async removeModule(name: string): Promise<void> {
    await this.modules.remove(name);
  }

  /** Whether `call` reaches the handlers in guests of this VM. */
  traps(call: SyscallName): boolean {
    return this.#trapped === undefined || this.#trapped.has(call);
  }

  /** Mounts in a view, that of the VM by default. Throws Errno; ENODEV where no module serves the type. */
  async mount(
    command: MountCommand,
    where: { view?: View; process?: Process; signal?: AbortSignal } = {},
  ): Promise<void> {
    const module = this.modules.forType(command.type);
    if (!module?.instance.mount)
      throw new Errno('ENODEV', `no module serves type «${command.type}»: insert one with vu_insmod`);
    const data = command.options ?? '';
    const request: MountRequest = {
      type: command.type,
      source: command.source,
      target: command.target,
      options: splitOptions(data),
      data,
      flags: command.flags ?? 0,
      process: where.process,
      signal: where.signal ?? new AbortController().signal,
    };
    const view = where.view ?? this.rootView;
    module.arriving++;
    let mount: Mount;
    try {
      mount = checkMount(request, await module.instance.mount(request));
    } finally {
      module.arriving--;
    }
    if (request.signal.aborted || this.#closed || !this.#views.has(view)) {
      await mount.unmount();
      throw new Errno('EINTR');
    }
    module.mounts.add(mount);
    view.mount(mount);
  }

  /** Mounts the stack that IoTh string `config` describes at /dev/net/default; inserts vunetioth for it. */
  async mountDefaultStack(config: string): Promise<void> {
    if (!this.modules.has('vunetioth')) await this.insertModule('vunetioth');
    await this.mount({ type: 'vunetioth', source: '', target: DEFAULT_STACK, options: config });
  }

  /**
   * Unmounts the newest mount at exactly `target` of a view. EINVAL where nothing is mounted, EBUSY while it is
   * used; `lazy` takes it out of the view at once and down in any case.
   */
  async unmount(target: string, options: { lazy?: boolean; view?: View } = {}): Promise<void> {
    const view = options.view ?? this.rootView;
    const mount = view.mounts.at(target);
    if (!mount || this.#leaving.has(mount)) throw new Errno('EINVAL', `nothing is mounted at ${target}`);
    const elsewhere = [...this.#views].some((other) => other !== view && other.mounts.list().includes(mount));
    if (!elsewhere && !options.lazy) {
      const reason = mount.busy?.() ?? this.#chosenBy(mount);
      if (reason) throw new Errno('EBUSY', reason);
    }
    view.unmount(mount);
    if (!elsewhere) await this.#takeDown(mount);
  }

  /** A process other than by way of /dev/net/default that has chosen this stack. */
  #chosenBy(mount: Mount): string | undefined {
    for (const user of this.processes.all()) {
      if ([...user.defaults.values()].includes(mount)) return `process ${user.pid} uses it`;
    }
    return undefined;
  }

  async #takeDown(mount: Mount): Promise<void> {
    this.#leaving.add(mount);
    try {
      await mount.unmount();
    } finally {
      this.#leaving.delete(mount);
      this.modules.forType(mount.type)?.mounts.delete(mount);
    }
  }

  /** Adds a rule about paths to every view, also to those that are made later. */
  addRule(rule: PathRule): void {
    for (const view of this.#views) view.addRule(rule);
  }

  removeRule(rule: PathRule): void {
    for (const view of this.#views) view.removeRule(rule);
  }

  /** Gives `caller` and its future children a copy of its view, in which mounts are seen only there. */
  newView(caller: Process): View {
    this.processes.adoptChildren(caller);
    const before = caller.view;
    const view = new View(before.name, before, caller.credentials()?.uid);
    this.#views.add(view);
    caller.view = view;
    viewsChanged();
    caller.special = true;
    this.#giveUp(before);
    return view;
  }

  /** Ends a view, and the mounts that no other view has, unless somebody still uses it. */
  #giveUp(view: View): void {
    if (view === this.rootView) return;
    // A view lives as long as a process that uses it, or may hand it to children that were not seen yet.
    for (const user of this.processes.all()) if (user.view === view) return;
    this.#views.delete(view);
    for (const mount of view.mounts.list()) {
      const elsewhere = [...this.#views].some((other) => other.mounts.list().includes(mount));
      if (!elsewhere) void within(PATIENCE, `unmounting ${mount.target}`, () => this.#takeDown(mount));
    }
  }

  // -- Guests ----------------------------------------------------------------------------------------------

  /**
   * Starts a command; words that are not UTF-8 are given as bytes. Rejects only when the supervisor itself fails; a
   * command not found exits with 127.
   */
  async spawn(command: Word, args: readonly Word[] = [], options: SpawnOptions = {}): Promise<Guest> {
    if (this.#closed) throw new Errno('ESHUTDOWN', 'the VM is closed');
    this.#trapped ??= this.#callsToTrap();
    const env = { ...(options.env ?? process.env) };
    env['PATH'] = `${guestBinDir}:${env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin'}`;
    env['UMVU_VIEW'] = this.rootView.name || String(process.pid);
    const launched = await launch({
      command,
      args: [...args],
      env,
      cwd: options.cwd,
      stdio: options.stdio ?? 'pipe',
      filter: buildFilter({ trap: [...this.#trapped], arch: 'x64' }),
      waitForAll: options.waitForAll ?? false,
      ...(options.argv0 === undefined ? {} : { argv0: options.argv0 }),
    });
    const state: Inherited = { view: this.rootView, defaults: new Map(), special: false };
    this.processes.addKeeper(launched.keeperPid, state);
    this.processes.add(launched.pid, state);
    const listener = this.#dispatcher.listen(launched.listenerFd, () => this.#listeners.delete(listener));
    this.#listeners.add(listener);
    const guest = new Guest(launched);
    this.#guests.add(guest);
    void guest.exited.then(() => {
      this.#guests.delete(guest);
      this.processes.removeKeeper(launched.keeperPid);
      this.processes.endStrays();
    });
    launched.go();
    return guest;
  }

  #callsToTrap(): Set<SyscallName> {
    const wanted = this.sealed ? this.modules.syscalls() : (Object.keys(handlers) as SyscallName[]);
    const mounts = [...this.#views].flatMap((view) => [...view.mounts.list()]);
    // Where no stack is there yet, one may be mounted that needs more than those of the kernel.
    const none = wanted.includes('socket') && !mounts.some(({ stack }) => stack);
    const emulated = none || mounts.some(({ stack }) => stack?.emulated) ? subscribed(['%emulated']) : [];
    return new Set([...CORE_CALLS, ...wanted, ...emulated]);
  }

  #processEnded(ended: Process): void {
    this.#dispatcher.abandon(ended.pid);
    this.#giveUp(ended.view);
  }

  stats(): VmStats {
    const calls: Record<string, CallStats> = {};
    for (const [nr, stats] of this.#dispatcher.stats())
      if (stats.calls > 0) calls[byNumber.get(nr)?.name ?? String(nr)] = stats;
    return { calls, processes: [...this.processes.all()].length };
  }

  /** Ends all guests, unmounts everything and gives back all that the VM holds. Idempotent. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    const guests = [...this.#guests];
    for (const guest of guests) guest.kill('SIGKILL');
    await Promise.all(guests.map((guest) => guest.exited));
    this.#dispatcher.close();
    for (const listener of this.#listeners) listener.close();
    this.processes.close();
    const mounts = new Set([...this.#views].flatMap((view) => [...view.mounts.list()]));
    for (const mount of [...mounts].reverse()) {
      await within(PATIENCE, `unmounting ${mount.target}`, () => this.#takeDown(mount));
    }
    await this.modules.close();
    await (await this.#ioth)?.close();
    this.#capture?.close();
    await this.mounter.close();
  }

  /** Changes what a process and its future children inherit (default stacks). */
  setDefaults(caller: Process, defaults: ReadonlyMap<number, Mount | null>): void {
    this.processes.adoptChildren(caller);
    caller.defaults = defaults;
    caller.special = true;
  }
}

/**
 * Starts a virtual machine in this process.
 *
 * ```ts
 * const vm = await startVm({ net: 'stack=vdestack,vnl=hub://,eth,ip=10.0.0.1/24' });
 * const guest = await vm.spawn('ip', ['addr'], { stdio: 'inherit' });
 * await guest.exited;
 * await vm.close();
 * ```
 */
export async function startVm(options: VmOptions = {}): Promise<Vm> {
  const vm = new Vm(options);
  try {
    for (const module of options.modules ?? []) await vm.insertModule(module);
    if (options.net !== undefined) await vm.mountDefaultStack(options.net);
    return vm;
  } catch (error) {
    await vm.close();
    throw error;
  }
}
