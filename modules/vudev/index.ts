/**
 * vudev: devices (docs/vudev.md).
 *
 *     vumount -t vudevramdisk -o size=64m none /dev/ram0
 *     vumount -t vudevpartx disk.img /dev/hda         /dev/hda, /dev/hda1, /dev/hda2…
 *
 * Devices of users are modules of their own, made with defineDevice.
 */
import type { DeviceDefinition, DeviceModule } from '../../runtime/devices/define.ts';
import { DEVICE_CALLS, mountDevice, typeOfDevice } from '../../runtime/devices/module.ts';
import { Errno } from '../../runtime/errno.ts';
import { defineModule } from '../../runtime/modules/define.ts';
import log from './log.ts';
import nothing from './null.ts';
import partx from './partx.ts';
import ramdisk from './ramdisk.ts';
import tty from './tty.ts';

// Each knows the types of its own options, which differ.
const devices: readonly DeviceDefinition[] = [nothing, ramdisk, partx, tty, log].map(
  (module) => (module as unknown as DeviceModule).device,
);
const byType = new Map(devices.map((device) => [typeOfDevice(device.name), device]));

export default defineModule({
  name: 'vudev',
  summary: `devices: ${devices.map(({ name }) => name).join(', ')}`,
  types: [...byType.keys()],
  syscalls: DEVICE_CALLS,
  create: (context) => ({
    mount(request) {
      const device = byType.get(request.type);
      if (!device) throw new Errno('ENODEV');
      return mountDevice(context, device, request);
    },
  }),
});
