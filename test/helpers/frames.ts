/** Ports whose far end a test holds, and frames to put in. */
import { check } from '../../runtime/errno.ts';
import { native, type NativeNetwork } from '../../runtime/native.ts';

const SYS_read = 0;
const SYS_write = 1;
const SYS_close = 3;
const SYS_poll = 7;
const SYS_fcntl = 72;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;

export interface TestPort {
  readonly number: number;
  /** Sends a frame into the network; false when the socket is full. */
  send(frame: Uint8Array): boolean;
  /** All frames that have come or come within `ms`; ends early when `count` are there. */
  receive(count?: number, ms?: number): Buffer[];
  close(): void;
}

/** A datagram port of `network` (as VDE clients are), of which the test is the peer. */
export function testPort(network: NativeNetwork): TestPort {
  const pair = native().socketPair(SOCK_DGRAM_CLOEXEC);
  if (typeof pair === 'number') throw new Error(`socketpair: ${pair}`);
  const [ours, theirs] = pair;
  const number = check(network.addPort({ kind: 'datagram', fd: theirs, vnetHeader: false }));
  check(native().syscall(SYS_fcntl, ours, 4, 0o4000)); // F_SETFL, O_NONBLOCK
  const buffer = new Uint8Array(70_000);
  const wait = (ms: number): boolean => {
    const pollfd = new Uint8Array(8);
    new DataView(pollfd.buffer).setInt32(0, ours, true);
    pollfd[4] = 1; // POLLIN
    return native().syscall(SYS_poll, pollfd, 1, ms) > 0;
  };
  return {
    number,
    send: (frame) => native().syscall(SYS_write, ours, frame, frame.length) === frame.length,
    receive(count = Infinity, ms = 100) {
      const frames: Buffer[] = [];
      while (frames.length < count && wait(ms)) {
        const size = native().syscall(SYS_read, ours, buffer, buffer.length);
        if (size < 0) break;
        frames.push(Buffer.from(buffer.slice(0, size)));
      }
      return frames;
    },
    close: () => void native().syscall(SYS_close, ours),
  };
}

export const BROADCAST = 'ffffffffffff';
/** The MAC address of test station `n`. */
export const station = (n: number): string => `0200000000${n.toString(16).padStart(2, '0')}`;

/** An Ethernet frame, with an 802.1Q tag when `vlan` is given. */
export function frame(to: string, from: string, text: string, vlan?: number): Buffer {
  const tag = vlan === undefined ? '' : `8100${vlan.toString(16).padStart(4, '0')}`;
  return Buffer.concat([Buffer.from(`${to}${from}${tag}88b5`, 'hex'), Buffer.from(text)]);
}
