/** What a row of measurements says. Milliseconds. */
export interface Figures {
  readonly median: number;
  /** Quartiles: half of the runs lie between them. */
  readonly low: number;
  readonly high: number;
  readonly runs: number;
}

export function figuresOf(times: readonly number[]): Figures {
  if (times.length === 0) throw new RangeError('figuresOf expects at least one time, got none');
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): number => {
    const position = share * (sorted.length - 1);
    const below = sorted[Math.floor(position)] ?? 0;
    return below + ((sorted[Math.ceil(position)] ?? 0) - below) * (position % 1);
  };
  return { median: at(0.5), low: at(0.25), high: at(0.75), runs: times.length };
}
