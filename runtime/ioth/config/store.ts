/** What was configured in each stack, so that later configurations can add to it or undo it. */
import { Errno } from '../../errno.ts';
import { lifeOf } from '../life.ts';
import type { IpAddress } from '../netlink/index.ts';
import type { Stack } from '../stack.ts';
import type { InterfaceConfig, WordAddress } from './parse.ts';
import { resolvConf } from './resolv.ts';
import type { Source, SourceName } from './source.ts';

/** What one interface has. */
export interface Records {
  addresses: InterfaceConfig['addresses'];
  gateways: WordAddress[];
  sources: Map<SourceName, Source>;
}

/** Sources in the order in which their name servers are listed (IOTH-FACTS §2.7). */
const ORDER: readonly SourceName[] = ['dhcp6', 'rd', 'dhcp'];

/** The configuration of one stack. Name servers are for all of it: it has one resolv.conf(5). */
export class Store {
  readonly #stack: Stack;
  /** By index of the interface. */
  readonly interfaces = new Map<number, Records>();
  dns: WordAddress[] = [];
  domains: string[] = [];
  /** Ends when the stack is closed. */
  readonly life: AbortController;
  /** The last text that {@link takeResolvConf} gave. */
  #told: string | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(stack: Stack) {
    this.#stack = stack;
    this.life = lifeOf(stack);
    // Sources have sockets and timers, and leases to give back.
    const close = stack.close.bind(stack);
    stack.close = async () => {
      this.life.abort(new Errno('ENETDOWN', 'the stack was closed'));
      const sources = [...this.interfaces.values()].flatMap((records) => [...records.sources.values()]);
      this.interfaces.clear();
      await Promise.allSettled(sources.map((source) => source.close()));
      return close();
    };
  }

  recordsOf(index: number): Records {
    let records = this.interfaces.get(index);
    if (records === undefined) {
      this.interfaces.set(index, (records = { addresses: [], gateways: [], sources: new Map() }));
    }
    return records;
  }

  /** Does one thing after the other, so that configurations do not get mixed. */
  inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(action, action);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Writes down again which name servers there are. */
  refresh(): void {
    this.#stack.resolvConf = this.#text();
  }

  /** The text of resolv.conf(5) when it has changed since the last call. */
  takeResolvConf(): string | undefined {
    const text = this.#text();
    if (text === this.#told) return undefined;
    this.#told = text;
    return text;
  }

  #text(): string | undefined {
    const all = [...this.interfaces.values()];
    const sources = ORDER.flatMap((name) => all.flatMap((records) => records.sources.get(name) ?? []));
    const servers = sources.flatMap((source): readonly IpAddress[] => source.dns);
    const domains = sources.flatMap((source) => source.domains);
    return resolvConf([...this.domains, ...domains], this.dns, servers);
  }
}

const stores = new WeakMap<Stack, Store>();

export function storeOf(stack: Stack): Store {
  let store = stores.get(stack);
  if (store === undefined) stores.set(stack, (store = new Store(stack)));
  return store;
}
