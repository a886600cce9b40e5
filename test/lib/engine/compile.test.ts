import { beforeAll, describe, expect, it } from 'vitest';
import type { EngineSettings } from '../../../contract/engine.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { compileStep, executionOf, precisionOf, type StepOptions } from '../../../lib/engine/compile.ts';
import { graphBinding, nativeBackend, type NativeBinding } from '../../../lib/engine/native-backend.ts';
import { blur, firDown2, firUp2 } from '../../../lib/engine/ops.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { createVariable } from '../../../lib/engine/variables.ts';
import { createRng } from '../../../lib/random.ts';
import { runEngineScript } from '../../support/engine-script.ts';
import { hasAvx512 } from '../../support/processor.ts';

beforeAll(loadEngine);

function random(shape: readonly number[], name: string): tf.Tensor {
  const rng = createRng(4, name);
  const size = shape.reduce((product, side) => product * side, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => 2 * rng() - 1),
    [...shape],
  );
}

/** Runs a step without variables once. */
function runOnce(
  options: Pick<StepOptions, 'inputs' | 'step'>,
  inputs: Record<string, tf.Tensor>,
  settings: Partial<EngineSettings> = {},
): number[] {
  const given = { precision: 'fp32', execution: 'function', ...settings } as const;
  const step = compileStep({ name: 'once', variables: [], ...options, settings: given });
  const outputs = step.run(inputs);
  const values = [...outputs['y']!.dataSync()];
  tf.dispose(outputs);
  step.dispose();
  return values;
}

const scalar = { x: { shape: [], dtype: 'float32' as const } };

describe('a step with a guard', () => {
  it.each(['function', 'graph', 'eager'] as const)(
    'with execution %s changes nothing while its guard is not finite',
    (execution) => {
      const [a, b] = ['a', 'b'].map((name) => createVariable(`guarded/${name}`, [1], Float32Array.of(1)));
      const step = compileStep({
        ...{
          name: 'guarded',
          settings: { precision: 'fp32', execution },
          variables: [a!, b!],
          inputs: scalar,
          guard: 'sum',
        },
        step: ({ x }) => {
          a!.assign(tf.add(a!, x!));
          b!.assign(tf.mul(b!, 2));
          return { sum: tf.add(tf.sum(a!), x!) };
        },
      });
      const run = (value: number): number[] => {
        tf.dispose(step.run({ x: tf.scalar(value) }));
        return [...a!.dataSync(), ...b!.dataSync()];
      };
      expect(run(2)).toEqual([3, 2]);
      const { numTensors } = tf.memory();
      expect(run(Number.NaN)).toEqual([3, 2]);
      expect(run(Infinity)).toEqual([3, 2]);
      expect(tf.memory().numTensors).toBe(numTensors + 2); // the two inputs above
      expect(run(1)).toEqual([4, 4]);
      step.dispose();
      tf.dispose([a!, b!]);
    },
  );
});

describe.each(['function', 'graph'] as const)('a step recorded as %s', (execution) => {
  const settings = { precision: 'fp32', execution } as const;

  it('reads variables anew in each run, assigns them and takes what changes as an input', () => {
    const total = createVariable('total', [2], Float32Array.of(1, 2));
    const step = compileStep({
      name: 'accumulate',
      settings,
      variables: [total],
      inputs: scalar,
      step: ({ x }) => {
        total.assign(tf.add(total, x!));
        return { y: tf.mul(total, 10) };
      },
    });
    const run = (value: number): number[] => [...step.run({ x: tf.scalar(value) })['y']!.dataSync()];
    expect(run(1)).toEqual([20, 30]);
    total.assign(tf.tensor1d([0, 0]));
    expect(run(5)).toEqual([50, 50]);
    expect([...total.dataSync()]).toEqual([5, 5]);
    step.dispose();
    total.dispose();
  });

  it('leaves a variable as it was when recording fails, and records later', () => {
    const kept = createVariable('kept', [1], Float32Array.of(7));
    let broken = true;
    const step = compileStep({
      name: 'broken',
      settings,
      variables: [kept],
      inputs: scalar,
      step: ({ x }) => {
        kept.assign(tf.add(kept, x!));
        if (broken) throw new Error('on the way');
        return { y: tf.clone(kept as tf.Tensor) };
      },
    });
    expect(() => step.run({ x: tf.scalar(1) })).toThrow('on the way');
    expect([...kept.dataSync()]).toEqual([7]);
    broken = false;
    expect([...step.run({ x: tf.scalar(1) })['y']!.dataSync()]).toEqual([8]);
    step.dispose();
    kept.dispose();
  });

  it.each<[string, RegExp, (x: tf.Tensor) => tf.Tensor]>([
    ['reads a value', /may not read values/, (x) => tf.mul(x, x.dataSync()[0]!)],
    ['takes a tensor from outside', /neither an input nor a variable/, (x) => tf.add(x, outside)],
    ['has a shape that depends on data', /depends on data/, (x) => nonzero(x)],
  ])('refuses a step that %s, by the name of the step', (_, message, step) => {
    const runWith = (op: (x: tf.Tensor) => tf.Tensor): number[] =>
      runOnce({ inputs: scalar, step: ({ x }) => ({ y: op(x!) }) }, { x: tf.scalar(2) }, settings);
    expect(() => runWith(step)).toThrow(message);
    expect(() => runWith(step)).toThrow('once');
    expect(runWith(tf.square)).toEqual([4]);
  });

  it('refuses inputs other than the declared ones', () => {
    const options = { inputs: scalar, step: ({ x }: Record<string, tf.Tensor>) => ({ y: tf.square(x!) }) };
    const given = (inputs: Record<string, tf.Tensor>) => () => runOnce(options, inputs, settings);
    expect(given({})).toThrow('expects the input x');
    expect(given({ x: tf.tensor1d([1]) })).toThrow('expects x as float32 [], got float32 [1]');
    expect(given({ x: tf.scalar(1), z: tf.scalar(1) })).toThrow('has no input z');
  });
});

