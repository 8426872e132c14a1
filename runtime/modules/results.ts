/** Checks what modules return: they are code of users, and JavaScript has no types. */
import type { Mount } from '../vm/mounts.ts';
import type { ModuleInstance, MountRequest } from './define.ts';

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
const isOptionalFunction = (value: unknown): boolean => value === undefined || typeof value === 'function';

/** `value`, what create() of module `name` returned. Throws TypeError where it is no ModuleInstance. */
export function checkInstance(name: string, value: unknown): ModuleInstance {
  if (!isObject(value) || !isOptionalFunction(value['mount']) || !isOptionalFunction(value['close'])) {
    throw new TypeError(`create() of module «${name}» returned no ModuleInstance`);
  }
  return value;
}

/** `value`, what mount() returned for `request`. Throws TypeError where it is no Mount at that place. */
export function checkMount({ type, target }: MountRequest, value: unknown): Mount {
  const wrong = isObject(value) ? faultOf(value, target) : 'no object';
  if (wrong !== undefined) throw new TypeError(`mount() of type «${type}» returned no Mount: ${wrong}`);
  return value as Mount;
}

function faultOf(mount: Record<string, unknown>, target: string): string | undefined {
  const texts = ['type', 'source', 'options'].filter((key) => typeof mount[key] !== 'string');
  if (texts.length > 0) return `${texts.join(', ')}: no string`;
  if (mount['target'] !== target) return 'target: not that of the request';
  const { node, stack } = mount;
  if (!isObject(node) || !isObject(node['attributes']) || typeof node['open'] !== 'function')
    return 'node: no VirtualNode';
  if (typeof mount['unmount'] !== 'function') return 'unmount: no function';
  if (!isOptionalFunction(mount['busy'])) return 'busy: no function';
  if (stack !== undefined && !(isObject(stack) && typeof stack['socket'] === 'function'))
    return 'stack: no Stack';
  return undefined;
}
