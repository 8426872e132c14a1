/** "null": no network at all. */
import { Errno } from '../errno.ts';
import { type Stack, defineStack } from './stack.ts';

const nullStack = (): Stack => ({
  driver: 'null',
  isHost: false,
  families: new Set(),
  view: {},
  resolvConf: undefined,
  socket() {
    throw new Errno('EAFNOSUPPORT');
  },
  inUse: () => false,
  close: () => Promise.resolve(),
});

export default defineStack({
  name: 'null',
  summary: 'no network: every family is refused',
  create(request) {
    const [option] = Object.keys(request.options);
    if (option !== undefined) throw new Errno('EINVAL', `null: unknown option ${option}`);
    return Promise.resolve(nullStack());
  },
});
