import type { TickRecord, UpdateName } from '../../contract/manifests.ts';
import type { GeneratorConfig } from '../../contract/study.ts';
import { lazyCorrection } from './state.ts';

/** Updates of an interval that lie in iterations `from` to `to` - 1, counted from 0. */
const updatesWithin = (from: number, to: number, interval: number): number =>
  Math.ceil(to / interval) - Math.ceil(from / interval);

/** Updates that a training has, each with the interval of its iterations and the correction of its optimiser's rate. */
function updatesOf(config: GeneratorConfig): readonly { name: UpdateName; interval: number; correction: number }[] {
  const { plWeight, r1Gamma, gRegInterval, dRegInterval } = config;
  const [g, d] = [lazyCorrection(gRegInterval), lazyCorrection(dRegInterval)];
  return [
    { name: 'TrainG', interval: 1, correction: g },
    { name: 'TrainD', interval: 1, correction: d },
    ...(plWeight > 0 ? ([{ name: 'RegG', interval: gRegInterval, correction: g }] as const) : []),
    ...(r1Gamma !== 0 ? ([{ name: 'RegD', interval: dRegInterval, correction: d }] as const) : []),
  ];
}

/** Of every update: the rate of its optimiser, and the share of its updates in this tick that were skipped. */
function updateScalars(
  { tick, nimg, skipped = {} }: TickRecord,
  { config, tickNimg }: { readonly config: GeneratorConfig; readonly tickNimg: number },
): Record<string, number> {
  const { batchSize, learningRate } = config;
  return Object.fromEntries(
    updatesOf(config).flatMap(({ name, interval, correction }) => {
      const updates = updatesWithin(((tick - 1) * tickNimg) / batchSize, nimg / batchSize, interval);
      return [
        [`${name}/learning_rate`, learningRate * correction],
        [`${name}/overflow_frequency`, (skipped[name] ?? 0) / Math.max(updates, 1)],
      ];
    }),
  );
}

/**
 * Scalars of one tick under the names of the original (stylegan2.md 4.2), but for those of time and memory, which no two runs
 * share; `Progress/rollbacks` only where there were some.
 */
export function tickEvent(
  record: TickRecord,
  options: { readonly config: GeneratorConfig; readonly tickNimg: number; readonly rollBacks: number },
): { readonly step: number; readonly scalars: Readonly<Record<string, number>> } {
  return {
    step: record.nimg,
    scalars: {
      'Progress/tick': record.tick,
      'Progress/kimg': record.nimg / 1000,
      'Progress/lod': 0, // the networks have their full size from the start
      'Progress/minibatch': options.config.batchSize,
      'Loss/G': record.lossG,
      'Loss/D': record.lossD,
      'Loss/scores/real': record.scoresReal,
      'Loss/scores/fake': record.scoresFake,
      'Loss/gradient_penalty': record.r1Penalty,
      'Loss/pl_lengths': record.pathLength,
      'Loss/pl_penalty': record.plPenalty,
      ...(record.rt !== null && { 'Loss/signs/real': record.rt }),
      'Progress/augment': record.augmentP,
      ...updateScalars(record, options),
      ...(options.rollBacks > 0 && { 'Progress/rollbacks': options.rollBacks }),
    },
  };
}
