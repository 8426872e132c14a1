/**
 * Opening stacks, for programs that use the IoTh library: the counterparts of ioth_newstack(3) and
 * ioth_newstackc(3).
 */
import { Errno } from '../errno.ts';
import { applyInterfaces, parseConfig } from './config/index.ts';
import { type Word, badWord } from './config/words.ts';
import { type IothHost, createIothHost } from './host.ts';
import type { Stack, StackRequest } from './stack.ts';
import { splitInterface } from './vnl.ts';

let shared: IothHost | undefined;
/** The host of programs that do not make one; {@link IothHost.close} it to let the program end cleanly. */
export const sharedHost = (): IothHost => (shared ??= createIothHost());

/** Splits `vdestack,mtu=9000`, a driver with its options; an option without a value is `1`. */
export function splitDriver(text: string): { driver: string; options: Record<string, string> } {
  const [driver = '', ...items] = text.split(',');
  const pairs = items.filter(Boolean).map((item): [string, string] => {
    const equals = item.indexOf('=');
    return equals < 0 ? [item, '1'] : [item.slice(0, equals), item.slice(equals + 1)];
  });
  return { driver: driver || 'kernel', options: Object.fromEntries(pairs) };
}

/**
 * Opens a stack: `newStack('vdestack', [{ vnl: 'hub:///tmp/hub' }])`. The driver may carry options
 * (`vdestack,mtu=9000`) and "" is the kernel's own stack. Throws Errno with a reason for people.
 */
export function newStack(
  driver: string,
  interfaces: StackRequest['interfaces'],
  options: Record<string, string> = {},
  host: IothHost = sharedHost(),
): Promise<Stack> {
  const named = splitDriver(driver);
  return host.newStack(named.driver, interfaces, { ...named.options, ...options });
}

/** `error` with the place of `stack=` in it, where the name of the driver or its options are what is wrong. */
function aboutStack(word: Word, error: unknown): unknown {
  if (!(error instanceof Errno)) return error;
  const options = error.code === 'EINVAL' && word.value?.includes(',');
  return options || error.code === 'EOPNOTSUPP'
    ? new Errno(error.errno, badWord(word, error.message).message)
    : error;
}

/**
 * Opens and configures a stack: `stack=vdestack,vnl=hub://,eth,ip=10.0.0.1/24,gw=10.0.0.254,dns=10.0.0.53`. Each
 * `vnl=` is an interface, whose name may stand before it (`vnl=wan:vde:///tmp/switch`). Options of the driver need
 * quotes, because a comma ends a word: `stack='vdestack,mtu=9000'`. Without `stack=` it is the kernel's own. A stack
 * that cannot be configured is closed again. The words may have been split already. Throws Errno with a reason for people.
 */
export async function newStackFromConfig(
  text: string | readonly Word[],
  host: IothHost = sharedHost(),
): Promise<Stack> {
  const config = parseConfig(text, true);
  const interfaces = config.vnls.map(splitInterface);
  const options = config.isolate ? { isolate: '1' } : {};
  const stack = await newStack(config.stack ?? '', interfaces, options, host).catch((error: unknown) => {
    throw !config.stackWord?.position ? error : aboutStack(config.stackWord, error);
  });
  try {
    await applyInterfaces(stack, config.interfaces, { fallback: interfaces[0]?.name ?? 'vde0' });
    return stack;
  } catch (error) {
    await stack.close();
    throw error;
  }
}
