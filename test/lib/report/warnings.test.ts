import { describe, expect, it } from 'vitest';
import { findWarnings } from '../../../lib/report/warnings.ts';
import { evaluateFake, fakePredictions, makeInputs } from './fixture-inputs.ts';

describe('the warnings', () => {
  it('say where a training diverged and how it went on, and nothing where none did', async () => {
    const inputs = await makeInputs();
    const textOf = (given: typeof inputs): string =>
      findWarnings(given)
        .map(({ text }) => text)
        .join('\n');
    expect(textOf(inputs)).not.toContain('diverged');
    const recoveries = [{ epoch: 3, loss: 'NaN', learningRate: 0.01, nextLearningRate: 0.001 }];
    const real = { ...inputs.classifiers.real, recoveries };
    const synthetic = inputs.classifiers.synthetic;
    if (synthetic === null) throw new Error('the fixture has both classifiers');
    const repeats = {
      real: [],
      synthetic: [
        { ...synthetic, repeat: 1 },
        { ...synthetic, repeat: 2, recoveries },
      ],
    };
    const repeated = textOf({ ...inputs, classifiers: { ...inputs.classifiers, repeats } });
    expect(repeated.match(/the classifier on .* diverged/g)).toEqual([
      'the classifier on synthetic images, repeat 2, diverged',
    ]);
    expect(textOf({ ...inputs, classifiers: { ...inputs.classifiers, real } })).toContain(
      'on real images diverged in epoch 3 (loss NaN) at a learning rate of 0.01; it went back to the last good state and on at 0.001.',
    );
  });

  it('give the margin that a small test set could have shown, also where both models are perfect', async () => {
    const inputs = await makeInputs();
    const ofPositives = (shift: number) =>
      fakePredictions('real', 3).map((one) => ({ ...one, probability: one.side === 'positive' ? shift : 0.1 }));
    const small = (real: number, synthetic: number): string | undefined => {
      const predictions = { real: ofPositives(real), synthetic: ofPositives(synthetic) };
      return findWarnings({ ...inputs, evaluation: evaluateFake(inputs.study, predictions) })
        .map(({ text }) => text)
        .find((text) => text.startsWith('Small test set'));
    };
    // 1 - 0.025^(1/60)
    expect(small(0.9, 0.8)).toContain('it could have shown with two perfect models (exact bound) is 0.060 AUC');
    expect(small(0.9, 0.1)).toContain('no margin could be shown with it');
  });

  it('say what stayed at initial values without weights: layers, or the normalisation alone', async () => {
    const first = async (classifier: object): Promise<string | undefined> =>
      findWarnings(await makeInputs({ classifier: { ...classifier, allowRandomTrunk: true } }))
        .map(({ text }) => text)
        .find((text) => text.includes('no pretrained weights'));
    expect(await first({ freeze: 'nakata' })).toContain('most layers of both classifiers stayed frozen');
    expect(await first({ freeze: 'nakata', bn: 'frozen' })).toContain('most layers of both classifiers stayed frozen');
    const normalisation = await first({ bn: 'frozen' });
    expect(normalisation).toContain('while every kernel was trained');
    expect(normalisation).not.toContain('frozen at random');
    expect(await first({})).toContain('trained from scratch');
  });
});
