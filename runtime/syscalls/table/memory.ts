import { argIn, type Row, type RowDetails } from '../row.ts';

/** PROT_READ | PROT_WRITE, and MAP_SHARED or MAP_SHARED_VALIDATE, perhaps with MAP_LOCKED or MAP_POPULATE. */
const RING = {
  only: [argIn(2, 3), argIn(3, 1, 3, 0x2001, 0x8001)],
  note: 'only shared, writable and of a descriptor: rings of packet sockets',
} as const satisfies RowDetails;

/**
 * Memory.
 */
// prettier-ignore
export const MEMORY = [
  ['brk', 12, 214, 'ptr'],
  ['mmap', 9, 222, 'ptr size hex hex fd offset', 'socket', RING],
  ['munmap', 11, 215, 'ptr size'],
  ['mprotect', 10, 226, 'ptr size hex'],
  ['pkey_mprotect', 329, 288, 'ptr size hex int'],
  ['pkey_alloc', 330, 289, 'hex hex'],
  ['pkey_free', 331, 290, 'int'],
  ['mremap', 25, 216, 'ptr size size hex ptr'],
  ['remap_file_pages', 216, 234, 'ptr size hex size hex'],
  ['msync', 26, 227, 'ptr size hex'],
  ['mincore', 27, 232, 'ptr size out'],
  ['madvise', 28, 233, 'ptr size int'],
  ['mlock', 149, 228, 'ptr size'],
  ['mlock2', 325, 284, 'ptr size hex'],
  ['munlock', 150, 229, 'ptr size'],
  ['mlockall', 151, 230, 'hex'],
  ['munlockall', 152, 231, ''],
  ['mseal', 462, 462, 'ptr size hex'],
  ['map_shadow_stack', 453, 453, 'ptr size hex'],
  ['memfd_create', 319, 279, 'string hex', 'pass', { classes: ['desc'] }],
  ['memfd_secret', 447, 447, 'hex', 'pass', { classes: ['desc'] }],
  ['mbind', 237, 235, 'ptr size int ptr size hex'],
  ['get_mempolicy', 239, 236, 'out ptr size ptr hex'],
  ['set_mempolicy', 238, 237, 'int ptr size'],
  ['set_mempolicy_home_node', 450, 450, 'ptr size size hex'],
  ['migrate_pages', 256, 238, 'pid size ptr ptr'],
  ['move_pages', 279, 239, 'pid size ptr ptr out int'],
] as const satisfies readonly Row[];
