/**
 * The IoTh library: stacks, configuration and names from TypeScript (docs/ioth.md).
 * `import { newStackc } from 'umvu/ioth'`.
 */
export { Errno, type ErrnoName } from '../errno.ts';
export {
  type ApplyOptions,
  CONFIGURED,
  type Config,
  type HashOptions,
  type InterfaceConfig,
  OTIP_PERIOD,
  RFC5227,
  type Timing,
  applyConfig,
  eui64,
  hashAddress,
  hashEui64,
  hashMac,
  otipTime,
  parseConfig,
} from './config/index.ts';
export * from './dns/index.ts';
export { type IothHost, createIothHost } from './host.ts';
export type { Networks } from './network.ts';
export type { Broker } from './vdestack/broker.ts';
export {
  type InterfaceAddress,
  IothStack,
  getDefaultStack,
  newStack,
  newStackOn,
  newStackc,
  setDefaultStack,
  socket,
} from './library.ts';
export * from './netlink/index.ts';
export * from './netlink/server/index.ts';
export { sharedHost } from './newstack.ts';
export type { Dispatcher, StackHttp } from './node/http.ts';
export type { ConnectOptions, StackNet } from './node/net.ts';
export type { StackDgram } from './node/dgram.ts';
export * from './socket/index.ts';
export {
  AF,
  SOCK,
  type Stack,
  type StackContext,
  type StackDriver,
  type StackRequest,
  type StackView,
  defineStack,
} from './stack.ts';
