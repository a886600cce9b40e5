import { describe, expect, it } from 'vitest';
import { defaults } from '../../../contract/presets.ts';
import { tickEvent } from '../../../lib/generator/tick-event.ts';

const record = {
  ...{ tick: 2, nimg: 1280, lossG: 1, lossD: 2, scoresReal: 3, scoresFake: 4, r1Penalty: 5, pathLength: 6 },
  ...{ plPenalty: 7, rt: 0.5, augmentP: 0, skipped: { RegD: 1, TrainG: 2 } },
};
const scalarsOf = (change: object): Readonly<Record<string, number>> =>
  tickEvent(record, { config: { ...defaults.generator, r1Gamma: 10, ...change }, tickNimg: 640, rollBacks: 0 }).scalars;

describe('the scalars of a tick', () => {
  it('have the names of the original, and its rates: those of lazy regularisation every 4 and 16 minibatches', () => {
    expect(scalarsOf({})).toEqual({
      ...{ 'Progress/tick': 2, 'Progress/kimg': 1.28, 'Progress/lod': 0, 'Progress/minibatch': 32 },
      ...{ 'Progress/augment': 0, 'Loss/G': 1, 'Loss/D': 2, 'Loss/scores/real': 3, 'Loss/scores/fake': 4 },
      ...{ 'Loss/gradient_penalty': 5, 'Loss/pl_lengths': 6, 'Loss/pl_penalty': 7, 'Loss/signs/real': 0.5 },
      ...{ 'TrainG/learning_rate': 0.0016, 'RegG/learning_rate': 0.0016 },
      'TrainD/learning_rate': 0.002 * (16 / 17),
      'RegD/learning_rate': 0.002 * (16 / 17),
      // Iterations 20 to 39: path lengths at 20, 24, ..., 36, R1 at 32.
      ...{ 'TrainG/overflow_frequency': 0.1, 'RegG/overflow_frequency': 0 },
      ...{ 'TrainD/overflow_frequency': 0, 'RegD/overflow_frequency': 1 },
    });
  });
  it('leave out regularisers that are switched off', () => {
    const names = Object.keys(scalarsOf({ plWeight: 0, r1Gamma: 0 }));
    expect(names.filter((name) => name.startsWith('Reg'))).toEqual([]);
  });
});
