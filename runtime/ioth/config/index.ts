/** Configuration of stacks by text (the iothconf grammar). */
export { CONFIGURED, type ApplyOptions, applyInterfaces, applyConfig, resolvconfOf } from './apply.ts';
export { type HashOptions, eui64, hashAddress, hashEui64, hashMac, otipTime, OTIP_PERIOD } from './hash.ts';
export { type Config, type InterfaceConfig, parseConfig } from './parse.ts';
export { RFC5227, type Timing } from './source.ts';
export { resolvConf } from './resolv.ts';
export { type Word, parseWords } from './words.ts';
