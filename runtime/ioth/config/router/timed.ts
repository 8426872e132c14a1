/** Lists of what routers announce for some time: name servers and domains (RFC 8106). */

/** More than any sane link has; a malicious one may advertise more. */
const MOST = 8;

/** The time of `until`, in seconds. */
export const now = (): number => performance.now() / 1000;

/** Something that holds for some time. */
export interface Timed<T> {
  value: T;
  /** When it ends, in the time of {@link now}. */
  until: number;
}

/** What has not ended yet. */
export const valid = <T>(list: readonly Timed<T>[]): T[] =>
  list.filter(({ until }) => until > now()).map(({ value }) => value);

/** `known` with what `news` say about them; those with no time are gone. */
export function merge<T>(
  known: readonly Timed<T>[],
  news: readonly Timed<T>[],
  key: (value: T) => string,
): Timed<T>[] {
  const all = new Map([...known, ...news].map((each) => [key(each.value), each]));
  return [...all.values()].filter(({ until }) => until > now()).slice(0, MOST);
}
