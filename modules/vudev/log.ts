import { defineDevice } from '../../runtime/devices/define.ts';
import type { Level } from '../../runtime/log.ts';

const NEWLINE = 10;
/** A line that is longer is said in pieces. */
const LONGEST = 4096;
/** Levels of syslog(3) and what they are to us, for «<3>text» as /dev/kmsg has it. */
const LEVELS: readonly Level[] = ['error', 'error', 'error', 'error', 'warn', 'info', 'info', 'debug'];

/** Each line that is written becomes a message of umvu; `<N>` at its start is a level of syslog(3). */
export default defineDevice({
  name: 'log',
  summary: 'lines become messages of umvu',
  kind: 'stream',
  options: { tag: { type: 'string', default: '', help: 'put before each line' } },
  create({ options: { tag }, log }) {
    const say = (line: Buffer): void => {
      const [, level = '5', text = ''] = /^(?:<(\d{1,3})>)?([^]*)$/.exec(line.toString('utf8')) ?? [];
      const printable = text.replace(/[^\P{Cc}\t]/gu, '?');
      if (printable !== '')
        log[LEVELS[Number(level) % LEVELS.length] ?? 'info'](`${tag && `${tag}: `}${printable}`);
    };
    return {
      open() {
        let rest: Buffer = Buffer.alloc(0);
        return {
          data(bytes) {
            rest = Buffer.concat([rest, bytes]);
            for (let end; (end = rest.indexOf(NEWLINE)) >= 0 || rest.length > LONGEST;) {
              const length = end >= 0 && end <= LONGEST ? end : LONGEST;
              say(rest.subarray(0, length));
              rest = rest.subarray(length === end ? length + 1 : length);
            }
          },
          close: () => say(rest),
        };
      },
    };
  },
});
