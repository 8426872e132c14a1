import type { Row } from '../row.ts';

/**
 * System V and POSIX message queues, semaphores and shared memory: of the IPC namespace of the kernel.
 */
// prettier-ignore
export const IPC = [
  ['shmget', 29, 194, 'hex size hex'],
  ['shmat', 30, 196, 'int ptr hex', 'pass', { classes: ['memory'] }],
  ['shmdt', 67, 197, 'ptr', 'pass', { classes: ['memory'] }],
  ['shmctl', 31, 195, 'int int ptr'],
  ['semget', 64, 190, 'hex int hex'],
  ['semop', 65, 193, 'int ptr size'],
  ['semtimedop', 220, 192, 'int ptr size ptr'],
  ['semctl', 66, 191, 'int int int ptr'],
  ['msgget', 68, 186, 'hex hex'],
  ['msgsnd', 69, 189, 'int ptr size hex'],
  ['msgrcv', 70, 188, 'int out size long hex'],
  ['msgctl', 71, 187, 'int int ptr'],
  ['mq_open', 240, 180, 'string open_flags mode ptr', 'pass', { classes: ['desc'] }],
  ['mq_unlink', 241, 181, 'string'],
  ['mq_timedsend', 242, 182, 'fd buffer size uint ptr'],
  ['mq_timedreceive', 243, 183, 'fd out size out ptr'],
  ['mq_notify', 244, 184, 'fd ptr'],
  ['mq_getsetattr', 245, 185, 'fd ptr out'],
] as const satisfies readonly Row[];
