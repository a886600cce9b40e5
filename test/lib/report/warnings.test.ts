import { describe, expect, it } from 'vitest';
import { findWarnings } from '../../../lib/report/warnings.ts';
import { makeInputs } from './fixture-inputs.ts';

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
    expect(textOf({ ...inputs, classifiers: { ...inputs.classifiers, real } })).toContain(
      'on real images diverged in epoch 3 (loss NaN) at a learning rate of 0.01; it went back to the last good state and on at 0.001.',
    );
  });
});
