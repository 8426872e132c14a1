import { defineDevice } from '../../runtime/devices/define.ts';

/** Reads are empty, writes vanish: the kernel's own /dev/null. */
export default defineDevice({
  name: 'null',
  summary: 'empty, and takes everything',
  kind: 'file',
  create: () => ({ path: '/dev/null' }),
});
