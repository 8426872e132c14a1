/** The lifetimes of addresses that clients gave them (ip-address(8), valid_lft and preferred_lft). */
import { FOREVER, IFAPROT, IFA_F } from '../netlink/server/constants.ts';
import type { HostState } from '../netlink/server/memory/state.ts';
import type { AddrRecord } from '../netlink/server/records.ts';

/** setTimeout(3) takes no more. */
const LONGEST_MS = 0x7fffffff;

/** Those of announced prefixes are the stack's affair. */
const isOurs = ({ protocol, valid, preferred }: AddrRecord): boolean =>
  protocol !== IFAPROT.KERNEL_RA && (valid !== FOREVER || preferred !== FOREVER);

export class Lifetimes {
  readonly #state: HostState;
  readonly #now: () => number;
  readonly #remove: (addr: AddrRecord) => void;
  #timer: NodeJS.Timeout | undefined;

  /** `now` is the time in hundredths of a second; `remove` is called for an address that is over. */
  constructor(state: HostState, now: () => number, remove: (addr: AddrRecord) => void) {
    this.#state = state;
    this.#now = now;
    this.#remove = remove;
  }

  /** To be called after each change. */
  schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const ends = this.#state.addrs.filter(isOurs).flatMap((addr) => this.#endsOf(addr));
    if (ends.length === 0) return;
    const wait = (Math.min(...ends) - this.#now()) * 10;
    this.#timer = setTimeout(() => this.#expire(), Math.min(Math.max(wait, 10), LONGEST_MS));
    this.#timer.unref();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** When something happens to an address: the times that still matter. */
  #endsOf({ valid, preferred, updated, flags }: AddrRecord): number[] {
    const ends = [valid === FOREVER ? [] : [updated + valid * 100]];
    if ((flags & IFA_F.DEPRECATED) === 0 && preferred !== FOREVER) ends.push([updated + preferred * 100]);
    return ends.flat();
  }

  #expire(): void {
    const now = this.#now();
    for (const addr of this.#state.addrs.filter(isOurs)) {
      const { valid, preferred, updated } = addr;
      if (valid !== FOREVER && updated + valid * 100 <= now) {
        this.#remove(addr);
      } else if (
        preferred !== FOREVER &&
        updated + preferred * 100 <= now &&
        (addr.flags & IFA_F.DEPRECATED) === 0
      ) {
        addr.flags |= IFA_F.DEPRECATED;
        this.#state.emit('addr', addr);
      }
    }
    this.schedule();
  }
}
