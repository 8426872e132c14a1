import { defineDevice } from 'umvu';

/** /dev/shout: a stream that answers in capitals. */
export default defineDevice({
  name: 'shout',
  kind: 'stream',
  summary: 'answers in capitals',
  create: () => ({
    open: (_call, port) => ({
      data: (bytes) => port.write(bytes.toString().toUpperCase()),
    }),
  }),
});
