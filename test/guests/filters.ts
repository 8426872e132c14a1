/** Filters for tests of the launcher: arrays of struct sock_filter (code, jt, jf, k). */

const instruction = (code: number, k: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt32LE(k, 4);
  return bytes;
};

/** BPF_RET | BPF_K */
const RET = 0x06;
const SECCOMP_RET_ALLOW = 0x7fff0000;

/** Every call is the kernel's affair, so nobody has to answer the listener. */
export const ALLOW_ALL = instruction(RET, SECCOMP_RET_ALLOW);

/** Not a filter: the kernel refuses code that does not end with a return. */
export const INVALID = instruction(0x20, 0);
