/** Which descriptors of guests are those of devices. The objects themselves tell: nothing is kept per descriptor. */
import { readdirSync } from 'node:fs';
import { native } from '../native.ts';
import { SYS } from '../syscalls/table.ts';
import { viewsChanged } from '../vm/epoch.ts';
import type { Process } from '../vm/process.ts';
import type { Vm } from '../vm/vm.ts';
import type { OpenFile } from './define.ts';
import type { MountedDevice, MountedPart } from './mounted.ts';
import { AT_FDCWD, closeFd, identityOf } from './sys.ts';

/** A device that an object carries. */
export interface Carried {
  readonly part: MountedPart;
  /** Guests have this object by no other name than that of the device. */
  readonly exclusive: boolean;
  /** The opened file behind a descriptor of ours of the same object, where the device has such. */
  file?(fd: number): OpenFile | undefined | Promise<OpenFile | undefined>;
}

/** The devices of a VM that are open or may be. */
export class DeviceTable {
  readonly #carried = new Map<string, Carried>();

  get empty(): boolean {
    return this.#carried.size === 0;
  }

  /** Says what the object behind `fd` carries. Its identity, for remove(). */
  add(fd: number, carried: Carried): string {
    const identity = identityOf(fd) ?? '';
    if (this.empty) viewsChanged();
    this.#carried.set(identity, carried);
    return identity;
  }

  remove(identity: string): void {
    this.#carried.delete(identity);
    if (this.empty) viewsChanged();
  }

  /** Identities of all objects that carry a device. */
  identitiesOf(device: MountedDevice): Set<string> {
    return new Set(
      [...this.#carried].flatMap(([identity, { part }]) => (part.owner === device ? [identity] : [])),
    );
  }

  /** The device behind descriptor `fd` of a process, if one is there. */
  of(process: Process, fd: number): Carried | undefined {
    const found = this.open(process, fd);
    if (found) closeFd(found.fd);
    return found?.carried;
  }

  /** As of(), with a descriptor of ours for the same open file description; the caller closes it. */
  open(process: Process, fd: number): { carried: Carried; fd: number } | undefined {
    if (this.empty) return undefined;
    const copy = native().syscall(SYS.pidfd_getfd, process.pidfd, fd, 0);
    if (copy < 0) return undefined;
    const identity = identityOf(copy);
    const carried = identity === undefined ? undefined : this.#carried.get(identity);
    if (carried) return { carried, fd: copy };
    closeFd(copy);
    return undefined;
  }
}

const tables = new WeakMap<Vm, DeviceTable>();

export function devicesOf(vm: Vm): DeviceTable {
  let table = tables.get(vm);
  if (!table) tables.set(vm, (table = new DeviceTable()));
  return table;
}

function descriptorsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

/** A process of the VM that has the object open, if one has. */
export function holderOf(vm: Vm, identities: ReadonlySet<string>): number | undefined {
  for (const { pid } of vm.processes.all()) {
    for (const fd of descriptorsOf(pid)) {
      const identity = identityOf(AT_FDCWD, `/proc/${pid}/fd/${fd}`);
      if (identity !== undefined && identities.has(identity)) return pid;
    }
  }
  return undefined;
}
