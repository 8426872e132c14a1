import { defineModule, textNode } from 'umvu';

/** `vumount -t greeting world /tmp/hello`: a file that greets its source, and counts. */
export default defineModule({
  name: 'greeting',
  summary: 'a file that greets',
  syscalls: ['%path'],
  create() {
    let greetings = 0;
    return {
      mount({ type, source, target, data }) {
        const node = textNode(() => `hello ${source}, mounted as greeting ${number}\n`);
        const number = ++greetings;
        return { type, source, target, options: data, node, unmount: () => node.close() };
      },
    };
  },
});
