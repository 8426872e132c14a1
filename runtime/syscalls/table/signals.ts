import type { Row } from '../row.ts';

/**
 * Signals.
 */
// prettier-ignore
export const SIGNALS = [
  ['kill', 62, 129, 'pid signal', 'pass', { classes: ['process'] }],
  ['tkill', 200, 130, 'pid signal', 'pass', { classes: ['process'] }],
  ['tgkill', 234, 131, 'pid pid signal', 'pass', { classes: ['process'] }],
  ['rt_sigqueueinfo', 129, 138, 'pid signal ptr', 'pass', { classes: ['process'] }],
  ['rt_tgsigqueueinfo', 297, 240, 'pid pid signal ptr', 'pass', { classes: ['process'] }],
  ['pidfd_send_signal', 424, 424, 'fd signal ptr hex', 'pass', { classes: ['process'] }],
  ['rt_sigaction', 13, 134, 'signal ptr out size'],
  ['rt_sigprocmask', 14, 135, 'int ptr out size'],
  ['rt_sigpending', 127, 136, 'out size'],
  ['rt_sigsuspend', 130, 133, 'ptr size'],
  ['rt_sigtimedwait', 128, 137, 'ptr out ptr size'],
  ['rt_sigreturn', 15, 139, ''],
  ['sigaltstack', 131, 132, 'ptr out'],
  ['pause', 34, null, ''],
  ['signalfd', 282, null, 'fd ptr size'],
  ['signalfd4', 289, 74, 'fd ptr size hex'],
  ['restart_syscall', 219, 128, ''],
] as const satisfies readonly Row[];