describe('the way that steps run', () => {
  it('refuses bf16 where steps run op by op', () => {
    const options = { name: 'eager', variables: [], inputs: {}, step: () => ({}) };
    expect(() => compileStep({ ...options, settings: { precision: 'bf16', execution: 'eager' } })).toThrow('fp32');
  });

  it('is a graph where the addon is the stock one', () => {
    const backend = nativeBackend()!;
    const { binding } = backend;
    const settings = { precision: 'fp32', execution: 'function' } as const;
    expect(executionOf(settings)).toBe('function');
    backend.binding = stockPart(binding);
    try {
      expect(executionOf(settings)).toBe('graph');
      const x = random([1, 8, 8, 16], 'x');
      const step = ({ x: image }: Record<string, tf.Tensor>) => ({ y: blur(image as tf.Tensor4D, { p0: 1, p1: 1 }) });
      const found = runOnce({ inputs: { x: { shape: x.shape, dtype: 'float32' } }, step }, { x });
      step({ x })
        .y.dataSync()
        .forEach((value, i) => expect(found[i]).toBeCloseTo(value, 6));
    } finally {
      backend.binding = binding;
    }
  });

  it('refuses a graph without the TensorFlow library, saying what to do', async () => {
    await import('@tensorflow/tfjs-backend-wasm');
    await tf.setBackend('wasm');
    try {
      const settings = { precision: 'fp32', execution: 'graph' } as const;
      expect(() => compileStep({ name: 'once', variables: [], inputs: {}, step: () => ({}), settings })).toThrow(
        /execution "graph".*wasm.*"eager"/,
      );
      expect(executionOf({ precision: 'fp32', execution: 'function' })).toBe('eager');
    } finally {
      await tf.setBackend('tensorflow');
    }
  });
});

/** What the addon of the package has: constants and functions, without those that our build adds. */
function stockPart(binding: NativeBinding): NativeBinding {
  const added = ['createFunction', 'removeFunction', 'graphCreate', 'graphDelete', 'graphPlaceholder', 'graphConstant'];
  const names = Object.getOwnPropertyNames(binding).filter(
    (name) => ![...added, 'graphOp', 'hasKernels'].includes(name),
  );
  const properties = names.map((name) => [name, Object.getOwnPropertyDescriptor(binding, name)!] as const);
  return Object.create(null, Object.fromEntries(properties)) as NativeBinding;
}

/** A tensor that the library already has. */
let outside: tf.Tensor;
beforeAll(() => {
  outside = tf.square(tf.scalar(3));
});

/** As many values as are not zero. */
function nonzero(x: tf.Tensor): tf.Tensor {
  const backend = tf.backend() as unknown as {
    executeSingleOutput(op: string, a: object[], x: tf.Tensor[]): tf.Tensor;
  };
  return backend.executeSingleOutput('Where', [], [tf.reshape(x, [1])]);
}

