import { beforeAll, describe, expect, it } from 'vitest';
import { createAdam } from '../../../lib/engine/adam.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { compileStep } from '../../../lib/engine/compile.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { createVariable } from '../../../lib/engine/variables.ts';
import { createRng } from '../../../lib/random.ts';

beforeAll(loadEngine);

const size = 40_000; // more than one thread takes
const steps = 3;
const rate = 0.01;

const values = (name: string): Float32Array => {
  const rng = createRng(6, name);
  return Float32Array.from({ length: size }, () => 2 * rng() - 1);
};

/** Kingma and Ba 2015, end of section 2, in float64. */
function expected(settings: { beta1: number; beta2: number; epsilon: number }): Float64Array {
  const { beta1, beta2, epsilon } = settings;
  const x = Float64Array.from(values('x'));
  const m = new Float64Array(size);
  const v = new Float64Array(size);
  for (let t = 1; t <= steps; t++) {
    const gradient = values(`gradient${t}`);
    const corrected = (rate * Math.sqrt(1 - beta2 ** t)) / (1 - beta1 ** t);
    for (let i = 0; i < size; i++) {
      m[i] = beta1 * m[i]! + (1 - beta1) * gradient[i]!;
      v[i] = beta2 * v[i]! + (1 - beta2) * gradient[i]! ** 2;
      x[i] = x[i]! - (corrected * m[i]!) / (Math.sqrt(v[i]!) + epsilon);
    }
  }
  return x;
}

describe.each(['eager', 'graph', 'function'] as const)('createAdam, %s', (execution) => {
  it.each([
    { beta1: 0, beta2: 0.99, epsilon: 1e-8 },
    { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
  ])('moves as the paper says with beta1 $beta1', (settings) => {
    const variable = createVariable('x', [size], values('x'));
    const adam = createAdam({ name: 'adam', variables: [variable], ...settings });
    const step = compileStep({
      name: 'move',
      settings: { precision: 'fp32', execution },
      variables: [variable, ...adam.state],
      inputs: { gradient: { shape: [size], dtype: 'float32' }, rate: { shape: [], dtype: 'float32' } },
      step: (inputs) => {
        adam.apply({ x: inputs['gradient']! }, { learningRate: inputs['rate'] as tf.Scalar });
        return {};
      },
    });
    for (let t = 1; t <= steps; t++) step.run({ gradient: tf.tensor1d(values(`gradient${t}`)), rate: tf.scalar(rate) });
    const found = variable.dataSync();
    const apart = expected(settings).map((value, i) => Math.abs(value - found[i]!));
    expect(Math.max(...apart)).toBeLessThan(1e-6);
    step.dispose();
    for (const state of [variable, ...adam.state]) state.dispose();
  });

  it('refuses a variable without gradient', () => {
    const variable = createVariable('x', [1], Float32Array.of(1));
    const adam = createAdam({ name: 'adam', variables: [variable], beta1: 0, beta2: 0.99, epsilon: 1e-8 });
    expect(() => {
      adam.apply({}, { learningRate: tf.scalar(1) });
    }).toThrow('adam has no gradient for x');
    for (const state of [variable, ...adam.state]) state.dispose();
  });
});
