/** What a benchmark measures and how it is shown. */

/** One line of the table. Numbers are medians over interleaved rounds. */
export interface Figure {
  what: string;
  unit: 'ns' | 'µs' | 'ms' | 's' | 'Gbit/s' | 'MiB' | '';
  /** What umvu is compared with in the same run: the same work without it unless `what` says otherwise. */
  reference?: number | undefined;
  umvu: number;
  /** What is asked for, in words, and whether it is reached. */
  target?: { text: string; reached: boolean } | undefined;
}

/** The middle of `values`, or the mean of the two in the middle; NaN where there are none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** A target for the ratio of umvu to the reference: `most` for costs, `least` for speeds. */
export function ratioTarget(
  reference: number,
  umvu: number,
  bound: { most: number } | { least: number },
): Figure['target'] {
  const ratio = umvu / reference;
  return 'most' in bound
    ? { text: `≤ ${bound.most} ×`, reached: ratio <= bound.most }
    : { text: `≥ ${bound.least} ×`, reached: ratio >= bound.least };
}

/** Three digits that mean something. */
function digits(value: number): string {
  if (Number.isNaN(value)) return 'none';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const HEADINGS = ['what', 'reference', 'umvu', 'unit', 'ratio', 'target', ''];

/** Prints figures as a table in Markdown; the heading only where `first`. */
export function printFigures(figures: readonly Figure[], first: boolean): void {
  const row = (cells: readonly string[]) => {
    const [what = '', ...others] = cells;
    console.log(
      `| ${what.padEnd(52)} | ${others.map((cell, i) => cell.padStart(i < 4 ? 9 : 12)).join(' | ')} |`,
    );
  };
  if (first) {
    row(HEADINGS);
    console.log(`|---${'|--:'.repeat(4)}|---|---|`);
  }
  for (const { what, unit, reference, umvu, target } of figures) {
    row([
      what,
      reference === undefined ? '' : digits(reference),
      digits(umvu),
      unit,
      reference === undefined ? '' : digits(umvu / reference),
      target?.text ?? '',
      target ? (target.reached ? 'ok' : 'MISSED') : '',
    ]);
  }
}
