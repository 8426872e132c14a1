/** Stateless DHCPv6 (RFC 8415 §18.2.6): name servers and domains for hosts that make their addresses themselves. */
import { logger } from '../../../log.ts';
import { Alarm } from '../../time.ts';
import type { Interface } from '../source.ts';
import { Exchange6, type Reply } from './exchange.ts';
import { type Names, namesOf } from './lease.ts';
import { OPTION, TYPE, findOption, makeDuid } from './wire.ts';

const log = logger('dhcp6');
/** IRT_DEFAULT and IRT_MINIMUM, in seconds (RFC 8415 §21.23). */
const REFRESH_DEFAULT = 86_400;
const REFRESH_LEAST = 600;
const INFINITE = 0xffffffff;

/** Seconds after which the names are to be asked for again. */
export function refreshAfter({ message }: Reply): number {
  const data = findOption(message.options, OPTION.REFRESH);
  if (data?.length !== 4) return REFRESH_DEFAULT;
  const value = Buffer.from(data).readUInt32BE();
  return value === INFINITE ? Infinity : Math.max(value, REFRESH_LEAST);
}

/** Asks once the O flag of a router says so, and again when what was told is old. */
export class StatelessDhcp6 implements Names {
  dns: Names['dns'] = [];
  domains: Names['domains'] = [];
  readonly #link: Interface;
  readonly #duid: Uint8Array;
  readonly #alarm = new Alarm();
  #started = false;

  constructor(link: Interface) {
    this.#link = link;
    this.#duid = makeDuid(link.mac);
  }

  /** Asks, the first time that it is called. Ends when there is an answer or none comes; never throws. */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#started) return;
    this.#started = true;
    await this.#ask(signal);
  }

  stop(): void {
    this.#alarm.clear();
    this.dns = [];
    this.domains = [];
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { timing } = this.#link;
    let next = timing.renewal;
    try {
      const accept = (reply: Reply): Reply | undefined =>
        reply.message.type === TYPE.REPLY ? reply : undefined;
      const reply = await Exchange6.with(this.#link, this.#duid, (exchange) =>
        exchange.ask(TYPE.INFORMATION, [], { signal, accept }),
      );
      if (reply !== undefined) {
        Object.assign(this, namesOf(reply));
        next = refreshAfter(reply) * timing.second;
        this.#link.changed();
      }
    } catch (error) {
      if (!signal.aborted) log.debug(`no information: ${(error as Error).message}`);
    }
    if (!signal.aborted) this.#alarm.set(next, () => void this.#ask(signal));
  }
}
