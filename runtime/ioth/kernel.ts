/** "kernel": the network of the host, for processes that are to be outside of any other stack. */
import { Errno, check } from '../errno.ts';
import { native } from '../native.ts';
import { AF, SOCK, type Stack, defineStack } from './stack.ts';

const SYS_SOCKET = 41;
const FAMILIES: ReadonlySet<number> = new Set([AF.INET, AF.INET6, AF.NETLINK, AF.PACKET]);

class KernelStack implements Stack {
  readonly driver = 'kernel';
  readonly isHost = true;
  readonly families = FAMILIES;
  readonly view = {};
  resolvConf: string | undefined;
  #closed = false;

  socket(domain: number, type: number, protocol: number): number {
    if (this.#closed) throw new Errno('ENETDOWN', 'the stack is closed');
    if (!FAMILIES.has(domain)) throw new Errno('EAFNOSUPPORT');
    return check(native().syscall(SYS_SOCKET, domain, type | SOCK.CLOEXEC, protocol));
  }

  /** The host's network stays whatever becomes of the mount. */
  inUse(): boolean {
    return false;
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }
}

export default defineStack({
  name: 'kernel',
  summary: "the host's own network",
  create(request) {
    const [option] = Object.keys(request.options);
    if (option !== undefined) throw new Errno('EINVAL', `kernel: unknown option ${option}`);
    // A VNL is ignored, as in libioth (IOTH-FACTS §1.2).
    return Promise.resolve(new KernelStack());
  },
});
