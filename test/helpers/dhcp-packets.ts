/** Packets of DHCP, DHCPv6 and routers that the originals sent (IOTH-FACTS §8.5, §9.4). */
import { type Dhcp4Message, NO_ADDRESS, OPTION, TYPE } from '../../runtime/ioth/config/dhcp4/wire.ts';
import { parseIp, parseMac } from '../../runtime/ioth/index.ts';

/** Bytes in hexadecimal, with blanks and bars between them. */
export const hex = (text: string): Uint8Array =>
  Uint8Array.from(Buffer.from(text.replace(/[\s|]/g, ''), 'hex'));
/** The bytes of an IPv4 address. */
export const ip4 = (text: string): Uint8Array => parseIp(text)!.bytes;
/** An offer. */
export const message4: Dhcp4Message = {
  op: 2, xid: 0x12345678, seconds: 3, broadcast: true, client: NO_ADDRESS, yours: ip4('10.0.0.5'),
  server: ip4('10.0.0.1'), relay: NO_ADDRESS, mac: parseMac('02:00:00:00:00:05')!,
  options: new Map([[OPTION.TYPE, Uint8Array.of(TYPE.OFFER)], [OPTION.SERVER, ip4('10.0.0.1')]]),
}; // prettier-ignore

/** The REPLY of IOTH-FACTS §8.5. */
export const REPLY =
  hex(`07 123456 | 0001 000e 0001 0001 3293a319 c62a6d1fa489 | 0002 000e 0001 0001 3293a311 020000000001
  | 0003 0028 6d1fa489 00000000 00000000 0005 0018 fc00000000000000 04cc80496765d03a ffffffff ffffffff
  | 0027 0013 00 0572656e7a6f 0468617368 056c6f63616c 00 | 0017 0010 fc000000000000000000000000000024
  | 0018 0019 0468617368 056c6f63616c 00 076578616d706c65 036f7267 00`);

/** The advertisement of IOTH-FACTS §9.4. */
export const ADVERTISEMENT = hex(`86 00 4b92 | 40 | c0 | 0708 | 30750000 | e8030000
  | 03 04 40 80 00015180 00003840 00000000 fc000000000000000000000000000000
  | 03 04 40 c0 ffffffff ffffffff 00000000 20010db8000100000000000000000000 | 01 01 800011223344 | 05 01 0000 00000578`);
