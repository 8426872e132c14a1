/** Keeping a lease: the machine of T1 and T2 that DHCPv4 (RFC 2131 §4.4.5) and DHCPv6 (RFC 8415 §18.2.4) share. */
import { Errno } from '../../errno.ts';
import { logger } from '../../log.ts';
import { Alarm } from '../time.ts';
import type { Timing } from './source.ts';

const log = logger('dhcp');

/** When a lease ends and when it is to be renewed and rebound, in seconds after it was granted. */
export interface LeaseTimes {
  seconds: number;
  renewAfter: number;
  rebindAfter: number;
}

/** What a client does for the keeper. They end with `signal`. */
export interface LeaseUser<L> {
  /** Asks once for more time: the server of the lease, or any when `rebinding`. Undefined: no answer yet. */
  prolong(lease: L, rebinding: boolean, signal: AbortSignal): Promise<L | 'lost' | undefined>;
  /** Gives the interface the address, or prolongs it; false when somebody else has it. */
  install(lease: L, signal: AbortSignal): Promise<boolean>;
  /** Takes the address away. */
  uninstall(lease: L): void;
  /** Asks for another lease, and keeps it; false when there is none. */
  acquire(signal: AbortSignal): Promise<boolean>;
}

export class LeaseKeeper<L extends LeaseTimes> {
  readonly #timing: Timing;
  readonly #user: LeaseUser<L>;
  readonly #changed: () => void;
  readonly #life = new AbortController();
  readonly #alarm = new Alarm();
  #lease: L | undefined;
  /** When the lease was granted (performance.now()). */
  #granted = 0;

  /** `changed` is called when there is another lease, or none any more. */
  constructor(timing: Timing, user: LeaseUser<L>, changed: () => void) {
    this.#timing = timing;
    this.#changed = changed;
    this.#user = user;
  }

  get lease(): L | undefined {
    return this.#lease;
  }

  get signal(): AbortSignal {
    return this.#life.signal;
  }

  /** Keeps `lease`, which was granted and installed just now. */
  keep(lease: L): void {
    this.#lease = lease;
    this.#granted = performance.now();
    this.#changed();
    // A lease of no time is renewed too late rather than all the time.
    this.#wake(Math.max(lease.renewAfter, 1) * this.#timing.second, () => this.#renew());
  }

  /** Ends all work; the lease that was kept. */
  stop(): L | undefined {
    const lease = this.#lease;
    this.#lease = undefined;
    this.#alarm.clear();
    this.#life.abort(new Errno('ECANCELED', 'DHCP was ended'));
    return lease;
  }

  /** The address is not ours any more; asks for another until there is one. */
  async lose(): Promise<void> {
    const lease = this.#lease;
    this.#lease = undefined;
    this.#alarm.clear();
    try {
      if (lease !== undefined) {
        log.warn('the lease has ended');
        this.#user.uninstall(lease);
        this.#changed();
      }
      if (await this.#user.acquire(this.signal)) return;
    } catch (error) {
      if (this.signal.aborted) return;
      log.debug(`no new lease: ${(error as Error).message}`);
    }
    this.#wake(this.#timing.renewal, () => this.lose());
  }

  #wake(ms: number, action: () => Promise<void>): void {
    if (!this.signal.aborted) this.#alarm.set(ms, () => void action());
  }

  /** Seconds since the lease was granted. */
  #passed(): number {
    return (performance.now() - this.#granted) / this.#timing.second;
  }

  /** Asks for more time: first its server, later any, and gives the address up at the end. */
  async #renew(): Promise<void> {
    const lease = this.#lease;
    if (lease === undefined) return;
    if (this.#passed() >= lease.seconds) return this.lose();
    const rebinding = this.#passed() >= lease.rebindAfter;
    try {
      const answer = await this.#user.prolong(lease, rebinding, this.signal);
      // It may have come in the very moment of the end.
      this.signal.throwIfAborted();
      if (answer === 'lost') return await this.lose();
      if (answer !== undefined) {
        if (await this.#user.install(answer, this.signal)) this.keep(answer);
        else await this.lose();
        return;
      }
    } catch (error) {
      if (this.signal.aborted) return;
      log.debug(`renewal: ${(error as Error).message}`);
    }
    const next = rebinding ? lease.seconds : lease.rebindAfter;
    const left = (next - this.#passed()) * this.#timing.second;
    this.#wake(Math.min(Math.max(left / 2, this.#timing.renewal), Math.max(left, 0)), () => this.#renew());
  }
}