describe('the gradient of a convolution in its filter', () => {
  // [side, Cin, Cout, kernel, stride, padding]
  it.each<[number, number, number, number, 1 | 2, 'same' | 'valid']>([
    [16, 64, 64, 3, 1, 'same'],
    [17, 64, 64, 3, 2, 'valid'],
    [9, 5, 48, 3, 1, 'same'],
    [8, 6, 16, 3, 2, 'same'],
    [1, 8, 16, 3, 2, 'same'], // taps that lie beyond the image everywhere
    [2, 8, 16, 3, 2, 'same'],
    [2, 8, 16, 5, 2, 'same'],
    [1, 8, 16, 2, 2, 'same'],
    [1, 8, 16, 3, 1, 'same'],
    [7, 7, 80, 5, 1, 'same'],
    [12, 13, 32, 3, 1, 'valid'],
    [4, 160, 192, 3, 1, 'same'], // larger than 1 MB: parts of the input channels
    [32, 8, 7, 3, 1, 'same'], // no multiple of 16: the library's kernel
  ])(
    'at %i px, %i to %i channels, kernel %i, stride %i, %s, is that of the library',
    (side, from, to, k, stride, pad) => {
      const x = random([3, side, side, from], 'x') as tf.Tensor4D;
      const w = random([k, k, from, to], 'w') as tf.Tensor4D;
      const gradient = (filter: tf.Tensor): tf.Tensor =>
        tf.grad((f) => tf.sum(tf.square(tf.conv2d(x, f as tf.Tensor4D, stride, pad))))(filter);
      const expected = gradient(w).dataSync<'float32'>();
      const found = runOnce(
        {
          inputs: { x: { shape: x.shape, dtype: 'float32' }, w: { shape: w.shape, dtype: 'float32' } },
          step: (inputs) => ({
            y: tf.grad((f) => tf.sum(tf.square(tf.conv2d(inputs['x'] as tf.Tensor4D, f as tf.Tensor4D, stride, pad))))(
              inputs['w']!,
            ),
          }),
        },
        { x, w },
      );
      const norm = Math.sqrt(expected.reduce((sum, value) => sum + value ** 2, 0));
      const apart = Math.sqrt(expected.reduce((sum, value, i) => sum + (value - found[i]!) ** 2, 0));
      expect(apart / norm).toBeLessThan(2e-6);
    },
  );

  it('has a kernel of its own on processors with AVX-512', () => {
    expect(graphBinding()?.hasKernels).toBe(hasAvx512);
  });
});

describe('a recorded 3x3 convolution', () => {
  // [N, H, W, Cin, Cout, padding]
  it.each<[number, number, number, number, number, 'same' | 'valid']>([
    [4, 16, 16, 64, 64, 'same'],
    [3, 15, 21, 16, 80, 'same'],
    [2, 33, 19, 66, 48, 'same'],
    [2, 20, 20, 32, 144, 'valid'],
    [2, 21, 18, 48, 16, 'valid'],
    [5, 16, 16, 130, 192, 'same'],
  ])('of %i images of %i x %i px, %i to %i channels, %s, is that of the library, and its gradients', (...geometry) => {
    const [n, h, w, from, to, pad] = geometry;
    const x = random([n, h, w, from], 'x');
    const filter = random([3, 3, from, to], 'w');
    const loss = (image: tf.Tensor, weights: tf.Tensor): tf.Tensor =>
      tf.sum(tf.square(tf.conv2d(image as tf.Tensor4D, weights as tf.Tensor4D, 1, pad)));
    const step = {
      inputs: {
        x: { shape: x.shape, dtype: 'float32' as const },
        w: { shape: filter.shape, dtype: 'float32' as const },
      },
      step: (inputs: Record<string, tf.Tensor>) => {
        const y = tf.conv2d(inputs['x'] as tf.Tensor4D, inputs['w'] as tf.Tensor4D, 1, pad);
        const gradients = tf.grads(loss)([inputs['x']!, inputs['w']!]);
        return { y: tf.concat([y, ...gradients].map((result) => tf.div(tf.reshape(result, [-1]), tf.norm(result)))) };
      },
    };
    const expected = step.step({ x, w: filter })['y']!.dataSync<'float32'>();
    const found = runOnce(step, { x, w: filter });
    const apart = (values: readonly number[]): number =>
      Math.sqrt(expected.reduce((sum, value, i) => sum + (value - values[i]!) ** 2, 0));
    expect(apart(found)).toBeLessThan(3e-6);
    if (!hasAvx512) return;
    // Each factor is rounded to 8 bits.
    const reduced = apart(runOnce(step, { x, w: filter }, { precision: 'bf16' }));
    expect(reduced).toBeLessThan(0.01);
    expect(reduced).toBeGreaterThan(1e-4);
  });
});

