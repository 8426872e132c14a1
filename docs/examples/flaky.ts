import { defineStack, Errno } from 'umvu';

/** A stack on which every third socket cannot be made: what does a program do then? */
export default defineStack({
  name: 'flaky',
  summary: 'a vdestack that runs out of sockets',
  async create({ interfaces, options }, host) {
    const stack = await host.newStack('vdestack', interfaces, options);
    const socket = stack.socket.bind(stack);
    let made = 0;
    stack.socket = (domain, type, protocol) => {
      if (domain === 2 && ++made % 3 === 0) throw new Errno('ENOBUFS');
      return socket(domain, type, protocol);
    };
    return stack;
  },
});
