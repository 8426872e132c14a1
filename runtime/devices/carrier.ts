import type { DeviceCall, OpenCall } from './define.ts';
import type { MountedDevice, MountedPart } from './mounted.ts';

/** Who opens a device, and how. */
export interface Opening extends DeviceCall {
  readonly flags: number;
}

/** The kernel objects that stand for a device. */
export interface Carrier {
  /** A descriptor of the supervisor for a guest that opens `part`; the caller closes it. Throws Errno. */
  open(part: MountedPart, opening: Opening): number | Promise<number>;
  /** What poll() of its files says may have changed. */
  wake?(): void;
  /** The device is unmounted. Descriptors that guests have get EIO or the end of the file. */
  close(): void | Promise<void>;
}

export type MakeCarrier = (device: MountedDevice) => Carrier | Promise<Carrier>;

export const openCall = (part: MountedPart, { flags, pid, signal }: Opening): OpenCall => ({
  flags,
  pid,
  signal,
  part: part.number,
});
