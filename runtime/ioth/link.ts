/**
 * Options of a network's link, in the bracket of a locator: `hub://[delay=10ms/jitter=2ms/loss=1%/rate=2mbit]`. Names
 * and units are those of tc-netem(8) and tc(8). Each frame of the network is on the link once.
 */
import type { LinkConditions } from '../native.ts';

/** They come after the options that VDE has, so that these keep their short forms. */
export const LINK_TAGS = ['delay', 'jitter', 'loss', 'rate', 'limit'] as const;

/** Microseconds. */
const TIMES: Readonly<Record<string, number>> = { us: 1, usec: 1, ms: 1000, msec: 1000, s: 1e6, sec: 1e6 };
/** Bits per second. */
const RATES: Readonly<Record<string, number>> = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 };
/** As tc-netem's. */
const DEFAULT_LIMIT = 1000;
const MOST_DELAY = 60e6;
const MOST_FRAMES = 1e6;

/** Makes the error for a word that cannot be understood. */
type Refuse = (word: string, why: string) => Error;

/** What the options say; undefined where there is none of {@link LINK_TAGS}. */
export function parseLink(values: ReadonlyMap<string, string>, refuse: Refuse): LinkConditions | undefined {
  if (!LINK_TAGS.some((tag) => values.has(tag))) return undefined;
  const amount = (
    tag: string,
    units: Readonly<Record<string, number>>,
    most: number,
    example: string,
  ): number => {
    const text = values.get(tag);
    if (text === undefined) return 0;
    const [, digits, unit] = /^(\d+(?:\.\d+)?)([a-z%]*)$/.exec(text.toLowerCase()) ?? [];
    const factor = Object.hasOwn(units, unit ?? '-') ? units[unit!]! : NaN;
    const value = Number(digits) * factor;
    if (!(value >= 0 && value <= most)) throw refuse(text, `${tag} takes a value like ${example}`);
    return value;
  };
  return {
    delay: Math.round(amount('delay', TIMES, MOST_DELAY, '10ms (at most 60s)')),
    jitter: Math.round(amount('jitter', TIMES, MOST_DELAY, '2ms (at most 60s)')),
    loss: amount('loss', { '%': 0.01 }, 1, '1% or 0.5%'),
    rate: Math.round(amount('rate', RATES, 1e12, '10mbit')),
    limit: values.has('limit') ? Math.round(amount('limit', { '': 1 }, MOST_FRAMES, '1000')) : DEFAULT_LIMIT,
  };
}
