/** What replies mean (RFC 1035 §4.1, 2181). */
import type { DnsErrorCode } from './error.ts';
import { type DnsMessage, FLAG, RCODE } from './message.ts';
import { sameName } from './name.ts';
import type { DnsRecord, RecordType } from './records.ts';

/** More aliases in a row than any sane zone has. */
export const MAX_ALIASES = 16;

/** The errors that response codes stand for. */
export const RCODES: Record<number, DnsErrorCode> = {
  [RCODE.FORMAT]: 'EFORMERR',
  [RCODE.FAILURE]: 'ESERVFAIL',
  [RCODE.NO_NAME]: 'ENOTFOUND',
  [RCODE.NOT_IMPLEMENTED]: 'ENOTIMP',
  [RCODE.REFUSED]: 'EREFUSED',
};

/** The records of `type` in `reply` for `name`, along its aliases; `alias` is the last one where they lead on. */
export function follow(
  reply: DnsMessage,
  name: string,
  type: RecordType,
): { records: DnsRecord[]; alias?: string } {
  let current = name;
  for (let hops = 0; hops <= MAX_ALIASES; hops++) {
    const own = reply.answers.filter((record) => sameName(record.name, current));
    const records = own.filter((record) => record.type === type || type === 'ANY');
    if (records.length > 0) return { records };
    const alias = own.find((record) => record.type === 'CNAME');
    if (alias?.type !== 'CNAME') return hops === 0 ? { records: [] } : { records: [], alias: current };
    current = alias.target;
  }
  return { records: [] };
}

/** Whether it did not fit into a datagram. */
export const isTruncated = ({ flags }: DnsMessage): boolean => (flags & FLAG.TRUNCATED) !== 0;
/** Whether the server did not understand the query; EDNS is what old ones do not know. */
export const isConfused = ({ rcode }: DnsMessage): boolean =>
  rcode === RCODE.FORMAT || rcode === RCODE.NOT_IMPLEMENTED;
/** Whether asking in another way may lead to more. */
export const isPreliminary = (reply: DnsMessage): boolean => isTruncated(reply) || isConfused(reply);
