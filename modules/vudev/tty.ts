import { defineDevice, type DeviceRequest, type Port } from '../../runtime/devices/define.ts';
import { Errno } from '../../runtime/errno.ts';

/** What is behind a line: told what came, and given the port to answer. */
type Answer = (bytes: Buffer, port: Port) => void;

/** Says in hexadecimal what was typed. */
const hex: Answer = (bytes, port) => port.write(`${bytes.toString('hex')}\r\n`);
/** Gives back what came: a loopback plug. */
const echo: Answer = (bytes, port) => port.write(bytes);

/** A clock that answers every line with the time, as hardware on a serial line would. */
const clock: Answer = (bytes, port) => {
  if (bytes.includes('\n') || bytes.includes('\r')) port.write(`${new Date().toISOString()}\n`);
};

const ANSWERS: Readonly<Record<string, Answer>> = { none: echo, echo, hex, clock };

function answerOf({ source }: Pick<DeviceRequest<never>, 'source'>): Answer {
  const answer = ANSWERS[source];
  if (!answer) throw new Errno('EINVAL', `source «${source}»: none of ${Object.keys(ANSWERS).join(', ')}`);
  return answer;
}

/** A terminal line whose far end is TypeScript: the source says what is there (`echo`, `hex`, `clock`). */
export default defineDevice({
  name: 'tty',
  summary: 'a terminal line whose far end is TypeScript',
  kind: 'terminal',
  options: {
    rows: { type: 'number', default: 24, help: 'height of the window' },
    columns: { type: 'number', default: 80, help: 'width of the window' },
  },
  create(request) {
    const answer = answerOf(request);
    const { rows, columns } = request.options;
    return {
      open(_call, port) {
        port.resize(rows, columns);
        return { data: (bytes) => answer(bytes, port) };
      },
    };
  },
});
