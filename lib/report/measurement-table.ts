import type { Measurement } from '../../contract/tools.ts';

/** What a tool measured of one stored snapshot. */
export interface MeasuredSnapshot {
  readonly nimg: number;
  readonly sha256: string;
  readonly measurement: Measurement;
}

/** `metrics.json` with everything, `metrics.csv` with a row per snapshot and the floor first. */
export function measurementTable(args: {
  readonly psi: number;
  readonly floor: Measurement;
  readonly snapshots: readonly MeasuredSnapshot[];
}): Readonly<Record<'metrics.json' | 'metrics.csv', string>> {
  const { psi, floor, snapshots } = args;
  const { metric, extractor } = floor;
  const row = ({ reals, fakes, quality }: Measurement): object => ({ reals, fakes, ...quality });
  const all = {
    ...{ metric, extractor, psi, floor: row(floor) },
    snapshots: snapshots.map(({ nimg, sha256, measurement }) => ({ nimg, sha256, ...row(measurement) })),
  };
  const cells = (name: string, { reals, fakes, quality }: Measurement): string => {
    const values = [quality?.frechet, quality?.kernel, quality?.recall, quality?.coverage];
    return [name, reals, fakes, ...values.map((value) => value ?? '')].join(',');
  };
  const lines = [
    `nimg,reals,fakes,${metric},kernel,recall,coverage`,
    cells('floor', floor),
    ...snapshots.map(({ nimg, measurement }) => cells(String(nimg), measurement)),
  ];
  return { 'metrics.json': `${JSON.stringify(all, null, 2)}\n`, 'metrics.csv': `${lines.join('\n')}\n` };
}
