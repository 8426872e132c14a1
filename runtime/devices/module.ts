/** Devices as modules: mounting and unmounting them. */
import { logger } from '../log.ts';
import type { ModuleContext, ModuleDefinition, MountRequest } from '../modules/define.ts';
import type { Mount, PathRule } from '../vm/mounts.ts';
import type { Vm } from '../vm/vm.ts';
import { fileCarrier, memoryCarrier, streamCarrier, terminalCarrier } from './carriers.ts';
import type { MakeCarrier } from './carrier.ts';
import type { Device, DeviceDefinition, DeviceKind } from './define.ts';
import { MountedDevice } from './mounted.ts';
import { parseOptions } from './options.ts';
import { randomCarrier } from './random.ts';
import { openSource } from './source.ts';
import { holderOf } from './table.ts';

const CARRIERS: Readonly<Record<DeviceKind, MakeCarrier>> = {
  char: randomCarrier,
  block: randomCarrier,
  stream: streamCarrier,
  terminal: terminalCarrier,
  memory: memoryCarrier,
  file: fileCarrier,
};

const MS_RDONLY = 1;
/** Numbers of parts that are looked for. */
const PART = /^[1-9]\d{0,3}$/;

/** The system calls that devices need. */
export const DEVICE_CALLS: ModuleDefinition['syscalls'] = ['%path', 'ioctl'];

/** Type of mount(2) for a device. */
export const typeOfDevice = (name: string): string => `vudev${name}`;

/** The module that serves a single device. */
export function deviceModule(definition: DeviceDefinition): ModuleDefinition {
  return {
    name: definition.name,
    summary: definition.summary,
    types: [typeOfDevice(definition.name)],
    syscalls: DEVICE_CALLS,
    create: (context) => ({ mount: (request) => mountDevice(context, definition, request) }),
  };
}

/** Checks what `create` returned: devices are code of users, and JavaScript has no types. */
function checkDevice({ name, kind }: DeviceDefinition, value: unknown): Device {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`create() of device «${name}» returned no object`);
  const device = value as Device;
  const { size } = device;
  const sized = kind === 'memory' || kind === 'block';
  if (sized && !(Number.isSafeInteger(size) && size! >= 0))
    throw new TypeError(`device «${name}» has no size`);
  for (const key of ['open', 'ioctl', 'close', 'parts', 'fill'] as const) {
    const part: unknown = (value as Record<string, unknown>)[key];
    if (part !== undefined && typeof part !== 'function')
      throw new TypeError(`device «${name}»: ${key} is no function`);
  }
  return device;
}

/** Shows NAME1, NAME2… as far as they exist, in the views that have the mount. */
function partsRule(mounted: MountedDevice, target: string, mount: () => Mount): PathRule {
  const folder = target.slice(0, target.lastIndexOf('/'));
  return {
    prefix: `${folder}/*`,
    claim(path, process) {
      const digits = path.slice(target.length);
      if (!path.startsWith(target) || !PART.test(digits)) return undefined;
      const number = Number(digits);
      if (!mounted.device.parts?.().some((part) => part.number === number)) return undefined;
      return process.view.mounts.list().includes(mount())
        ? { kind: 'node', node: mounted.part(number) }
        : undefined;
    },
  };
}

function busyReason(vm: Vm, mounted: MountedDevice, target: string): string | undefined {
  const pid = holderOf(vm, mounted.table.identitiesOf(mounted));
  return pid === undefined ? undefined : `process ${pid} has ${target} open`;
}

/** Mounts a device. Throws Errno. */
export async function mountDevice(
  { vm }: ModuleContext,
  definition: DeviceDefinition,
  request: MountRequest,
): Promise<Mount> {
  const { common, own } = parseOptions(request.options, definition.options ?? {});
  common.readOnly ||= (request.flags & MS_RDONLY) !== 0;
  const who = request.process?.credentials();
  const owner = { uid: who?.uid ?? vm.uid, gid: who?.gid ?? process.getegid!() };
  const mounted = new MountedDevice(vm, definition, common, owner, logger(definition.name));
  const { source, target, signal } = request;
  const made = await mounted.ask(async () => {
    const wake = (): void => mounted.carrier?.wake?.();
    const device = await definition.create({
      source,
      target,
      options: own,
      openSource: () => openSource(vm, request, common.readOnly),
      readOnly: common.readOnly,
      log: mounted.log,
      wake,
      signal,
    });
    return checkDevice(definition, device);
  });
  mounted.device = made;
  try {
    mounted.carrier = await CARRIERS[definition.kind](mounted);
  } catch (error) {
    await mounted.tell('close', () => made.close?.());
    throw mounted.errno(error);
  }
  const rule = made.parts ? partsRule(mounted, target, () => mount) : undefined;
  if (rule) vm.addRule(rule);
  const mount: Mount = {
    type: request.type,
    source,
    target,
    options: request.data,
    node: mounted.part(0),
    busy: () => busyReason(vm, mounted, target),
    async unmount() {
      if (rule) vm.removeRule(rule);
      await mounted.carrier?.close();
      await mounted.tell('close', () => made.close?.());
    },
  };
  return mount;
}
