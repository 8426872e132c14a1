/** What Node's own interfaces need of a stack. */
import type { Lookup } from '../dns/promises.ts';
import type { SocketSource } from '../dns/exchange.ts';

export interface NodeContext {
  readonly source: SocketSource;
  /** Resolves the names of hosts. */
  readonly lookup: Lookup;
  /** Told of each object that must not outlive the stack. */
  track(object: { destroy(error?: Error): unknown } | { close(): unknown }): void;
}
