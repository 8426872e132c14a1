import type { VmStats } from '../vm/vm.ts';

const COLUMNS = ['calls', 'answered', 'passed', 'failed', 'ms', 'µs/call'] as const;
const WIDTH = 10;

/** The table of `--stats`, the most frequent call first, with a line for the sum. */
export function statsTable(stats: VmStats): string {
  const rows = Object.entries(stats.calls)
    .map(([name, { calls, passed, failed, time }]) => ({ name, calls, passed, failed, time }))
    .sort((a, b) => b.calls - a.calls || a.name.localeCompare(b.name));
  const sum = (key: 'calls' | 'passed' | 'failed' | 'time'): number =>
    rows.reduce((total, row) => total + row[key], 0);
  const total = {
    name: 'total',
    calls: sum('calls'),
    passed: sum('passed'),
    failed: sum('failed'),
    time: sum('time'),
  };
  const line = (cells: readonly string[], name: string): string =>
    `${cells.map((cell) => cell.padStart(WIDTH)).join('')}  ${name}`;
  const numbers = ({ name, calls, passed, failed, time }: typeof total): string =>
    line(
      [
        String(calls),
        String(calls - passed - failed),
        String(passed),
        String(failed),
        (time / 1e6).toFixed(3),
        calls > 0 ? (time / 1e3 / calls).toFixed(1) : '-',
      ],
      name,
    );
  return `${[line(COLUMNS, 'trapped call'), ...rows.map(numbers), numbers(total)].join('\n')}\n`;
}
