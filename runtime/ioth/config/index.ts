/** Configuration of stacks by text (the iothconf grammar). */
export { CONFIGURED, applyInterfaces, applyConfig } from './apply.ts';
export { hashMac } from './hash.ts';
export { type Config, type InterfaceConfig, parseConfig } from './parse.ts';
export { resolvConf } from './resolv.ts';
export { type Word, parseWords } from './words.ts';
