/** Errors of names, with the codes of node:dns and getaddrinfo(3). */

export type DnsErrorCode =
  | 'ENOTFOUND' // there is no such name
  | 'ENODATA' // the name has no record of that type
  | 'ESERVFAIL'
  | 'EREFUSED'
  | 'ENOTIMP'
  | 'EFORMERR'
  | 'ETIMEOUT'
  | 'ECONNREFUSED' // no server, or none that could be reached
  | 'EBADNAME'
  | 'ECANCELLED';

/** A name that could not be resolved. */
export class DnsError extends Error {
  readonly code: DnsErrorCode;
  readonly hostname: string;
  /** What was asked: `queryA`, … */
  readonly syscall: string;

  constructor(code: DnsErrorCode, syscall: string, hostname: string, cause?: unknown) {
    super(`${syscall} ${code} ${hostname}`, cause === undefined ? undefined : { cause });
    this.name = 'DnsError';
    this.code = code;
    this.syscall = syscall;
    this.hostname = hostname;
  }
}

/** Errors of getaddrinfo(3) and getnameinfo(3). */
export const EAI = {
  BADFLAGS: -1, NONAME: -2, AGAIN: -3, FAIL: -4, FAMILY: -6, SOCKTYPE: -7, SERVICE: -8,
} as const; // prettier-ignore
export type EaiName = keyof typeof EAI;

const EAI_TEXT: Record<EaiName, string> = {
  BADFLAGS: 'bad value for the flags',
  NONAME: 'name or service not known',
  AGAIN: 'temporary failure in name resolution',
  FAIL: 'failure in name resolution that will not go away',
  FAMILY: 'address family not supported',
  SOCKTYPE: 'socket type not supported',
  SERVICE: 'service not known for this socket type',
};

/** What getaddrinfo(3) and getnameinfo(3) fail with: `code` is one of the EAI names. */
export class AddrInfoError extends Error {
  /** `EAI_NONAME`, … */
  readonly code: `EAI_${EaiName}`;
  readonly errno: number;

  constructor(name: EaiName, what: string, cause?: unknown) {
    super(`${what}: ${EAI_TEXT[name]}`, cause === undefined ? undefined : { cause });
    this.name = 'AddrInfoError';
    this.code = `EAI_${name}`;
    this.errno = EAI[name];
  }
}
