import { describe, expect, it } from 'vitest';
import { defaults } from '../../../contract/presets.ts';
import { planPhases } from '../../../lib/classifier/phases.ts';
import { advanceSchedule, startPhase, startSchedule, type ScheduleState } from '../../../lib/classifier/schedule.ts';

const { classifier } = defaults;
const pretrained = { ...classifier, weights: 'weights/x.h5' };

describe('planPhases', () => {
  it('is one phase from random weights, and where head epochs are switched off', () => {
    const whole = { name: 'whole', fromEpoch: 0, freeze: 'none', bn: 'batch', learningRate: 0.001 };
    expect(planPhases(classifier)).toMatchObject([whole]);
    expect(planPhases({ ...pretrained, headEpochs: 0 })).toMatchObject([whole]);
  });
  it('is the head at 0.001, then the top at 0.0001, on a pretrained trunk whose statistics stay', () => {
    const frozen = { bn: 'frozen', batchNorm: { kind: 'moving' } };
    expect(planPhases(pretrained)).toMatchObject([
      { name: 'head', fromEpoch: 0, freeze: 'trunk', learningRate: 0.001, earlyStoppingPatience: 0, ...frozen },
      {
        name: 'fineTune',
        fromEpoch: 5,
        freeze: 'belowTop',
        learningRate: 0.0001,
        earlyStoppingPatience: 10,
        ...frozen,
      },
    ]);
    expect(planPhases({ ...pretrained, fineTuneLayers: 'all' })[1]).toMatchObject({ freeze: 'none' });
  });
  it('caches features at the cut below which a phase trains nothing, and only where asked', () => {
    const cuts = (config: Partial<typeof classifier>) =>
      planPhases({ ...pretrained, ...config }).map(({ cache }) => cache);
    expect(cuts({ featureCache: 2 })).toEqual([{ cut: 'pooled', views: 2 }, null]);
    const recipe = { headEpochs: 0, freeze: 'nakata', bn: 'frozen' } as const;
    expect(cuts({ ...recipe, featureCache: 3 })).toEqual([{ cut: 'lastMixed', views: 3 }]);
    expect([...cuts({}), ...cuts(recipe)]).toEqual([null, null, null]);
  });
  it('leaves the reference recipe its unbiased moving variance', () => {
    const nakata = planPhases({ ...pretrained, headEpochs: 0, freeze: 'nakata' });
    expect(nakata).toMatchObject([{ freeze: 'nakata', batchNorm: { kind: 'batchUpdate', unbiased: true } }]);
  });
});

describe('a schedule across phases', () => {
  const after = (state: ScheduleState, epoch: number, validationLoss: number): ScheduleState =>
    advanceSchedule(state, { epoch, validationLoss }, { plateau: 2, earlyStopping: 3 });

  it('begins a phase with its own rate and patience, and remembers the best epoch of both', () => {
    let state = startSchedule(0.001);
    for (const [i, loss] of [0.5, 0.6, 0.7].entries()) state = after(state, i + 1, loss);
    expect(state).toMatchObject({ learningRate: 0.0001, bestEpoch: 1, stopped: false });
    state = startPhase(state, { fromEpoch: 3, learningRate: 0.00002 });
    expect(state).toMatchObject({ learningRate: 0.00002, plateauWait: 0, bestEpoch: 1, bestLoss: 0.5 });
    // Without the phase, epoch 4 would be the third after the best.
    state = after(state, 4, 0.8);
    expect(state).toMatchObject({ learningRate: 0.00002, stopped: false });
    state = after(after(state, 5, 0.9), 6, 0.9);
    expect(state).toMatchObject({ bestEpoch: 1, stopped: true });
  });
});
