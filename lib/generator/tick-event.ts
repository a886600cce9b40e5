import type { TickRecord, UpdateName } from '../../contract/manifests.ts';
import type { GeneratorConfig } from '../../contract/study.ts';

/** Updates of an interval that lie in iterations `from` to `to` - 1, counted from 0. */
const updatesWithin = (from: number, to: number, interval: number): number =>
  Math.ceil(to / interval) - Math.ceil(from / interval);

/** Share of the updates of a tick that were skipped, for every update that the training has. */
function overflowFrequencies(
  { tick, nimg, skipped = {} }: TickRecord,
  { config, tickNimg }: { readonly config: GeneratorConfig; readonly tickNimg: number },
): Record<string, number> {
  const { batchSize, plWeight, r1Gamma, gRegInterval, dRegInterval } = config;
  const intervals: readonly (readonly [UpdateName, number])[] = [
    ['TrainG', 1],
    ['TrainD', 1],
    ...(plWeight > 0 ? ([['RegG', gRegInterval]] as const) : []),
    ...(r1Gamma !== 0 ? ([['RegD', dRegInterval]] as const) : []),
  ];
  return Object.fromEntries(
    intervals.map(([name, interval]) => {
      const updates = updatesWithin(((tick - 1) * tickNimg) / batchSize, nimg / batchSize, interval);
      return [`${name}/overflow_frequency`, (skipped[name] ?? 0) / Math.max(updates, 1)];
    }),
  );
}

/** Scalars of one tick under the names of the original; `Progress/rollbacks` only where there were some. */
export function tickEvent(
  record: TickRecord,
  options: { readonly config: GeneratorConfig; readonly tickNimg: number; readonly rollBacks: number },
): { readonly step: number; readonly scalars: Readonly<Record<string, number>> } {
  return {
    step: record.nimg,
    scalars: {
      'Progress/tick': record.tick,
      'Progress/kimg': record.nimg / 1000,
      'Loss/G': record.lossG,
      'Loss/D': record.lossD,
      'Loss/scores/real': record.scoresReal,
      'Loss/scores/fake': record.scoresFake,
      'Loss/gradient_penalty': record.r1Penalty,
      'Loss/pl_lengths': record.pathLength,
      'Loss/pl_penalty': record.plPenalty,
      ...(record.rt !== null && { 'Loss/signs/real': record.rt }),
      'Progress/augment': record.augmentP,
      ...overflowFrequencies(record, options),
      ...(options.rollBacks > 0 && { 'Progress/rollbacks': options.rollBacks }),
    },
  };
}
