import { defineDevice } from 'umvu';

/** Requests of rtc(4). */
const RTC_RD_TIME = 0x80247009;

/** A real-time clock that is some years off: `hwclock --rtc /dev/rtc9 --utc --show` believes it. */
export default defineDevice({
  name: 'rtc',
  kind: 'char',
  summary: 'a clock that is some years off',
  options: { years: { type: 'number', default: 0, help: 'how many' } },
  create({ options: { years } }) {
    return {
      ioctl(request, _argument, call) {
        if (request !== RTC_RD_TIME) return undefined;
        const now = new Date();
        const fields = [
          now.getUTCSeconds(),
          now.getUTCMinutes(),
          now.getUTCHours(),
          now.getUTCDate(),
          now.getUTCMonth(),
          now.getUTCFullYear() + years - 1900,
          0, // day of the week
          0, // day of the year
          0, // daylight saving
        ];
        call.write(Buffer.from(Int32Array.from(fields).buffer));
        return 0;
      },
    };
  },
});