describe('recorded resampling', () => {
  const cases: [string, readonly number[], (x: tf.Tensor4D) => tf.Tensor4D][] = [
    ['blur before a strided convolution', [2, 9, 7, 5], (x) => blur(x, { p0: 2, p1: 2 })],
    ['blur after a transposed convolution', [2, 9, 9, 16], (x) => blur(x, { p0: 1, p1: 1, gain: 4 })],
    ['blur padded on one side', [1, 6, 6, 1], (x) => blur(x, { p0: 3, p1: 0 })],
    ['halving', [2, 8, 12, 3], (x) => firDown2(x)],
    ['halving of many maps', [3, 32, 32, 33], (x) => firDown2(x, 0.5)],
    ['doubling', [2, 4, 6, 1], (x) => firUp2(x)],
    ['doubling of many maps', [3, 16, 16, 32], (x) => firUp2(x, 2)],
  ];
  it.each(cases)('gives for %s what it gives op by op, and its first and second gradients', (_name, shape, op) => {
    const x = random(shape, 'x') as tf.Tensor4D; // of the rank just given
    const first = (image: tf.Tensor): tf.Tensor => tf.sum(tf.square(op(image as tf.Tensor4D)));
    const penalty = (image: tf.Tensor): tf.Tensor => tf.sum(tf.pow(tf.grad(first)(image), 3));
    const step = {
      inputs: { x: { shape, dtype: 'float32' as const } },
      step: ({ x: image }: Record<string, tf.Tensor>) => {
        const results = [op(image as tf.Tensor4D), tf.grad(first)(image!), tf.grad(penalty)(image!)];
        return { y: tf.concat(results.map((result) => tf.reshape(result, [-1]))) };
      },
    };
    const expected = [...step.step({ x })['y']!.dataSync()];
    const found = runOnce(step, { x });
    expect(found).toHaveLength(expected.length);
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const apart = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i]!)), 0);
    expect(apart / largest).toBeLessThan(1e-6);
  });
});

describe('bf16', () => {
  const settings = { precision: 'bf16', execution: 'function' } as const;
  it.runIf(hasAvx512)('sums the gradient of a filter in fp32: 16384 ones are not 256', () => {
    const shape = [4, 64, 64, 1];
    const inputs = {
      x: { shape, dtype: 'float32' as const },
      w: { shape: [1, 1, 1, 1], dtype: 'float32' as const },
    };
    const step = ({ x, w }: Record<string, tf.Tensor>) => ({
      y: tf.grad((f) => tf.sum(tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, 'same')))(w!),
    });
    expect(runOnce({ inputs, step }, { x: tf.ones(shape), w: tf.ones([1, 1, 1, 1]) }, settings)).toEqual([16384]);
  });
  it('is refused, and auto is fp32, where the library would sum it in bf16: without its kernels for AVX-512', async () => {
    const script = `
      import { loadEngine } from './lib/engine/backend.ts';
      import { compileStep, precisionOf } from './lib/engine/compile.ts';
      await loadEngine();
      console.log(precisionOf({ precision: 'auto', execution: 'function' }));
      for (const execution of ['function', 'graph'])
        try {
          compileStep({ name: 'once', variables: [], inputs: {}, step: () => ({}), settings: { precision: 'bf16', execution } });
          console.log('taken');
        } catch (error) {
          console.log(error.name, error.message);
        }`;
    const [auto, ...refusals] = (await runEngineScript(script, { TF_ENABLE_ONEDNN_OPTS: '0' })).split('\n');
    expect(auto).toBe('fp32');
    expect(refusals).toHaveLength(2);
    for (const refusal of refusals) expect(refusal).toMatch(/^ConfigurationError precision "bf16".*"fp32" or "auto"$/);
  });
});

describe('threads', () => {
  it('of the library are as many as the fingerprint tells, where nothing is set', async () => {
    const script = `
      import { availableParallelism } from 'node:os';
      import { describeEngine } from './lib/engine/fingerprint.ts';
      const { threads } = await describeEngine({ precision: 'fp32', execution: 'function' });
      console.log(threads, availableParallelism(), process.env.TF_NUM_INTRAOP_THREADS);`;
    const [threads, available, library] = (await runEngineScript(script, { TF_NUM_INTRAOP_THREADS: undefined })).split(
      ' ',
    );
    expect(threads).toBe(available);
    expect(library).toBe(threads);
  });
});

describe('precision auto', () => {
  it('is bf16 in functions where the processor multiplies it, and fp32 otherwise', () => {
    const halves = graphBinding()?.hasBfloat16Kernels === true;
    expect(precisionOf({ precision: 'auto', execution: 'function' })).toBe(halves ? 'bf16' : 'fp32');
    expect(precisionOf({ precision: 'auto', execution: 'eager' })).toBe('fp32');
    expect(precisionOf({ precision: 'fp32', execution: 'function' })).toBe('fp32');
  });
  it('computes what the precision that it stands for computes', () => {
    const inputs = { a: { shape: [8, 8], dtype: 'float32' as const } };
    const step = ({ a }: Record<string, tf.Tensor>) => ({ y: tf.matMul(a as tf.Tensor2D, a as tf.Tensor2D) });
    const given = { a: random([8, 8], 'auto') };
    const precision = precisionOf({ precision: 'auto', execution: 'function' });
    expect(runOnce({ inputs, step }, given, { precision: 'auto' })).toEqual(
      runOnce({ inputs, step }, given, { precision }),
    );
  });
});
