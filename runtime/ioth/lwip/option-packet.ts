/** Options of AF_PACKET sockets (packet(7)); native/src/lwip/packet.cc acts on them. */
import { AF } from '../stack.ts';
import type { OptionSpec } from './option-spec.ts';

const int = { size: 4, family: AF.PACKET } as const;
const request = { size: 16, writeOnly: true, family: AF.PACKET } as const;

/**
 * SOL_PACKET. Not here, so ENOPROTOOPT: what hands over memory or time stamps for sending (PACKET_TX_RING, PACKET_TX_TIMESTAMP),
 * PACKET_VNET_HDR, and PACKET_FANOUT.
 */
export const PACKET: Record<number, OptionSpec> = {
  1: request, // PACKET_ADD_MEMBERSHIP
  2: request, // PACKET_DROP_MEMBERSHIP
  5: request, // PACKET_RX_RING
  6: { size: 8, readOnly: true, family: AF.PACKET }, // PACKET_STATISTICS
  8: int, // PACKET_AUXDATA
  10: int, // PACKET_VERSION
  11: { ...int, readOnly: true, exchange: true }, // PACKET_HDRLEN
  12: int, // PACKET_RESERVE
  14: int, // PACKET_LOSS
  17: int, // PACKET_TIMESTAMP
  20: int, // PACKET_QDISC_BYPASS
  23: int, // PACKET_IGNORE_OUTGOING
};
