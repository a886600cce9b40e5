import { beforeAll, describe, expect, it } from 'vitest';
import type { EngineSettings } from '../../../contract/engine.ts';
import { defaults } from '../../../contract/presets.ts';
import { createModel, initialValues } from '../../../lib/classifier/model.ts';
import { compilePredictStep, compileTrainStep } from '../../../lib/classifier/steps.ts';
import { createAdam } from '../../../lib/engine/adam.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { createRng } from '../../../lib/random.ts';
import { hasAvx512 } from '../../support/processor.ts';

beforeAll(loadEngine);

const config = {
  ...defaults.classifier,
  width: 0.1,
  blocks: [1, 1, 1] as [number, number, number],
  batchSize: 4,
  headUnits: 16,
};
const inputSize = 75;
const batchNorm = { kind: 'batchUpdate', momentum: config.bnMomentum, unbiased: false } as const;

function pixels(step: number): tf.Tensor4D {
  const rng = createRng(7, 'pixels', step);
  const values = Float32Array.from({ length: config.batchSize * inputSize ** 2 }, () => Math.floor(256 * rng()));
  return tf.tensor4d(values, [config.batchSize, inputSize, inputSize, 1]);
}

/** Some optimiser steps and a prediction: losses, logits and the tensors alive after each step. */
function train(settings: EngineSettings, steps = 3) {
  const model = createModel({ name: 'net', config, inputSize, channels: 1 }, (spec) =>
    initialValues(spec, { seed: 2, stream: 'test' }),
  );
  const trained = [...model.variables.values()].filter(({ trainable }) => trainable);
  const adam = createAdam({ name: 'adam', variables: trained, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 });
  const step = compileTrainStep({ model, from: 'images', adam, trained, batchNorm, config, settings });
  const predict = compilePredictStep({ model, settings, batchSize: config.batchSize });
  const losses: number[] = [];
  const counts: number[] = [];
  try {
    for (let i = 0; i < steps; i++) {
      const inputs = {
        images: pixels(i),
        targets: tf.tensor2d([0, 1, 1, 0, 0, 1, 1, 0], [4, 2]),
        weights: tf.tensor1d([1, 1, 1, 1]),
        learningRate: tf.scalar(0.001),
        seed: tf.tensor1d([1, i], 'int32'),
      };
      const outputs = step.run(inputs);
      losses.push(outputs.loss!.dataSync()[0]!);
      tf.dispose([inputs, outputs]);
      counts.push(tf.memory().numTensors);
    }
    const images = pixels(99);
    const outputs = predict.run({ images });
    const logits = Float32Array.from(outputs.logits!.dataSync());
    const statistics = Float32Array.from(model.variables.get('batch_normalization_1/moving_variance')!.dataSync());
    tf.dispose([images, outputs]);
    return { losses, logits, statistics, counts };
  } finally {
    step.dispose();
    predict.dispose();
    for (const variable of adam.state) variable.dispose();
    model.dispose();
  }
}

const largest = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

describe('training and prediction', () => {
  it('give recorded, as a function and as a graph of the stock addon, what they give op by op', () => {
    const eager = train({ execution: 'eager', precision: 'fp32' });
    for (const execution of ['function', 'graph'] as const) {
      const recorded = train({ execution, precision: 'fp32' });
      // Adam's first steps divide small gradients by themselves: what rounding changes grows with every step.
      recorded.losses.forEach((loss, i) => expect(loss).toBeCloseTo(eager.losses[i]!, i === 0 ? 5 : 3));
      expect(largest(recorded.logits, eager.logits)).toBeLessThan(1e-3);
      expect(largest(recorded.statistics, eager.statistics)).toBeLessThan(1e-5);
      expect(recorded.counts[2]).toBe(recorded.counts[1]);
    }
  });
  const reduced = [['function', 'bf16'] as const, ['graph', 'bf16'] as const];
  it.each([['function', 'fp32'] as const, ...(hasAvx512 ? reduced : [])])(
    'give the same bytes in every recording as %s in %s, and leave no tensor behind',
    (execution, precision) => {
      const [first, second] = [0, 1].map(() => train({ execution, precision }));
      expect(second!.logits).toEqual(first!.logits);
      expect(second!.losses).toEqual(first!.losses);
      expect(first!.counts[2]).toBe(first!.counts[1]);
    },
  );
});
