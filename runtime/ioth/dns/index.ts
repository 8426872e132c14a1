/** Names (iothdns). */
export { AI, NI, type AddrInfo, type AddrInfoHints, getaddrinfo, getnameinfo } from './addrinfo.ts';
export { AddrInfoError, DnsError, type DnsErrorCode, EAI } from './error.ts';
export { Hosts, type ResolvConf, parseResolvConf } from './files.ts';
export {
  type DnsMessage,
  type DnsQuestion,
  FLAG,
  RCODE,
  makeQuery,
  makeReply,
  parseMessage,
  serializeMessage,
} from './message.ts';
export type { SocketSource } from './exchange.ts';
export { type Lookup, type LookupCallback, StackDns } from './promises.ts';
export { type DnsRecord, type RecordFields, type RecordType, TYPES } from './records.ts';
export { type QueryOptions, Resolver, type ResolverOptions, reverseName } from './resolver.ts';
export {
  type DnsClient,
  type DnsHandler,
  type ServeOptions,
  answerQuery,
  serveTcp,
  serveUdp,
} from './server.ts';
