/** What a DHCPv4 server offers and grants, checked. */
import { AF } from '../../stack.ts';
import type { IpAddress } from '../../netlink/index.ts';
import {
  type Address4, type Dhcp4Message, OPTION, TYPE, addressOption, numberOption, typeOf,
} from './wire.ts'; // prettier-ignore

export interface Offer {
  address: Address4;
  server: Address4;
}

export interface Lease extends Offer {
  prefixLength: number;
  routers: Address4[];
  dns: IpAddress[];
  domains: string[];
  /** When it ends and when it is to be renewed and rebound, in seconds after it was granted. */
  seconds: number;
  renewAfter: number;
  rebindAfter: number;
}

const INFINITE = 0xffffffff;

/** Whether a host may have this address at all. */
function isUnicast(address: Address4): boolean {
  const [first = 0] = address;
  return first !== 0 && first !== 127 && first < 224;
}

/** The offer in a DHCPOFFER; undefined when it is none. */
export function offerOf(message: Dhcp4Message): Offer | undefined {
  const [server] = addressOption(message, OPTION.SERVER);
  if (typeOf(message) !== TYPE.OFFER || server === undefined || !isUnicast(message.yours)) return undefined;
  return { address: message.yours, server };
}

/** The length of the prefix that a mask stands for; that of the address' class where there is none or a bad one. */
export function prefixLengthOf(mask: Address4 | undefined, address: Address4): number {
  const bits = mask ? [...mask].map((byte) => byte.toString(2).padStart(8, '0')).join('') : '';
  if (/^1+0*$/.test(bits)) return bits.replace(/0/g, '').length;
  const [first = 0] = address;
  return first < 128 ? 8 : first < 192 ? 16 : 24;
}

/** Text of a domain name option; nothing that would not be one in resolv.conf(5). */
function domainsOf(message: Dhcp4Message): string[] {
  const text = Buffer.from(message.options.get(OPTION.DOMAIN) ?? [])
    .toString('latin1')
    .replace(/\0+$/, '');
  return /^[!-~]{1,255}$/.test(text) ? [text] : [];
}

/** The lease in a DHCPACK that grants `wanted`; 'refused' for a DHCPNAK; undefined for anything else. */
export function leaseOf(
  message: Dhcp4Message,
  wanted: Offer,
  anyServer = false,
): Lease | 'refused' | undefined {
  const [server] = addressOption(message, OPTION.SERVER);
  const known = server !== undefined && (anyServer || Buffer.compare(server, wanted.server) === 0);
  if (!known) return undefined;
  if (typeOf(message) === TYPE.NAK) return 'refused';
  const seconds = numberOption(message, OPTION.LEASE);
  const granted = Buffer.compare(message.yours, wanted.address) === 0;
  if (typeOf(message) !== TYPE.ACK || !granted || !seconds) return undefined;
  const [mask] = addressOption(message, OPTION.SUBNET_MASK);
  return {
    address: message.yours,
    server,
    prefixLength: prefixLengthOf(mask, message.yours),
    routers: addressOption(message, OPTION.ROUTER).filter(isUnicast),
    dns: addressOption(message, OPTION.DNS).map((bytes) => ({ family: AF.INET, bytes })),
    domains: domainsOf(message),
    ...times(message, seconds),
  };
}

function times(
  message: Dhcp4Message,
  seconds: number,
): Pick<Lease, 'seconds' | 'renewAfter' | 'rebindAfter'> {
  if (seconds === INFINITE) return { seconds: Infinity, renewAfter: Infinity, rebindAfter: Infinity };
  const t1 = numberOption(message, OPTION.T1) ?? seconds * 0.5;
  const t2 = numberOption(message, OPTION.T2) ?? seconds * 0.875;
  const sane = t1 > 0 && t1 < t2 && t2 < seconds;
  return { seconds, renewAfter: sane ? t1 : seconds * 0.5, rebindAfter: sane ? t2 : seconds * 0.875 };
}
