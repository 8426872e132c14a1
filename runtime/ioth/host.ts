import { Errno } from '../errno.ts';
import { logger } from '../log.ts';
import type { NativeCapture } from '../native.ts';
import kernel from './kernel.ts';
import lwip from './lwip/driver.ts';
import { Networks } from './network.ts';
import nullDriver from './null.ts';
import type { Stack, StackDriver, StackRequest } from './stack.ts';
import { Broker } from './vdestack/broker.ts';
import vdestack from './vdestack/driver.ts';

const log = logger('ioth');

/**
 * What stacks share: the networks that exist in this VM, the broker process, and the drivers by name.
 * A VM has one; a program that uses the IoTh library without a VM has one of its own.
 */
export interface IothHost {
  readonly networks: Networks;
  /** The broker, started at first use, and anew when the last one died. */
  broker(): Promise<Broker>;
  readonly drivers: Map<string, StackDriver>;
  /** Opens a stack by the name of its driver. Throws Errno with a reason for people. */
  newStack(
    driver: string,
    interfaces: StackRequest['interfaces'],
    options?: Record<string, string>,
  ): Promise<Stack>;
  /** Closes everything: stacks, networks, broker. Idempotent. */
  close(): Promise<void>;
}

/** `value`, what create() of a driver returned: drivers may be code of users. Throws TypeError where it is no Stack. */
function checkStack(driver: string, value: unknown): Stack {
  const { socket, close, inUse, families, view } = (value ?? {}) as Partial<Stack>;
  const functions = [socket, close, inUse].every((each) => typeof each === 'function');
  if (!functions || typeof families?.has !== 'function' || typeof view !== 'object') {
    throw new TypeError(`create() of stack «${driver}» returned no Stack`);
  }
  return value as Stack;
}

/** What createIothHost() can be told. */
export interface IothHostOptions {
  /** Where the interfaces of all stacks are recorded. */
  capture?: NativeCapture;
}

class Host implements IothHost {
  readonly drivers = new Map([vdestack, lwip, kernel, nullDriver].map((driver) => [driver.name, driver]));
  readonly networks: Networks;
  readonly #stacks = new Set<Stack>();
  /** Directories that must not outlive this process. */
  readonly #paths = new Set<string>();
  #broker: Broker | undefined;
  #closed = false;

  constructor({ capture }: IothHostOptions) {
    this.networks = new Networks({
      onPath: (path, created) => this.#pathChanged(path, created),
      ...(capture ? { capture } : {}),
    });
  }

  broker(): Promise<Broker> {
    return new Promise((resolve) => resolve(this.#startBroker()));
  }

  async newStack(
    driver: string,
    interfaces: StackRequest['interfaces'],
    options: Record<string, string> = {},
  ): Promise<Stack> {
    const known = this.drivers.get(driver);
    if (known === undefined) {
      // The errno of libioth for a plugin that is not there (IOTH-FACTS §1.2).
      throw new Errno(
        'EOPNOTSUPP',
        `unknown stack «${driver}» (known: ${[...this.drivers.keys()].join(', ')})`,
      );
    }
    if (this.#closed) throw new Errno('ESHUTDOWN', 'no new stack: everything was closed');
    const stack = checkStack(driver, await known.create({ interfaces, options }, this));
    if (this.#closed) {
      await stack.close();
      throw new Errno('ESHUTDOWN', 'no new stack: everything was closed');
    }
    this.#remember(stack);
    return stack;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#stacks].map((stack) => stack.close()));
    this.networks.close();
    const broker = this.#broker;
    this.#broker = undefined;
    await broker?.close();
  }

  /** Keeps `stack` among those that close() closes, until it is closed. */
  #remember(stack: Stack): void {
    this.#stacks.add(stack);
    const close = stack.close.bind(stack);
    stack.close = () => {
      this.#stacks.delete(stack);
      return close();
    };
  }

  #startBroker(): Broker {
    if (this.#broker?.alive) return this.#broker;
    if (this.#closed) throw new Errno('ESHUTDOWN', 'no broker: everything was closed');
    const broker = Broker.start();
    this.#broker = broker;
    for (const path of this.#paths) this.#own(broker, path);
    return broker;
  }

  #pathChanged(path: string, created: boolean): void {
    if (!created) {
      if (this.#paths.delete(path) && this.#broker?.alive) this.#broker.disownPath(path);
      return;
    }
    this.#paths.add(path);
    try {
      if (this.#broker?.alive) this.#own(this.#broker, path);
      else this.#startBroker();
    } catch (error) {
      // The network works without; only kill -9 leaves the directory behind.
      log.warn(`${path} will stay behind if umvu is killed: ${(error as Error).message}`);
    }
  }

  #own(broker: Broker, path: string): void {
    try {
      broker.ownPath(path);
    } catch (error) {
      log.warn(`${path} will stay behind if umvu is killed: ${(error as Error).message}`);
    }
  }
}

/** A new host, with the drivers vdestack, kernel and null. Nothing is started before it is needed. */
export const createIothHost = (options: IothHostOptions = {}): IothHost => new Host(options);
